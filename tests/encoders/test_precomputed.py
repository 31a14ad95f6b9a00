"""Vectors from a file: found by id, whatever the order, and refused where they are no vectors."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gemb import encoders
from gemb.data.items import Item, Media
from gemb.encoders import Failure
from gemb.encoders.precomputed import PrecomputedError


def written(path, ids, vectors, kind=None):
    pq.write_table(pa.table({"id": pa.array(ids), "vector": pa.array(vectors, kind)}), path)
    return path


def item(name):
    return Item(name, "image", Media.absent(name, "not here"), "")


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    ids=st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=8, unique=True),
    dim=st.integers(1, 5),
    kind=st.sampled_from([pa.float64(), pa.float32(), pa.float16()]),
    fixed=st.booleans(),
    data=st.data(),
)
def test_every_id_gets_its_own_row_in_any_order(tmp_path, ids, dim, kind, fixed, data):
    vectors = np.arange(len(ids) * dim, dtype=np.float32).reshape(len(ids), dim)
    column = pa.list_(kind, dim) if fixed else pa.list_(kind)
    file = written(
        tmp_path / "v.parquet", ids, list(vectors.astype(kind.to_pandas_dtype())), column
    )
    encoder = encoders.load(f"precomputed:{file}")
    asked = data.draw(st.lists(st.sampled_from(ids)))
    found = encoder.encode([item(i) for i in asked])
    assert encoder.dim == encoder.identity().dim == dim
    assert len(found) == len(asked)
    for name, row in zip(asked, found, strict=True):
        assert row.dtype == np.float32
        np.testing.assert_array_equal(row, vectors[[ids.index(name)]])


def test_an_id_that_is_not_there_is_named_and_the_others_go_on(tmp_path):
    file = written(tmp_path / "v.parquet", ["a", "b"], [[1.0, 2.0], [3.0, 4.0]])
    a, gone, b = encoders.load(f"precomputed:{file}").encode(list(map(item, ("a", "gone", "b"))))
    assert gone == Failure("gone", "gone: no row of v.parquet has this id")
    assert a.tolist() == [[1, 2]] and b.tolist() == [[3, 4]]


def test_the_identity_is_the_files_content_and_not_its_place(tmp_path):
    (tmp_path / "sub").mkdir()
    one = written(tmp_path / "v.parquet", ["a"], [[1.0, 2.0]])
    same = written(tmp_path / "sub" / "w.parquet", ["a"], [[1.0, 2.0]])
    other = written(tmp_path / "x.parquet", ["a"], [[1.0, 3.0]])
    slugs = [encoders.load(f"precomputed:{f}").identity().slug for f in (one, same, other)]
    assert slugs[0] == slugs[1] != slugs[2]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"id": ["a", "a"], "vector": [[1.0], [2.0]]}, "these ids stand twice: a"),
        ({"id": ["a", "b"], "vector": [[1.0], [2.0, 3.0]]}, "these lengths: 1, 2"),
        ({"id": ["a", "b"], "vector": [[1.0], None]}, "these lengths: 1, None"),
        ({"id": ["a", "b"], "vector": [[1.0], [float("nan")]]}, "NaN or infinity .* of b"),
        ({"id": ["a"], "vector": ["1, 2"]}, "not lists of numbers"),
        ({"id": ["a"], "vector": [["x"]]}, "not lists of numbers"),
        ({"id": ["a"], "vectors": [[1.0]]}, "no column vector"),
    ],
)
def test_what_is_no_table_of_vectors_is_refused_by_file_and_reason(tmp_path, columns, said):
    pq.write_table(pa.table(columns), tmp_path / "v.parquet")
    with pytest.raises(PrecomputedError, match=rf"v\.parquet: .*{said}.*parquet file with the"):
        encoders.load(f"precomputed:{tmp_path / 'v.parquet'}")


def test_a_file_that_is_absent_or_no_parquet_is_refused(tmp_path):
    with pytest.raises(PrecomputedError, match="no such file"):
        encoders.load(f"precomputed:{tmp_path / 'nothing.parquet'}")
    (tmp_path / "v.parquet").write_text("id,vector")
    with pytest.raises(PrecomputedError, match=r"v\.parquet"):
        encoders.load(f"precomputed:{tmp_path / 'v.parquet'}")
