"""Tests marked ``data`` run where their data are in the cache, and are skipped elsewhere."""

import os
from collections.abc import Iterator

import pytest

from gemb.data.fetch import SourceUnavailable


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """The checks never download the large packages: what is not there is skipped, and said."""
    if item.get_closest_marker("data") is None:
        return (yield)
    before = os.environ.get("OFFLINE")
    os.environ["OFFLINE"] = "1"
    try:
        return (yield)
    except SourceUnavailable as error:
        pytest.skip(f"not in the cache: {error}")
    finally:
        if before is None:
            del os.environ["OFFLINE"]
        else:
            os.environ["OFFLINE"] = before
