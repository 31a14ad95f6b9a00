"""The path of the profile ``paper``: Google's client, Qwen3's classes, official files.

What cannot be had here is stood in for, in kind: `gemb serve` speaks the API's wire format, the
language model has Qwen3's classes at a tiny random size, and the datasets are a few made-up items
in their publishers' formats.
"""

from pathlib import Path

import nbformat
import numpy as np
import official
import pytest
from PIL import Image

from gemb import encoders, paper, serve
from gemb.data import fetch
from gemb.data.items import Item, Media
from gemb.data.media import encode_png, encode_wav

NOTEBOOKS = sorted(p.stem for p in paper.NOTEBOOKS.glob("[0-9]*.ipynb"))
MODEL = "gemini-embedding-2"
OPEN_PARTS = ("moonshine-base", "yamnet", "minilm", "piper-joe", "imagenet-names")
_NOISE = np.random.default_rng(0)
ONE_OF_EACH = [
    Item("text", "text", Media.from_text("a word"), ""),
    Item(
        "image",
        "image",
        Media(lambda: encode_png(Image.fromarray(np.full((32, 32, 3), 90, np.uint8))), "png"),
        "",
    ),
    Item(
        "sound",
        "audio",
        Media(lambda: encode_wav(0.1 * _NOISE.normal(size=16000).astype(np.float32)), "wav"),
        "",
    ),
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """The home of a reader who has the datasets, and no network: only the server answers."""
    encoder = encoders.load("open-bound")
    home = tmp_path_factory.mktemp("home")
    # section 2's ceiling is a real recogniser; section 5 is of open parts under every profile
    parts = {name: fetch.fetch(name) for name in OPEN_PARTS}
    with pytest.MonkeyPatch.context() as patch, serve.running(encoder, models=[MODEL]) as url:
        patch.setenv("GOOGLE_GEMINI_BASE_URL", url)
        patch.setenv("GEMB_REQUESTS_PER_MINUTE", "1000000")
        patch.setenv("GEMB_TOKENS_PER_MINUTE", "1000000000")
        for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY"):
            patch.delenv(name, raising=False)
        warmed = encoder.encode(ONE_OF_EACH)  # its weights are read before the home changes
        assert all(isinstance(w, np.ndarray) for w in warmed), warmed
        patch.setenv("GEMB_HOME", str(home))
        for name, folder in parts.items():
            fetch.folder_of(name).parent.mkdir(parents=True, exist_ok=True)
            fetch.folder_of(name).symlink_to(folder)
        official.adopt_all(official.write_all(tmp_path_factory.mktemp("official")))
        patch.setenv("OFFLINE", "1")
        yield home


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_notebook_runs_as_the_study_was_run(name: str, reader: Path, tmp_path: Path):
    done = paper.execute(
        paper.NOTEBOOKS / f"{name}.ipynb", tmp_path / f"{name}.ipynb", "paper-smoke"
    )
    cells = nbformat.read(done, as_version=4).cells
    assert any(c.get("outputs") for c in cells if c.cell_type == "code")
    section = name.split("_", 1)[1]
    record = (reader / "records" / f"{section}.paper-smoke.json").read_text(encoding="utf-8")
    assert f"{MODEL} at http://127.0.0.1" in record or "gemini-" in record
    assert "qwen3-tiny" in record
