import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemb.data.items import Item, Media
from gemb.embed import embed
from gemb.encoders.base import EncoderIdentity, Failure
from gemb.store import Store

ONE = EncoderIdentity("fake", "r1", 4, "p1")


def vector(n, parts=1):
    return np.full((parts, 4), n, np.float32) + np.arange(parts, dtype=np.float32)[:, None]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "vectors")


def test_what_is_put_is_got_and_putting_twice_changes_nothing(store):
    for _ in range(2):
        store.put(ONE, ["a", "b"], [vector(1), vector(2, 3)])
    got = store.get(ONE, ["b", "a", "c"])
    assert set(got) == {"a", "b"} and store.count(ONE) == 4
    np.testing.assert_array_equal(got["b"], vector(2, 3))


@pytest.mark.parametrize(
    "change", [{"name": "x"}, {"revision": "r2"}, {"preprocessing": "p2"}, {"view": "chunks:2"}]
)
def test_identities_never_share_vectors(store, change):
    store.put(ONE, ["a"], [vector(1)])
    other = EncoderIdentity(**{**vars(ONE), **change})
    assert store.get(other, ["a"]) == {}
    store.put(other, ["a"], [vector(9)])
    np.testing.assert_array_equal(store.get(ONE, ["a"])["a"], vector(1))


@pytest.mark.parametrize(
    "bad", [np.full((1, 4), np.nan), np.zeros((1, 5)), np.zeros(4), np.zeros((0, 4))]
)
def test_a_bad_vector_is_refused_and_its_batch_stores_nothing(store, bad):
    with pytest.raises(ValueError, match=r"shape|NaN"):
        store.put(ONE, ["good", "bad"], [vector(1), bad])
    assert store.get(ONE, ["good"]) == {}


def test_the_nearest_are_found_among_those_asked_for(store):
    store.put(ONE, ["x", "y", "z"], [np.eye(4, dtype=np.float32)[[i]] for i in range(3)])
    ((key, similarity),) = store.nearest(ONE, np.array([0.1, 1, 0, 0]), ["x", "z"], 1)
    assert key == "x" and similarity == pytest.approx(0.1 / np.sqrt(1.01), abs=1e-3)
    assert store.nearest(ONE, np.array([0.1, 1, 0, 0]), ["x", "y"], 1)[0][0] == "y"


@settings(max_examples=10, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=8), unique=True, min_size=1, max_size=20))
def test_any_key_comes_back(tmp_path_factory, keys):
    store = Store(tmp_path_factory.mktemp("s"))
    store.put(ONE, keys, [vector(n) for n in range(len(keys))])
    got = store.get(ONE, keys)
    assert [got[k][0, 0] for k in keys] == list(range(len(keys)))


class FakeEncoder:
    name, revision, dim = "fake", "r1", 4
    modalities, views = ("image",), ("whole",)

    def __init__(self):
        self.seen = []

    def identity(self, view="whole"):
        return ONE

    def encode(self, items, view="whole"):
        self.seen += [i.id for i in items]
        return [
            Failure(i.id, "broken") if i.answer == "bad" else vector(int(i.answer)) for i in items
        ]


def item(key, answer):
    return Item(f"id-{key}", "image", Media.absent(key, "not here"), answer)


def test_embedding_encodes_only_what_is_missing_and_reports_failures(store):
    encoder = FakeEncoder()
    first = embed([item("a", "1"), item("b", "bad"), item("a", "1")], encoder, store)
    assert encoder.seen == ["id-a", "id-b"] and first.computed == 1
    assert [f.item_id for f in first.failures] == ["id-b"]
    again = embed([item("a", "1"), item("c", "3")], encoder, store)
    assert encoder.seen[2:] == ["id-c"] and set(again.vectors) == {"a", "c"}


def test_released_vectors_are_asked_before_anything_is_encoded(store):
    encoder = FakeEncoder()
    got = embed(
        [item("a", "1"), item("b", "2")],
        encoder,
        store,
        released=lambda keys: {k: vector(7) for k in keys if k == "a"},
    )
    assert encoder.seen == ["id-b"]
    np.testing.assert_array_equal(got.vectors["a"], vector(7))


def test_a_killed_run_loses_at_most_one_batch(tmp_path):
    """A process is killed while it encodes its third batch; the first two are kept."""
    script = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from test_store import FakeEncoder, item
        from gemb.embed import embed
        from gemb.store import Store

        class Killed(FakeEncoder):
            def encode(self, items, view="whole"):
                if len(self.seen) == 8:
                    os.kill(os.getpid(), signal.SIGKILL)
                return super().encode(items, view)

        embed([item(str(n), str(n)) for n in range(20)], Killed(), Store(Path(sys.argv[1])),
              batch_size=4)
        """
    )
    here = os.path.dirname(__file__)
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "v", here], check=False)
    assert done.returncode == -signal.SIGKILL
    encoder, store = FakeEncoder(), Store(tmp_path / "v")
    assert store.count(ONE) == 8
    got = embed([item(str(n), str(n)) for n in range(20)], encoder, store, batch_size=4)
    assert len(encoder.seen) == 12 and len(got.vectors) == 20


def test_frames_lie_beside_the_tables_whole_and_once(store):
    frames = EncoderIdentity("fake", "r1", 4, "p1", "frames")
    long = np.arange(40, dtype=np.float32).reshape(10, 4) / 8
    store.put(frames, ["a", "b"], [long, vector(2, 3)])
    store.put(frames, ["a"], [vector(9)])
    got = store.get(frames, ["b", "a", "c"])
    assert set(got) == {"a", "b"} and store.count(frames) == 2
    np.testing.assert_array_equal(got["a"], long)
    assert got["a"].dtype == np.float32
    assert store.missing(frames, ["c", "a", "c"]) == ["c"]
    with pytest.raises(ValueError, match="NaN"):
        store.put(frames, ["d", "e"], [vector(1), vector(np.nan)])
    assert store.missing(frames, ["d", "e"]) == ["d", "e"]


@pytest.mark.parametrize(
    "name",
    ["openai-compatible/nomic-embed-text:latest", "sentence-transformers/my möbel", "x" * 300],
)
def test_an_encoder_may_be_called_what_a_table_may_not(tmp_path, name):
    identity = EncoderIdentity(name, "1", 2, "1")
    store = Store(tmp_path)
    store.put(identity, ["a"], [np.ones((1, 2), np.float32)])
    assert store.get(identity, ["a"])["a"].tolist() == [[1.0, 1.0]]
