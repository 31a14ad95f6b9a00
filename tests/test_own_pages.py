"""The pages about one's own things do what they say: their own code and commands are run."""

import re
import shlex
import sys

import pytest
from typer.testing import CliRunner

from gemb import encoders
from gemb.cli import app
from gemb.data.items import Item, Media
from gemb.data.manifests import MANIFESTS, ROOT
from gemb.data.released import samples
from gemb.encoders import REGISTRY, Encoder, Failure

runner = CliRunner()


def blocks(page):
    """Language and text of each code block of a page of the book."""
    text = (ROOT / "book" / page).read_text(encoding="utf-8")
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_the_encoder_of_the_page_is_ten_lines_and_works(tmp_path, monkeypatch):
    code = [body for language, body in blocks("your_own_encoder.md") if language == "python"]
    assert len([line for line in code[0].splitlines() if line.strip()]) <= 10
    (tmp_path / "colours.py").write_text(code[0])
    monkeypatch.syspath_prepend(tmp_path)
    try:
        exec(code[1], {})
        encoder = encoders.load("colours")
        assert isinstance(encoder, Encoder)
        pictures = [p for p in samples().values() if p.suffix == ".png"]
        items = [Item(p.name, "image", Media.from_file(p), "") for p in pictures]
        broken = Item("broken.png", "image", Media(lambda: b"nothing", "png"), "")
        sound = Item("sound.wav", "audio", Media(lambda: b"", "wav"), "")
        *good, bad, wrong = encoder.encode([*items, broken, sound])
        assert all(v.shape == (1, 48) and v.dtype == "float32" for v in good)
        assert isinstance(bad, Failure) and bad.reason.startswith("broken.png: not an image")
        assert wrong == Failure("sound.wav", "sound.wav: colours reads image, not audio")
        listed = runner.invoke(app, ["encoders"])
        assert "colours" in listed.output and "no weights" in listed.output
    finally:
        REGISTRY.pop("colours", None)
        sys.modules.pop("colours", None)


@pytest.mark.slow
def test_the_commands_of_the_data_page_run_as_they_stand(tmp_path, monkeypatch):
    (tmp_path / "data_manifests").symlink_to(MANIFESTS)
    monkeypatch.chdir(tmp_path)
    said = []
    for language, body in blocks("your_own_data.md"):
        if language == "python":
            exec(body, {})
        for line in body.splitlines() if language == "sh" else []:
            program, *arguments = shlex.split(line)
            assert program == "gemb"
            done = runner.invoke(app, arguments)
            assert done.exit_code == 0, (line, done.output, done.exception)
            said.append(done.stdout)
    released, trained, asked, together = said
    rows = [line.split("\t") for line in released.splitlines() if "\t" in line]
    assert len(rows) == 2 and all(0 < float(sure) <= 1 for _, _, sure in rows)
    assert "logistic regression on the same vectors" in trained
    assert trained.count("validation") >= 2 and "written to shapes-adaptor" in trained
    answers = [line.split("\t")[1] for line in asked.splitlines() if "\t" in line]
    assert len(answers) == 2
    assert together.count("\t") == 2 and together.startswith("shapes/00.png shapes/01.png\t")
    card = (tmp_path / "shapes-adaptor" / "README.md").read_text(encoding="utf-8")
    assert "Which shape is this?" in card and "circle (20)" in card


@pytest.mark.slow
def test_the_commands_of_the_audio_encoders_page_run_as_they_stand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    for language, body in blocks("your_own_audio_encoder.md"):
        if language == "python":
            exec(body, {})
        if language == "yaml":
            (tmp_path / "recipe.yaml").write_text(body, encoding="utf-8")
        for line in body.splitlines() if language == "sh" else []:
            program, *arguments = shlex.split(line)
            assert program == "gemb"
            done = runner.invoke(app, arguments)
            assert done.exit_code == 0, (line, done.output, done.exception)
            said.append(done.stdout)
    trained, labelled, found = said
    assert (
        trained.startswith("done: tune\ntune: 12 steps, loss ") and "open-audio:my-model" in trained
    )
    known = (tmp_path / "captions.txt").read_text(encoding="utf-8").splitlines()
    labels = [line.split("\t") for line in labelled.splitlines()]
    assert len(labels) == 3 and len(known) == 4
    assert {caption for _, caption, _ in labels} <= set(known)
    hits = [line.split("\t")[0] for line in found.splitlines()]
    assert hits == list(dict.fromkeys(hits)) and len(hits) == 3
    assert all(hit.endswith(".wav") for hit in hits)
