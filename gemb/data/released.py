"""The committed vectors: what a reader without raw data, and CI, runs on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gemb.data.items import Item, Media
from gemb.data.manifests import MANIFESTS

FOLDER = MANIFESTS / "released"
_HEADER = b"gemb"


def has(task: str, folder: Path = FOLDER) -> bool:
    """Whether vectors of ``task`` are released."""
    return task in _items_by_task(folder)


@cache
def _rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / "items.parquet"
    return pq.read_table(path).to_pylist() if path.exists() else []


@cache
def _items_by_task(folder: Path) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for row in _rows(folder):
        found.setdefault(row["task"], []).append(
            Item(
                id=row["id"],
                modality=row["modality"],
                media=Media.absent(
                    row["key"], f"{row['id']}: only its released vector is here, not its media"
                ),
                answer=row["answer"],
                group=row["group"],
                split=row["split"],
                subset=row["subset"],
                meta=json.loads(row["meta"]),
            )
        )
    return found


def items(task: str, folder: Path = FOLDER) -> list[Item]:
    """The released items of a task or dataset; their media are absent, their vectors are not.

    Raises:
        KeyError: If nothing is released for the task.
    """
    if not has(task, folder):
        raise KeyError(f"nothing is released for {task!r} in {folder}")
    return list(_items_by_task(folder)[task])


def places(task: str, folder: Path = FOLDER) -> dict[str, dict[str, str]]:
    """In which part of which leak-free fold each item of a task was, by its id; of a dataset that
    no adaptor is trained on: nothing."""
    mine = (row for row in _rows(folder) if row["task"] == task)
    return {row["id"]: found for row in mine if (found := json.loads(row["places"]))}


def headers(folder: Path = FOLDER) -> dict[Path, dict[str, Any]]:
    """What the vectors of each file were made by: encoder, manifest hashes, block."""
    return {
        path: json.loads(pq.read_schema(path).metadata[_HEADER])
        for path in sorted(folder.glob("vectors-*.parquet"))
    }


def vectors(
    encoder: str, folder: Path = FOLDER
) -> Callable[[Sequence[str]], dict[str, np.ndarray]]:
    """A look-up from item keys to released vectors ``[1, D]`` of one encoder (its slug)."""

    @cache
    def tables() -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        for path, about in headers(folder).items():
            if about["encoder"] != encoder:
                continue
            table = pq.read_table(path)
            block = np.stack(table["vector"].to_numpy()).astype(np.float32)
            whole = np.zeros((len(block), about["dim"]), np.float32)
            whole[:, about["start"] : about["start"] + block.shape[1]] = block
            found |= {k: whole[i : i + 1] for i, k in enumerate(table["key"].to_pylist())}
        return found

    return lambda keys: {k: tables()[k] for k in keys if k in tables()}


def write_items(
    by_task: Mapping[str, Sequence[Item]],
    places: Mapping[str, Mapping[str, Mapping[str, str]]],
    folder: Path = FOLDER,
) -> None:
    """Write the items of each task or dataset, without their media.

    Args:
        by_task: The items.
        places: By task and item id, the part of each leak-free fold that it is in.
        folder: Where to write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "task": task,
            "id": i.id,
            "key": i.media.key,
            "modality": i.modality,
            "answer": i.answer,
            "group": i.group,
            "split": i.split,
            "subset": i.subset,
            "meta": json.dumps(dict(i.meta), sort_keys=True),
            "places": json.dumps(places.get(task, {}).get(i.id, {}), sort_keys=True),
        }
        for task, listed in by_task.items()
        for i in listed
    ]
    schema = pa.schema([(name, pa.string()) for name in rows[0]])
    pq.write_table(
        pa.Table.from_pylist(rows, schema=schema), folder / "items.parquet", compression="zstd"
    )
    _rows.cache_clear()
    _items_by_task.cache_clear()


def write_vectors(
    name: str,
    items: Sequence[Item],
    by_key: Mapping[str, np.ndarray],
    encoder: str,
    manifests: Mapping[str, str],
    folder: Path = FOLDER,
) -> None:
    """Write vectors (float16, without the block that is zero for the modality).

    Args:
        name: Of the encoder, for the files' names.
        items: Whose vectors; a file for each of their modalities.
        by_key: Vector ``[1, D]`` of each item key.
        encoder: Slug of the encoder's identity.
        manifests: Hash of each manifest that the items come from.
        folder: Where to write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for modality in sorted({i.modality for i in items}):
        keys = sorted({i.media.key for i in items if i.modality == modality})
        whole = np.concatenate([by_key[k] for k in keys])
        used = np.flatnonzero(np.abs(whole).max(0))
        start, stop = int(used[0]), int(used[-1]) + 1
        about = {
            "encoder": encoder,
            "dim": whole.shape[1],
            "start": start,
            "manifests": dict(manifests),
        }
        block = pa.FixedSizeListArray.from_arrays(
            pa.array(whole[:, start:stop].astype(np.float16).ravel()), stop - start
        )
        table = pa.table({"key": pa.array(keys), "vector": block})
        pq.write_table(
            table.replace_schema_metadata({_HEADER: json.dumps(about, sort_keys=True)}),
            folder / f"vectors-{name.replace(':', '-')}-{modality}.parquet",
            compression="zstd",
            column_encoding={"vector.list.element": "BYTE_STREAM_SPLIT"},
            use_dictionary=["key"],
        )


def sentences(folder: Path = FOLDER) -> list[str]:
    """The sentences taken from WordNet, in their order: text alone, to be spoken anew."""
    return (folder / "sentences.txt").read_text(encoding="utf-8").splitlines()


def source_of(item: str) -> str:
    """The dataset whose licence the medium of an item is under, by the item's id."""
    dataset, kind, *rest = item.split("/")
    if dataset != "audio-pairs":
        return dataset
    return "spoken-commands" if kind == "speech" else rest[0]


def samples(folder: Path = FOLDER) -> dict[str, Path]:
    """The few media that are committed for showing: file by item id."""
    path = folder / "samples" / "index.json"
    if not path.exists():
        return {}
    listed: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return {item: folder / "samples" / name for item, name in listed.items()}
