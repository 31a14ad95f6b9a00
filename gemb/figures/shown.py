"""What a notebook shows: pictures with alternative text, tables with their CSV."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from gemb.records import Provenance, Score

# Okabe and Ito's palette as seaborn has it: told apart by the colour-blind.
PALETTE = sns.color_palette("colorblind")
ADAPTOR, LINEAR, STUDY, GREY = PALETTE[0], PALETTE[1], PALETTE[2], "0.45"
STYLE: Any = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "legend.frameon": False,
    "svg.hashsalt": "gemb",
}


# What Markdown, or mathematics in it, would take for more than a character.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|$~&])")
# An interval, which a narrow column must not break in two.
_INTERVAL = re.compile(r"\(−?[\d.]+(?:–| to )−?[\d.]+\)")


class Recorded(Protocol):
    """Any experiment's record."""

    experiment: str
    provenance: Provenance


class Shown:
    """Something a notebook shows as HTML, and a terminal as text; a figure also has its PNG."""

    def __init__(self, markup: str, text: str, png: bytes = b""):
        self.markup, self.text, self.png = markup, text, png

    def save(self, path: Path) -> None:
        """Write a figure's PNG."""
        path.write_bytes(self.png)

    def _repr_html_(self) -> str:
        return self.markup

    def __repr__(self) -> str:
        return self.text


class Bullets:
    """Sentences that a notebook shows as a list, and a terminal as text.

    As Markdown and not as HTML, which themes put on a light ground in their dark mode.
    """

    def __init__(self, lines: Sequence[str]):
        self.lines = list(lines)

    def _repr_markdown_(self) -> str:
        return "\n".join("- " + _MARKUP.sub(r"\\\1", line) for line in self.lines)

    def __repr__(self) -> str:
        return "\n".join(f"- {line}" for line in self.lines)


def picture(figure: Figure, alt: str) -> Shown:
    """A figure as a PNG on white, with the alternative text that a reader without sight hears."""
    buffer = io.BytesIO()
    # no creation date and no version, so that the same figure has the same bytes
    figure.savefig(buffer, format="png", dpi=130, bbox_inches="tight", metadata={"Software": None})
    data = base64.b64encode(buffer.getvalue()).decode()
    return Shown(
        f'<img alt="{html.escape(alt)}" style="max-width:100%;height:auto" '
        f'src="data:image/png;base64,{data}">',
        f"[figure: {alt}]",
        buffer.getvalue(),
    )


def medium(path: Path, alt: str) -> str:
    """Markup of a picture to look at or a sound to listen to, the file inside it."""
    data = base64.b64encode(path.read_bytes()).decode()
    kind = {
        "png": "image/png",
        "jpg": "image/jpeg",
        "mp3": "audio/mpeg",
        "ogg": "audio/ogg",
    }[path.suffix[1:]]
    if kind.startswith("image"):
        return f'<img alt="{html.escape(alt)}" width="112" src="data:{kind};base64,{data}">'
    return (
        f'<audio controls aria-label="{html.escape(alt)}" style="width:180px" '
        f'src="data:{kind};base64,{data}"></audio>'
    )


def table(frame: pd.DataFrame, name: str, caption: str, aside: Sequence[str] = ()) -> Shown:
    """A table that scrolls sideways on a narrow screen, with its CSV to download below.

    A page has room for some eight columns: those named in ``aside``, and those without any value,
    are in the CSV and the terminal alone.
    """
    if frame.empty:
        return Shown(
            f"<p>{html.escape(caption)}</p><p>Nothing of this under this profile.</p>",
            f"{caption}\nNothing of this under this profile.",
        )
    csv = base64.b64encode(frame.to_csv(index=False).encode()).decode()
    hidden = [str(c) for c in frame if c in aside or (frame[c].isna() | (frame[c] == "–")).all()]
    body = frame.drop(columns=hidden).to_html(index=False, border=0, na_rep="–", justify="left")
    body = _INTERVAL.sub(r'<span style="white-space:nowrap">\g<0></span>', body)
    more = f", also with: {', '.join(hidden)}" if hidden else ""
    return Shown(
        f'<p>{html.escape(caption)}</p><div style="overflow-x:auto">{body}</div>'
        f'<p><a download="{name}.csv" href="data:text/csv;base64,{csv}">{name}.csv</a>'
        f"{html.escape(more)}</p>",
        f"{caption}\n{frame.to_string(index=False)}",
    )


def percent(score: Score | None, interval: bool = True) -> str:
    """A score as per cent with its interval, such as ``85.2 (82.0–88.1)``."""
    if score is None:
        return "–"
    value, low, high = (
        f"{100 * x:.1f}".replace("-", "−") for x in (score.value, score.low, score.high)
    )
    # a dash between negative numbers cannot be read
    between = "–" if score.low >= 0 else " to "
    return f"{value} ({low}{between}{high})" if interval else value


def plain(score: Score | None) -> str:
    """A score that is no share, with its interval, such as ``3.1 (2.2–4.0)``."""
    if score is None:
        return "–"
    value, low, high = (f"{x:.1f}".replace("-", "−") for x in (score.value, score.low, score.high))
    return f"{value} ({low}{'–' if score.low >= 0 else ' to '}{high})"


# What of a profile is for one section alone, and says more than the lines for all.
_SECTIONS = {
    "librispeech_failure": "sentences",
    "esc50_transfer": "transfer",
    "multitask_scaling": "multitask",
    "open_audio_encoder": "audio",
}


# Where not every training is repeated with every seed.
_SEEDS = {
    "librispeech_failure": "{all} of the four set-ups; {first} of all else",
    "esc50_transfer": "{all} of the transfers; {first} of shuffled and random vectors, degradation",
    "multitask_scaling": "{first}; the best on validation again with another",
    "open_audio_encoder": "{first}",
}


def provenance_table(record: Recorded) -> Shown:
    """What made the record."""
    about = record.provenance
    section = about.settings.get(_SECTIONS.get(record.experiment, ""), {})
    own = ", ".join(f"{k} {v}" for k, v in section.items() if v not in (None, {}))
    seeds = ", ".join(map(str, about.settings["seeds"]))
    if note := _SEEDS.get(record.experiment):
        seeds = note.format(first=about.settings["seeds"][0], all=seeds)
    by_task = "; ".join(
        f"{name} {', '.join(f'{task} {n:g}' for task, n in about.settings[key].items())}"
        for name, key in (("epochs", "epochs_by_task"), ("noise", "noise_by_task"))
        if about.settings.get(key) and record.experiment == "single_task"
    )
    adaptor, minutes = "adaptor", "minutes, with what was reused"
    if record.experiment not in ("single_task", "open_audio_encoder"):
        minutes = "minutes of the last call, without trainings that it read back"
    if record.experiment == "open_audio_encoder":
        adaptor = "adaptor, of section 1's tasks"  # in its last part alone
        minutes = "minutes of the last call, with the trainings that it read back"
    # of sections 2 to 4, with answering, whenever they were done
    trained: float = getattr(record, "seconds", 0.0)
    rows = [
        ("profile", about.profile),
        ("encoder", about.encoder),
        ("language model", about.llm),
        ("vectors from", about.source),
        ("machine", about.machine),
        ("finished", about.finished),
        (minutes, f"{about.seconds / 60:.1f}"),
        *([("minutes of all its trainings", f"{trained / 60:.1f}")] if trained else []),
        ("seeds", seeds),
        (adaptor, ", ".join(f"{k} {v}" for k, v in about.settings["training"].items())),
        *([("what differs by task", by_task)] if by_task else []),
        *([("what differs in this section", own)] if own else []),
        ("packages", ", ".join(f"{k} {v}" for k, v in about.packages.items())),
        ("manifests", ", ".join(f"{k} {v[:8]}" for k, v in about.manifests.items())),
    ]
    return table(
        pd.DataFrame(rows, columns=["what", "value"]),
        f"{record.experiment}_provenance",
        "What made these numbers.",
    )
