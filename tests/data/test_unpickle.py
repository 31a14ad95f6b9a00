"""The restricted unpickler: arrays of bytes and plain values come through, nothing else."""

import collections
import os
import pickle
import pickletools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from official import python2_pickle

from gemb.data import unpickle
from gemb.data.unpickle import PickleRefused

SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def load(folder: Path, content: bytes):
    path = folder / "data_batch_1"
    path.write_bytes(content)
    return unpickle.load(path)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@SETTINGS
@given(st.dictionaries(st.binary(max_size=8), plain, max_size=4), st.integers(0, 5))
def test_plain_values_come_through(tmp_path, value, protocol):
    # texts as bytes need a call of Python's codecs before protocol 3, which is refused
    if protocol >= 3:
        assert load(tmp_path, pickle.dumps(value, protocol)) == value
    assert load(tmp_path, python2_pickle(value)) == value


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dump", [python2_pickle, lambda v: pickle.dumps(v, 3)])
def test_arrays_of_bytes_come_through_as_numpy_1_and_2_write_them(tmp_path, dump, order):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4, order=order)
    found = load(tmp_path, dump({b"data": array}))[b"data"]
    assert np.array_equal(found, array) and found.dtype == np.uint8


def test_the_fixtures_are_written_as_python_2_wrote_them():
    text = python2_pickle({b"data": np.zeros((2, 2), np.uint8)})
    operations = {op.name for op, _, _ in pickletools.genops(text)}
    assert "BINSTRING" in operations and "BINBYTES" not in operations
    assert b"numpy.core.multiarray\n_reconstruct" in text


# Whatever pickles by naming a function or class that is none of an array of bytes.
others = st.sampled_from(
    [
        os.system, eval, print, Path("x"), collections.OrderedDict(a=1), np.float64(1.5), {1, 2},
        np.arange(3), np.array([None]), np.array(["a"]), np.zeros(2, "u1,O"), np.dtype("O"),
        np.ma.array([1]), range(3), 1j, ValueError("x"), bytearray(b"x"),
    ]
)  # fmt: skip


@SETTINGS
@given(others, st.integers(0, 4), plain)
def test_anything_else_is_refused_with_the_file_named(tmp_path, other, protocol, beside):
    if isinstance(other, set | bytearray) and protocol >= 4:
        return  # sets have their own opcode from protocol 4 on: plain values
    content = pickle.dumps({b"data": [beside, other]}, protocol)
    with pytest.raises(PickleRefused, match="data_batch_1"):
        load(tmp_path, content)


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "call",
    [
        Calls(os.system, "touch {}"),
        Calls(exec, "open({!r}, 'w')"),
        Calls(getattr, "x", "upper"),
        Calls(np.lib.format.open_memmap, "{}", "w+"),
    ],
)
def test_nothing_is_called(tmp_path, call):
    mark = tmp_path / "called"
    call.call = (call.call[0], tuple(a.format(str(mark)) for a in call.call[1]))
    with pytest.raises(PickleRefused):
        load(tmp_path, pickle.dumps({b"data": call}))
    assert not mark.exists()


@SETTINGS
@given(st.data())
def test_a_damaged_pickle_is_refused_or_read_and_never_more(tmp_path, data):
    content = bytearray(python2_pickle({b"data": np.zeros((4, 4), np.uint8), b"labels": [1, 2]}))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    kept = bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        found = load(tmp_path, kept)
    except PickleRefused:
        return
    assert isinstance(found, dict)


def test_an_array_with_a_false_shape_is_refused(tmp_path):
    good = python2_pickle({b"data": np.zeros((4, 4), np.uint8)})
    bad = good.replace(b"K\x04K\x04", b"K\x04K\x05")
    assert bad != good
    with pytest.raises(PickleRefused, match="16 bytes for an array of shape"):
        load(tmp_path, bad)


def test_what_is_no_dictionary_is_refused(tmp_path):
    with pytest.raises(PickleRefused, match="pickle of list"):
        load(tmp_path, pickle.dumps([1]))
