"""The tables of a benchmark's Markdown as CSV beside it.

    python tests/benchmarks/tables.py book/records/training_speed.md

Tables stand one after the other, an empty line between two. A table that follows a line of text
has that line above it.
"""

import csv
import io
import sys
from pathlib import Path


def as_csv(markdown: str) -> str:
    """The tables of ``markdown``, rules left out."""
    out, title, inside = io.StringIO(), "", False
    write = csv.writer(out, lineterminator="\n").writerow
    for line in markdown.splitlines():
        if not line.startswith("|"):
            title, inside = line or title, False
            continue
        if not inside:
            if out.tell():
                write([])
            if title:
                write([title])
        title, inside = "", True
        if set(line) - set("|-: "):
            write([cell.strip() for cell in line.strip("|").split("|")])
    return out.getvalue()


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.with_suffix(".csv").write_text(as_csv(path.read_text("utf-8")), encoding="utf-8")
