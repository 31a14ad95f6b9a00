"""Vectors that someone has already: looked up by item id, nothing is encoded."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gemb.data.items import Item
from gemb.encoders.base import ItemEncoder
from gemb.errors import UserError
from gemb.tasks import Modality


class PrecomputedError(UserError, ValueError):
    """A file of vectors that cannot be used; names the file, what is wrong and what it needs."""

    def __init__(self, path: Path, problem: str):
        super().__init__(
            f"{path}: {problem}; precomputed vectors are a parquet file with the columns `id` "
            "(text, each once) and `vector` (lists of numbers, all of one length)"
        )


class Precomputed(ItemEncoder):
    """Vectors of a parquet file with the columns ``id`` and ``vector``, one row an item.

    They are used as they are. The identity carries the hash of the file, so that vectors of two
    files, or of one file before and after a change, never meet.

    Raises:
        PrecomputedError: The file is absent, no such table, or holds what is no vector.
    """

    name = "precomputed"
    modalities: tuple[Modality, ...] = ("image", "audio", "text")

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise PrecomputedError(self.path, "there is no such file")
        with self.path.open("rb") as file:
            self.revision = hashlib.file_digest(file, "sha256").hexdigest()[:12]
        try:
            missing = {"id", "vector"} - set(pq.read_schema(self.path).names)
            if missing:
                raise ValueError(f"no column {' and no '.join(sorted(missing))}")
            table = pq.read_table(self.path, columns=["id", "vector"])
            self._vectors = _matrix(table["vector"].combine_chunks())
        except (pa.ArrowException, OSError, ValueError) as error:
            raise PrecomputedError(self.path, str(error)) from error
        ids = [str(i) for i in table["id"].to_pylist()]
        self._rows = {key: row for row, key in enumerate(ids)}
        twice = [i for i, count in Counter(ids).items() if count > 1]
        if twice:
            raise PrecomputedError(self.path, f"these ids stand twice: {', '.join(twice[:5])}")
        bad = np.flatnonzero(~np.isfinite(self._vectors).all(1))
        if len(bad):
            names = ", ".join(ids[n] for n in bad[:5])
            raise PrecomputedError(self.path, f"NaN or infinity in the vectors of {names}")
        self.dim = self._vectors.shape[1]

    def vector(self, item: Item) -> np.ndarray:
        """The row of the item's id ``[D]``."""
        if item.id not in self._rows:
            raise ValueError(f"no row of {self.path.name} has this id")
        return self._vectors[self._rows[item.id]]


def _matrix(column: pa.Array) -> np.ndarray:
    """Lists of one length as float32 ``[N, D]``."""
    kind = column.type
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(is_kind(kind) for is_kind in lists) or not (
        pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)
    ):
        raise ValueError(f"`vector` holds {kind}, not lists of numbers")
    lengths = set(pc.list_value_length(column).to_pylist())
    if len(lengths) != 1 or not lengths - {0, None}:
        shown = ", ".join(map(str, sorted(lengths, key=str)[:5])) or "none at all"
        raise ValueError(f"its vectors have these lengths: {shown}")
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    return flat.reshape(len(column), -1)
