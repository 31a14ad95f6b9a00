"""Reading a MATLAB file, as SVHN and IIIT-5K come in."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from gemb.data.readers.files import DataFileError, read_bytes


def load_variables(path: Path, names: tuple[str, ...], dataset: str) -> list[Any]:
    """The variables ``names`` of a MATLAB 5 file of the manifest ``dataset``.

    Raises:
        DataFileError: It is missing or damaged, or has no such variable.
    """
    from scipy.io import loadmat

    content = read_bytes(path, dataset)
    try:
        found = loadmat(io.BytesIO(content))
    # a damaged file makes the reader trip over anything
    except Exception as error:
        raise DataFileError(path, f"not a whole MATLAB file ({error})", dataset) from error
    if missing := [n for n in names if n not in found]:
        there = ", ".join(n for n in found if not n.startswith("__"))
        problem = f"has no variable {', '.join(missing)}; it has: {there or 'none'}"
        raise DataFileError(path, problem, dataset)
    return [found[n] for n in names]
