"""Vectors on disk, so that nothing is embedded twice."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa

from gemb.encoders.base import EncoderIdentity

FRAMES = "frames"  # the view of unpooled vectors


class Store:
    """Vectors by item key and encoder identity, in LanceDB: one table an identity.

    A table fixes the vectors' dimension, and two encoders, revisions or views
    never meet in one. A row is one vector; an item of several (chunks of a
    clip) has several rows. Writing is an upsert in one transaction a call: a
    kill loses at most the batch that was being written, and writing twice
    changes nothing.

    Frames, some forty vectors a second of sound, lie in a file an item
    beside the tables, rounded to float16; they cannot be searched.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._db = lancedb.connect(folder)
        self._tables: dict[str, Any] = {}

    def _table(self, identity: EncoderIdentity) -> Any:
        if identity.slug not in self._tables:
            schema = pa.schema(
                [
                    pa.field("row", pa.string(), nullable=False),  # key and part: what is unique
                    pa.field("key", pa.string(), nullable=False),
                    pa.field("part", pa.int32(), nullable=False),
                    pa.field("parts", pa.int32(), nullable=False),
                    pa.field("vector", pa.list_(pa.float32(), identity.dim), nullable=False),
                ]
            )
            self._tables[identity.slug] = self._db.create_table(
                identity.slug, schema=schema, exist_ok=True
            )
        return self._tables[identity.slug]

    def put(
        self, identity: EncoderIdentity, keys: Sequence[str], vectors: Sequence[np.ndarray]
    ) -> None:
        """Add the vectors ``[n_i, dim]`` of each key; keys already there are left as they are.

        Raises:
            ValueError: If a vector has another dimension or is not finite; nothing is stored.
        """
        for key, parts in zip(keys, vectors, strict=True):
            if parts.ndim != 2 or parts.shape[1] != identity.dim or len(parts) == 0:
                raise ValueError(f"{key}: shape {parts.shape}, expected [n, {identity.dim}]")
            if not np.isfinite(parts).all():
                raise ValueError(f"{key}: the vector holds NaN or infinity")
        if identity.view == FRAMES:
            for key, parts in zip(keys, vectors, strict=True):
                self._put_frames(self._frames(identity, key), parts)
            return
        rows: dict[str, dict[str, object]] = {}
        for key, parts in zip(keys, vectors, strict=True):
            for part, vector in enumerate(parts.astype(np.float32)):
                row = f"{key}#{part}"
                rows[row] = {
                    "row": row,
                    "key": key,
                    "part": part,
                    "parts": len(parts),
                    "vector": vector,
                }
        if not rows:
            return
        table = self._table(identity)
        data = pa.Table.from_pylist(list(rows.values()), schema=table.schema)
        table.merge_insert("row").when_not_matched_insert_all().execute(data)

    def get(self, identity: EncoderIdentity, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """The vectors ``[n_i, dim]`` of those keys that are stored, all their parts or none."""
        if identity.view == FRAMES:
            paths = {key: self._frames(identity, key) for key in dict.fromkeys(keys)}
            return {k: np.load(p).astype(np.float32) for k, p in paths.items() if p.exists()}
        table, found = self._table(identity), {}
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), 500):
            listed = ", ".join(
                "'" + k.replace("'", "''") + "'" for k in wanted[start : start + 500]
            )
            rows = table.search().where(f"key IN ({listed})").limit(None).to_arrow()
            vectors = np.stack(rows["vector"].to_numpy()) if len(rows) else np.empty((0, 0))
            where: dict[str, dict[int, int]] = {}
            parts = rows["part"].to_pylist()
            for number, key in enumerate(rows["key"].to_pylist()):
                where.setdefault(key, {})[parts[number]] = number
            totals = dict(zip(rows["key"].to_pylist(), rows["parts"].to_pylist(), strict=True))
            for key, places in where.items():
                if len(places) == totals[key]:
                    found[key] = vectors[[places[p] for p in sorted(places)]].astype(np.float32)
        return found

    def missing(self, identity: EncoderIdentity, keys: Sequence[str]) -> list[str]:
        """Those of ``keys`` that have no vector yet, in order, once each."""
        if identity.view == FRAMES:
            return [k for k in dict.fromkeys(keys) if not self._frames(identity, k).exists()]
        there = self.get(identity, keys)
        return [k for k in dict.fromkeys(keys) if k not in there]

    def nearest(
        self, identity: EncoderIdentity, vector: np.ndarray, among: Sequence[str], count: int = 3
    ) -> list[tuple[str, float]]:
        """The ``count`` keys of ``among`` closest by cosine, with their similarity."""
        listed = ", ".join("'" + k.replace("'", "''") + "'" for k in among)
        rows = (
            self._table(identity)
            .search(vector.astype(np.float32), vector_column_name="vector")
            .distance_type("cosine")
            .where(f"key IN ({listed})", prefilter=True)
            .limit(count)
            .to_list()
        )
        return [(r["key"], 1.0 - float(r["_distance"])) for r in rows]

    def compact(self, identity: EncoderIdentity) -> None:
        """Merge the many small files that batches leave.

        Versions of the last minutes stay, for another process may be reading them.
        """
        if identity.view == FRAMES:
            return
        self._table(identity).optimize(cleanup_older_than=timedelta(minutes=10))

    def count(self, identity: EncoderIdentity) -> int:
        """Number of vectors stored; of items, if they are frames."""
        if identity.view == FRAMES:
            return sum(1 for _ in (self.folder / identity.slug).glob("*.npy"))
        return int(self._table(identity).count_rows())

    def _frames(self, identity: EncoderIdentity, key: str) -> Path:
        return self.folder / identity.slug / f"{key}.npy"

    @staticmethod
    def _put_frames(path: Path, frames: np.ndarray) -> None:
        """Written beside and moved into place, so that a file that is there is whole."""
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            np.save(file, frames.astype(np.float16))
        os.replace(file.name, path)
