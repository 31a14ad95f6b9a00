"""Baselines that look at something else than the vector: pitch, language, phrase, a real OCR."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from gemb import records
from gemb.data.fetch import SourceUnavailable, cache_dir
from gemb.data.items import Item, MediaUnavailable
from gemb.data.splits import Fold
from gemb.progress import progress


def _f0(item: Item) -> str:
    from gemb.data.media import decode_audio
    from gemb.data.pitch import median_f0

    samples = decode_audio(item.media.bytes(), suffix=item.media.suffix, name=item.id)
    return f"{median_f0(samples, 16000):.1f}"


def _ocr(item: Item) -> str:
    from gemb.data.media import decode_image
    from gemb.data.ocr import read_word

    return read_word(decode_image(item.media.bytes(), name=item.id))


MEASURES: dict[str, Callable[[Item], str]] = {"f0": _f0, "ocr": _ocr}
# The OCR takes most of a second a picture: that many of each subset say how readable they are.
OCR_ITEMS = 40
OF_TASK = {"gender": "f0", "scene-text": "ocr"}


def measure(items: Sequence[Item], name: str) -> dict[str, str] | None:
    """The measure ``name`` of each item, by item id; kept, so that it is taken once.

    Returns ``None`` if it is neither among the items' ``meta`` nor kept, and
    some item's media, or what measures them, are not on this machine.
    """
    path = cache_dir() / "measured" / f"{name}.json"
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    out: dict[str, str] = {}
    todo = []
    for item in items:
        value = item.meta.get(name) or kept.get(item.media.key)
        if value is None:
            todo.append(item)
        else:
            out[item.id] = value
    try:
        with progress(f"measuring {name}", len(todo)) as bar:
            for item in todo:
                out[item.id] = kept[item.media.key] = MEASURES[name](item)
                bar.update(1)
    except (MediaUnavailable, SourceUnavailable):
        return None
    finally:
        if todo:
            records.write_text(path, json.dumps(kept))
    return out


def _by(train: Sequence[Item], asked: Sequence[Item], meta: str) -> list[str]:
    """The most frequent training answer of each value of a meta field, else of all."""
    overall = Counter(i.answer for i in train).most_common(1)[0][0]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for item in train:
        counts[item.meta.get(meta, "")][item.answer] += 1
    return [
        c.most_common(1)[0][0] if (c := counts.get(i.meta.get(meta, ""))) else overall
        for i in asked
    ]


def _by_pitch(train: Sequence[Item], asked: Sequence[Item]) -> list[str] | None:
    f0 = measure([*train, *asked], "f0")
    if f0 is None:
        return None

    def column(items: Sequence[Item]) -> np.ndarray:
        # an item without voiced frames has no pitch (NaN): it counts as the middle
        values = np.array([float(f0[i.id]) for i in items])
        return np.log(np.where(values > 0, values, 160.0))[:, None]

    model = LogisticRegression(C=100).fit(column(train), [i.answer for i in train])
    return [str(a) for a in model.predict(column(asked))]


def baselines(
    task: str, fold: Fold, asked: Sequence[Item]
) -> dict[str, tuple[Sequence[Item], list[str]]]:
    """The task's own baselines and ceilings: by method the items asked and the answers given."""
    if task == "gender":
        out: dict[str, tuple[Sequence[Item], list[str]]] = {}
        if len({i.meta.get("language") for i in fold.train}) > 1:
            out["language only"] = (asked, _by(fold.train, asked, "language"))
        pitch = _by_pitch(fold.train, asked)
        return out if pitch is None else {"pitch only": (asked, pitch)} | out
    if task == "emotion":
        return {"phrase only": (asked, _by(fold.train, asked, "transcript"))}
    if task == "scene-text":
        by_subset: dict[str, list[Item]] = defaultdict(list)
        for item in asked:
            by_subset[item.subset].append(item)
        some = [i for listed in by_subset.values() for i in listed[:OCR_ITEMS]]
        read = measure(some, "ocr")
        return {} if read is None else {"packaged OCR": (some, [read[i.id] for i in some])}
    return {}
