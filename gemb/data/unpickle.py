"""Reading a pickle that may hold plain values and arrays of bytes, and nothing else.

A pickle is a program: it can name any function of any module and have it called. Here
NumPy's own rebuilding functions are not called either, for a crafted state can make them
misread memory; stand-ins of this module take their place.
"""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from gemb.errors import UserError


class PickleRefused(UserError, ValueError):
    """A pickle that is damaged, or asks for more than plain values and arrays of bytes."""


class _Bytes:
    """Stands for ``numpy.dtype`` of unsigned bytes."""

    def __init__(self, code: Any, *_: Any):
        if code not in ("u1", b"u1"):
            raise pickle.UnpicklingError(f"an array of {code!r}, not of bytes")

    def __setstate__(self, _: Any) -> None:
        pass  # byte order and alignment, which single bytes do not have


class _Array:
    """Stands for ``numpy.ndarray``, and for the function that begins to rebuild one."""

    def __init__(self, *_: Any):
        self.array = np.empty(0, np.uint8)

    def __setstate__(self, state: Any) -> None:
        _version, shape, kind, by_columns, data = state
        if not isinstance(kind, _Bytes) or not isinstance(data, bytes):
            raise pickle.UnpicklingError("an array of something else than bytes")
        if any(type(n) is not int or n < 0 for n in shape) or math.prod(shape) != len(data):
            raise pickle.UnpicklingError(f"{len(data)} bytes for an array of shape {shape}")
        flat = np.frombuffer(data, np.uint8)
        self.array = flat.reshape(shape, order="F" if by_columns else "C")


# Everything that a pickled array of bytes names, as NumPy 1 and 2 write it.
_ALLOWED: dict[tuple[str, str], type] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Bytes,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _ALLOWED[module, name]


def load(path: Path) -> dict[bytes, Any]:
    """The dictionary in a pickle file of Python 2, whose texts are bytes.

    Returns:
        Its values by key; arrays among them are read-only, of unsigned bytes.

    Raises:
        PickleRefused: The file is damaged or no dictionary, or it names a function
            or class beside those that arrays of bytes need. Nothing of it was run.
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        try:
            found = _Unpickler(stream, encoding="bytes").load()
        # a damaged pickle makes the machine trip over anything
        except Exception as error:
            raise PickleRefused(
                f"{path}: refused to read this pickle, delete it: {error}"
            ) from error
    if not isinstance(found, dict):
        raise PickleRefused(f"{path}: a pickle of {type(found).__name__}, not of a dictionary")
    return {k: v.array if isinstance(v, _Array) else v for k, v in found.items()}
