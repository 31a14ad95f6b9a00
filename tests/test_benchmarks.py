"""The benchmark scripts run; what they measure is not checked."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture
def qwen3_gpu() -> ModuleType:
    path = Path(__file__).parent / "benchmarks" / "qwen3_gpu.py"
    spec = importlib.util.spec_from_file_location("qwen3_gpu", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
