"""The benchmark scripts run; what they measure is not checked."""

import csv
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

RECORDS = Path(__file__).parents[1] / "book/records"


def script(name: str) -> ModuleType:
    path = Path(__file__).parent / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def qwen3_gpu() -> ModuleType:
    return script("qwen3_gpu")


@pytest.mark.parametrize("name", ["training_speed", "audio_speed", "side_by_side"])
def test_the_books_tables_of_speed_have_their_csv(name: str) -> None:
    markdown = (RECORDS / f"{name}.md").read_text(encoding="utf-8")
    found = (RECORDS / f"{name}.csv").read_text(encoding="utf-8")
    assert found == script("tables").as_csv(markdown)
    rows = [row for row in csv.reader(found.splitlines()) if len(row) > 1]
    rules = markdown.count("\n|--") + markdown.count("\n| --")
    assert len(rows) == sum(x.startswith("|") for x in markdown.splitlines()) - rules


def test_the_gpu_benchmark_runs_tiny(
    qwen3_gpu: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "table.md"
    qwen3_gpu.main(["--tiny", "--repeats", "1", "--batch", "4", "--out", str(out)])
    assert capsys.readouterr().out == out.read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in out.read_text(encoding="utf-8").splitlines()[2:]]
    assert [len(row) for row in rows] == [9] * 4
    # before 3 tokens, which are shared; after 17; an answer of one token; k virtual ones
    assert [row[2] for row in rows[2:]] == [str(4 * (17 + 1 + k)) for k in (1, 32)]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_benchmark_says_so(qwen3_gpu: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"no CUDA GPU here.*--tiny"):
        qwen3_gpu.main([])
