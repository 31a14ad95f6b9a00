"""The field's datasets of sounds with captions, in the layouts in which they are published.

Archives that need 7z or a split zip are unpacked by hand; AudioCaps and AudioSet publish no sound
at all, but the ids of videos: the clips are laid in a folder ``audio`` under their ids. Clips that
are not there are left out, as in every published evaluation (videos vanish), and their number is
said.
"""

from __future__ import annotations

import csv
import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import yaml

from gemb.data.fetch import fetch
from gemb.data.items import Item, Media, Pair
from gemb.data.readers.files import DataFileError

Split = Literal["train", "val", "test"]
_SUFFIXES = (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".webm")

log = logging.getLogger(__name__)


def audiocaps(root: Path | None = None, split: Split = "test") -> list[Pair]:
    """AudioCaps 1.0: ``dataset/{train,val,test}.csv`` and clips of ten seconds in ``audio/``.

    A clip's file is named by its ``audiocap_id``, or by its video's id alone, after a ``Y``, or
    with the second at which it starts (``<id>_<start>``). One caption a clip in training, five
    in validation and test.
    """
    folder = root or fetch("audiocaps")
    table = folder / "dataset" / f"{split}.csv"
    there = _by_stem(folder / "audio")
    captions: dict[str, list[str]] = {}
    names: dict[str, list[str]] = {}
    for row in _table(table, "audiocaps", ("audiocap_id", "youtube_id", "start_time", "caption")):
        video, start = row["youtube_id"], row["start_time"]
        clip = f"{video}_{start}"
        captions.setdefault(clip, []).append(row["caption"])
        names.setdefault(clip, []).append(row["audiocap_id"])
        names[clip] += [clip, video, f"Y{video}"]
    found = {c: next((there[n] for n in names[c] if n in there), None) for c in captions}
    return _pairs("audiocaps", split, folder, captions, found)


def audioset(root: Path | None = None, split: Split = "test") -> list[Pair]:
    """AudioSet Strong: ``audioset_{train,eval}_strong.tsv``, ``mid_to_display_name.tsv``, and
    clips in ``audio/`` named by segment (``<video>_<milliseconds>``) or by video.

    The captions that the source had a language model write are not published. Where
    ``captions.csv`` (``segment_id,caption``) lies beside the tables it is used; otherwise a
    caption is the names of the labelled events in the order in which they begin, which is this
    project's own. Training segments are the publisher's, test segments its evaluation set.
    """
    folder = root or fetch("audioset-strong")
    there = _by_stem(folder / "audio")
    names = dict(_lines(folder / "mid_to_display_name.tsv", "audioset-strong"))
    kind = "eval" if split == "test" else "train"
    table = folder / f"audioset_{kind}_strong.tsv"
    events: dict[str, list[tuple[float, str]]] = {}
    columns = ("segment_id", "start_time_seconds", "end_time_seconds", "label")
    for row in _table(table, "audioset-strong", columns, "\t"):
        at = (float(row["start_time_seconds"]), names.get(row["label"], row["label"]))
        events.setdefault(row["segment_id"], []).append(at)
    written = folder / "captions.csv"
    if written.is_file():
        own = {
            r["segment_id"]: r["caption"]
            for r in _table(written, "audioset-strong", ("segment_id", "caption"))
        }
        captions = {s: [own[s]] for s in events if s in own}
    else:
        captions = {
            s: [", then ".join(dict.fromkeys(name for _, name in sorted(heard)))]
            for s, heard in events.items()
        }
    found = {s: there.get(s) or there.get(s.rpartition("_")[0]) for s in captions}
    return _pairs("audioset-strong", split, folder, captions, found)


def clotho(root: Path | None = None, split: Split = "test") -> list[Pair]:
    """Clotho 2.1: ``clotho_captions_<part>.csv`` and the folders unpacked from
    ``clotho_audio_<part>.7z``; parts development, validation and evaluation. Five captions a
    clip."""
    folder = root or fetch("clotho")
    part = {"train": "development", "val": "validation", "test": "evaluation"}[split]
    columns = ("file_name", *(f"caption_{n}" for n in range(1, 6)))
    rows = list(_table(folder / f"clotho_captions_{part}.csv", "clotho", columns))
    captions = {r["file_name"]: [r[c] for c in columns[1:] if r[c]] for r in rows}
    found = {name: _file(folder / part / name) for name in captions}
    return _pairs("clotho", split, folder, captions, found)


def fsd50k(root: Path | None = None, split: Split = "test") -> list[Pair]:
    """FSD50K: ``FSD50K.ground_truth/{dev,eval}.csv``, ``FSD50K.dev_audio`` and
    ``FSD50K.eval_audio`` as unpacked from the split zips.

    It has labels and no captions: the caption lists a clip's labels, as the publisher orders
    them, the most specific first.
    """
    folder = root or fetch("fsd50k")
    part = "eval" if split == "test" else "dev"
    columns = ("fname", "labels", "mids") + (("split",) if part == "dev" else ())
    rows = list(_table(folder / "FSD50K.ground_truth" / f"{part}.csv", "fsd50k", columns))
    captions = {
        r["fname"]: [_label(r["labels"].replace(",", ", "))]
        for r in rows
        if part == "eval" or r["split"] == split
    }
    found = {n: _file(folder / f"FSD50K.{part}_audio" / f"{n}.wav") for n in captions}
    return _pairs("fsd50k", split, folder, captions, found)


def urbansound8k(root: Path | None = None, split: Split = "test") -> list[Pair]:
    """UrbanSound8K: ``metadata/UrbanSound8K.csv`` and ``audio/fold<n>/``.

    Of its ten folds, which must not be mixed (slices of one recording lie in one), the tenth is
    tested on and the ninth validates: this project's choice. The caption is the class.
    """
    folder = root or fetch("urbansound8k")
    columns = ("slice_file_name", "fsID", "fold", "class")
    folds = {"test": {"10"}, "val": {"9"}, "train": {str(n) for n in range(1, 9)}}[split]
    rows = [
        r
        for r in _table(folder / "metadata" / "UrbanSound8K.csv", "urbansound8k", columns)
        if r["fold"] in folds
    ]
    captions = {r["slice_file_name"]: [_label(r["class"])] for r in rows}
    found = {
        r["slice_file_name"]: _file(folder / "audio" / f"fold{r['fold']}" / r["slice_file_name"])
        for r in rows
    }
    groups = {r["slice_file_name"]: r["fsID"] for r in rows}
    return _pairs("urbansound8k", split, folder, captions, found, groups)


def macs(root: Path | None = None, split: Split = "test") -> list[Pair]:
    """MACS: ``MACS.yaml``, and ``audio/`` of TAU Urban Acoustic Scenes 2019, development set.

    It has no split: recordings of the places (city and number) whose names' hash ends in 0 or 1
    of ten are tested on, in 2 they validate; this project's choice. Two to five captions a clip.
    """
    folder = root or fetch("macs")
    path = folder / "MACS.yaml"
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))["files"]
        captions = {r["filename"]: [a["sentence"] for a in r["annotations"]] for r in rows}
    except FileNotFoundError:
        raise DataFileError(path, "the file is missing", "macs") from None
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise DataFileError(path, f"cannot be read ({error})", "macs") from error

    # airport-barcelona-0-12-a.wav: scene, city, place, segment, device
    groups = {name: "-".join(name.split("-")[:3]) for name in captions}

    def side(name: str) -> Split:
        place = int(hashlib.sha256(groups[name].encode()).hexdigest(), 16) % 10
        return "test" if place < 2 else "val" if place == 2 else "train"

    captions = {name: said for name, said in captions.items() if side(name) == split}
    found = {name: _file(folder / "audio" / name) for name in captions}
    return _pairs("macs", split, folder, captions, found, groups)


READERS: dict[str, Callable[[Path | None, Split], list[Pair]]] = {
    "audiocaps": audiocaps,
    "audioset-strong": audioset,
    "clotho": clotho,
    "fsd50k": fsd50k,
    "urbansound8k": urbansound8k,
    "macs": macs,
}


def _pairs(
    dataset: str,
    split: Split,
    folder: Path,
    captions: Mapping[str, Sequence[str]],
    found: Mapping[str, Path | None],
    groups: Mapping[str, str] | None = None,
) -> list[Pair]:
    """A pair for each caption of each clip that is there; says how many are not."""
    out: list[Pair] = []
    absent = [clip for clip in captions if found[clip] is None]
    for clip, said in captions.items():
        path = found[clip]
        if path is None:
            continue
        item = Item(
            id=f"{dataset}/{split}/{clip}",
            modality="audio",
            media=Media.from_file(path),
            answer=said[0],
            group=(groups or {}).get(clip, clip),
            split=split,
            meta={"file": path.relative_to(folder).as_posix()},
        )
        out += [(item, caption) for caption in dict.fromkeys(c.strip() for c in said)]
    if not out:
        raise DataFileError(folder, f"none of the {len(captions)} {split} clips is in it", dataset)
    if absent:
        log.warning(
            "%s: %d of %d %s clips are not in %s and are left out, such as %s",
            dataset, len(absent), len(captions), split, folder, absent[0],
        )  # fmt: skip
    return out


def _label(text: str) -> str:
    """A label in words: ``Chewing_and_mastication`` is ``chewing and mastication``."""
    return text.replace("_", " ").lower()


def _file(path: Path) -> Path | None:
    return path if path.is_file() else None


def _by_stem(folder: Path) -> dict[str, Path]:
    """Every sound of a folder and the folders in it, by its name without suffix."""
    return {p.stem: p for p in sorted(folder.rglob("*")) if p.suffix.lower() in _SUFFIXES}


def _lines(path: Path, dataset: str) -> Iterator[tuple[str, str]]:
    """Two columns between tabs."""
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            first, _, second = line.partition("\t")
            yield first, second
    except OSError as error:
        raise DataFileError(path, str(error), dataset) from error


def _table(
    path: Path, dataset: str, columns: Sequence[str], delimiter: str = ","
) -> Iterator[dict[str, str]]:
    """The rows of a table with a header that has the columns."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter)
            missing = set(columns) - set(reader.fieldnames or ())
            if missing:
                raise DataFileError(path, f"no column {', '.join(sorted(missing))}", dataset)
            yield from reader
    except FileNotFoundError:
        raise DataFileError(path, "the file is missing", dataset) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataFileError(path, str(error), dataset) from error
