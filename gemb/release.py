"""The released files: made from raw data, and made again to check that they agree."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch

from gemb import encoders, profiles, tasks
from gemb.adaptor import Adaptor
from gemb.data import manifests, released
from gemb.data.fetch import fetch
from gemb.data.items import Item
from gemb.data.load import load_dataset
from gemb.data.media import decode_audio
from gemb.data.readers import audio_pairs, spoken_sentences
from gemb.data.splits import places
from gemb.encoders import open_bound
from gemb.errors import UserError
from gemb.experiments import audio_uses, binding, esc50_transfer, measured, runs, single_task
from gemb.metrics import exact_match
from gemb.records import write_text

PROFILE = "local"
# Tasks whose media may be shown: Fashion-MNIST is MIT, synthetic speech is free.
SHOWN = {"clothing": 6, "words": 6}
ADAPTORS = ("clothing", "words", "commands")
MIN_COSINE = 0.999
BINDING = "bound-heads.json"  # what the heads of the shared space were trained on


class ReleaseError(UserError, RuntimeError):
    """The released files cannot be made, or do not agree with raw data."""


def _prepared(folder: Path | None = None) -> tuple[list[single_task.Prepared], str]:
    """The local profile's items and vectors, from raw data."""
    prepared, slug = single_task.prepare(profiles.get(PROFILE), folder)
    absent = [p.task.name for p in prepared if p.loaded.source != "raw"]
    if absent:
        raise ReleaseError(f"raw data are missing for {', '.join(absent)}: nothing was changed")
    return prepared, slug


def _sounds() -> list[Item]:
    """What section 3 asks about, from raw data."""
    loaded = load_dataset(esc50_transfer.SOUNDS)
    if loaded.source != "raw":
        raise ReleaseError(f"raw data are missing for {esc50_transfer.SOUNDS}: {loaded.why}")
    return loaded.items


def _with_measures(task: str, items: list[Item]) -> list[Item]:
    """Items whose ``meta`` holds what a baseline measures on the media."""
    name = measured.OF_TASK.get(task)
    values = measured.measure(items, name) if name else None
    if name is None or values is None:
        return items
    return [replace(i, meta={**i.meta, name: values[i.id]}) for i in items]


def write(folder: Path = released.FOLDER) -> None:
    """Write all released files of the local profile, once it has run on raw data."""
    # first, for the space that pictures and sounds share depends on them
    binding.write(binding.train_heads(), folder / open_bound.HEADS.name)
    write_text(folder / BINDING, json.dumps(binding.seen(), indent=1) + "\n")
    prepared, _ = _prepared()
    vectors = {k: v for p in prepared for k, v in p.embedded.vectors.items()}
    by_task = {
        p.task.name: _with_measures(p.task.name, [i for i in p.items if i.media.key in vectors])
        for p in prepared
    }
    sounds = _sounds()
    heard, _ = runs.embedded(sounds, encoders.load(esc50_transfer.DISJOINT), "raw", "sounds")
    sounds = [i for i in sounds if i.media.key in heard.vectors]
    where = {p.task.name: places(p.folds["leak-free"]) for p in prepared}
    released.write_items({**by_task, esc50_transfer.SOUNDS: sounds}, where, folder)
    hashes = manifests.hashes([*(p.task.dataset for p in prepared), esc50_transfer.SOUNDS])
    for name in (esc50_transfer.DISJOINT, *esc50_transfer.SHARED):
        encoder = encoders.load(name)
        # the space that is shared is asked about pictures of objects and about sounds alone
        items = [*by_task[esc50_transfer.PICTURES], *sounds]
        found, _ = runs.embedded(items, encoder, "raw", f"embedding, {name}")
        known = found.vectors
        if name == esc50_transfer.DISJOINT:
            items, known = [i for t in by_task.values() for i in t] + sounds, vectors | known
        released.write_vectors(name, items, known, encoder.identity().slug, hashes, folder)
    write_sentences(folder)
    write_samples(prepared, folder)
    write_adaptors(folder)
    write_text(manifests.MANIFESTS / "LICENSES.md", licences(folder))


def write_sentences(folder: Path = released.FOLDER) -> None:
    """Write the sentences taken from WordNet, with the notice that its licence asks for."""
    wordnet = fetch(spoken_sentences.SOURCE)
    write_text(folder / "sentences.txt", "\n".join(spoken_sentences.sentences(wordnet)) + "\n")
    notice = (wordnet / "copyright").read_text(encoding="utf-8")
    mine, _, _ = notice.partition("\nFiles: debian/")  # the rest is about Debian's packaging
    write_text(folder / "sentences.LICENSE", mine.rstrip() + "\n")


def write_samples(prepared: list[single_task.Prepared], folder: Path = released.FOLDER) -> None:
    """Write a few test items' media, PNG as it is, sounds as MP3, and those of section 5."""
    shutil.rmtree(folder / "samples", ignore_errors=True)
    (folder / "samples").mkdir(parents=True)
    index = {}
    for ready in prepared:
        count = SHOWN.get(ready.task.name, 0)
        test = [i for f in ready.folds["leak-free"] for i in f.test]
        chosen = {i.answer: i for i in reversed(test)}  # one of each answer
        for number, item in enumerate(sorted(chosen.values(), key=lambda i: i.answer)[:count]):
            if item.modality == "image":
                name, data = f"{ready.task.name}-{number}.png", item.media.bytes()
            else:
                name, data = f"{ready.task.name}-{number}.mp3", _mp3(item)
            (folder / "samples" / name).write_bytes(data)
            index[item.id] = name
    sounds = audio_pairs.take(audio_pairs.items(("sound",)), "test")
    for kind, items in (
        ("commands", audio_uses.spoken_commands(audio_uses.SHOWN)),
        ("sounds", [i for i in audio_uses.examples(sounds) if audio_uses.may_be_shown(i)]),
    ):
        for number, item in enumerate(items):
            name = f"{kind}-{number}.mp3"
            (folder / "samples" / name).write_bytes(_mp3(item))
            index[item.id] = name
    text = json.dumps(index, indent=1, sort_keys=True) + "\n"
    (folder / "samples" / "index.json").write_text(text, encoding="utf-8")


def _mp3(item: Item) -> bytes:
    samples = decode_audio(item.media.bytes(), suffix=item.media.suffix, name=item.id)
    buffer = io.BytesIO()
    soundfile.write(
        buffer, samples, 16000, format="MP3", bitrate_mode="VARIABLE", compression_level=0.8
    )
    return buffer.getvalue()


def write_adaptors(folder: Path = released.FOLDER) -> None:
    """Write the local profile's adaptors of three tasks in float16, once they are trained."""
    planned = single_task.plan(profiles.get(PROFILE))
    for task in ADAPTORS:
        run = next(
            r
            for r in planned.todo
            if r.task == task
            and r.variant == "adaptor"
            and r.number == 0
            and r.seed == planned.profile.seeds[0]
            and len(r.fold.train) == max(len(o.fold.train) for o in planned.todo if o.task == task)
        )
        outcome = runs.load(run)
        if outcome is None:
            raise ReleaseError(f"{task}: train it first, by `gemb paper --profile {PROFILE}`")
        right = [
            exact_match(t, i.answer) for t, i in zip(outcome.texts, run.fold.test, strict=False)
        ]
        save_adaptor(runs.adaptor_of(run, outcome), task, right, folder)


def save_adaptor(
    adaptor: Adaptor, task: str, right: Sequence[bool], folder: Path = released.FOLDER
) -> None:
    """Write one released adaptor in float16, with all that `gemb ask` needs to use it.

    Args:
        adaptor: Of the profile local.
        task: That it was trained on.
        right: Whether each test item was answered right.
        folder: Of the released files.
    """
    local, asked = profiles.get(PROFILE), tasks.get(task)
    data = manifests.get(asked.dataset)
    stand_in = f"a stand-in for the study's {asked.paper_dataset}: {asked.stand_in}"
    report = (
        f"{asked.title}, trained by the profile `{PROFILE}` on “{data.title}” "
        f"({stand_in if asked.stand_in else 'the dataset of the study'}; licence of the data: "
        f"{data.licence}). Asked: “{asked.prompt}” Of the answers "
        f"to {len(right)} test items of the leak-free split {sum(right)} were exactly right."
    )
    target = folder / "adaptors" / task
    shutil.rmtree(target, ignore_errors=True)
    adaptor.to(torch.float16).save_pretrained(target, model_card_kwargs={"report": report})
    config = json.loads((target / "config.json").read_text(encoding="utf-8"))
    config["about"] = {"encoder": local.encoder, "llm": local.llm, "prompt": asked.prompt}
    write_text(target / "config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")


def rebuild(folder: Path = released.FOLDER) -> Iterator[str]:
    """Make the released vectors again from raw data; a line each says how they agree.

    Those of the tasks, and those of section 3: its sounds, and its pictures in the shared space.

    Raises:
        ReleaseError: If raw data are missing, a cosine is below 0.999 where the item is still
            made from the same recipe, or no item at all is.
    """
    bad, again = [], 0
    with tempfile.TemporaryDirectory() as name:
        fresh = Path(name)  # empty stores: nothing compares with itself
        prepared, slug = _prepared(fresh)
        made = [(p.task.name, slug, p.embedded.vectors) for p in prepared]
        sounds = _sounds()
        pictures = next(p.items for p in prepared if p.task.name == esc50_transfer.PICTURES)
        for encoder in map(encoders.load, (esc50_transfer.DISJOINT, *esc50_transfer.SHARED)):
            sides = {esc50_transfer.SOUNDS: sounds}
            if encoder.identity().slug != slug:  # the tasks' own has been asked about the pictures
                sides[esc50_transfer.PICTURES] = pictures
            for filed, items in sides.items():
                label = f"embedding {filed}, {encoder.identity().slug}"
                found, _ = runs.embedded(items, encoder, "raw", label, fresh)
                made.append((filed, encoder.identity().slug, found.vectors))
    for filed, slug, vectors in made:
        items = released.items(filed, folder)
        known = released.vectors(slug, folder)([i.media.key for i in items])
        both = [k for i in items if (k := i.media.key) in known and k in vectors]
        cosines = [_cosine(vectors[k][0], known[k][0]) for k in both]
        low = min(cosines, default=float("nan"))
        again += len(cosines)
        others = len(items) - len(cosines)
        yield (
            f"{filed}, {slug}: {len(cosines)} of {len(items)} released vectors made again, "
            f"lowest cosine {low:.6f}"
            + (f"; {others} are made differently here (another generator's version)" * bool(others))
        )
        if cosines and low < MIN_COSINE:
            bad.append(filed)
    if bad:
        raise ReleaseError(
            f"the released vectors of {', '.join(dict.fromkeys(bad))} do not agree (those of "
            "sounds need not on another kind of processor: see “Processors” on the book's page "
            "“Reproduce”)"
        )
    if not again:
        raise ReleaseError(
            "not one released vector could be made again: recipes have changed since; make the "
            "release anew by `gemb release`"
        )


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def licences(folder: Path = released.FOLDER) -> str:
    """The text of ``LICENSES.md``: where every derived and every shown file comes from."""
    known = manifests.load_all()
    lines = [
        "# Where the derived files come from",
        "",
        "gemb itself is Apache-2.0. What is committed here and made from others' work is listed "
        "below; this page is written from the manifests by `gemb release`. Vectors are not media: "
        "no image and no recording can be had back from them. They are listed all the same, with "
        "the licence of what they were computed from.",
        "",
        "## Released vectors",
        "",
        "`released/items.parquet` (ids, answers, groups) and `released/vectors-*.parquet`:",
        "",
        "| task | made from | licence |",
        "|---|---|---|",
    ]
    for task in tasks.TASKS.values():
        for name in dict.fromkeys([task.dataset, *known[task.dataset].needs]):
            lines.append(f"| {task.title} | {name} | {known[name].licence} |")
    for name in (esc50_transfer.SOUNDS, *known[esc50_transfer.SOUNDS].needs):
        lines.append(f"| Transfer to sounds | {name} | {known[name].licence} |")
    lines += [
        "",
        "## Released text",
        "",
        f"`released/sentences.txt`: {known['wordnet'].attribution}; {known['wordnet'].licence}, "
        "whose notice is `released/sentences.LICENSE`.",
        "",
        "## Released adaptors",
        "",
        f"`released/adaptors/` ({', '.join(ADAPTORS)}): trained here on the vectors above, "
        "Apache-2.0.",
        "",
        "## Released heads",
        "",
        f"`released/{open_bound.HEADS.name}`: trained here on captioned stamps and their sounds "
        f"(tuxpaint-stamps, {known['tuxpaint-stamps'].licence}) and on the spoken sentences above, "
        f"Apache-2.0. `released/{BINDING}` lists the stamps, and every word of the captions.",
        "",
        "## Media that are shown",
        "",
        "The files of `released/samples/`, which the notebooks embed. Sounds were made mono at "
        "16 kHz and compressed; those under CC-BY-SA stay under it.",
        "",
        "| file | item | from | licence |",
        "|---|---|---|---|",
    ]
    for item, path in sorted(released.samples(folder).items(), key=lambda kv: kv[1]):
        name = released.source_of(item)
        lines.append(f"| {path.name} | `{item}` | {name} | {known[name].licence} |")
    lines += [
        "",
        "## Media in the tests",
        "",
        "`tests/encoders/turn_on_the_kitchen_light.ogg`: made for the test with eSpeak NG; speech "
        "made by a program is free of the program's licence, CC0-1.0. All other test media are "
        "made while the tests run.",
        "",
        "## Sources",
        "",
    ]
    for manifest in known.values():
        cite = f" {manifest.citation.strip()}" if manifest.citation else ""
        lines.append(
            f"- **{manifest.name}**: {manifest.title}. {manifest.licence}. "
            f"{manifest.attribution.strip().rstrip('.')}.{cite}"
        )
    return "\n".join(lines) + "\n"
