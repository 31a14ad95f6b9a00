import numpy as np
import pytest
import soundfile
import torch
from tiny_audio import noise
from typer.testing import CliRunner

from gemb import encoders
from gemb.audio_embedding.model import read_config
from gemb.cli import app
from gemb.data.items import Item, Media
from gemb.data.media import decode_audio
from gemb.encoders.base import Encoder, Failure
from gemb.errors import UserError


def words(text: str) -> Item:
    return Item(text or "empty", "text", Media.from_text(text), "")


def test_a_saved_model_is_an_encoder_of_sounds_and_texts(build, tmp_path):
    model = build()
    model.save(tmp_path / "m")
    encoder = encoders.load(f"open-audio:{tmp_path / 'm'}")
    assert isinstance(encoder, Encoder) and encoder.dim == model.dim
    picture = Item("picture", "image", Media(bytes, "png"), "")
    broken = Item("broken", "audio", Media(lambda: b"x", "wav"), "")
    items = [words("a dog"), noise(1.0), picture, broken, words(""), noise(0.4, 1)]
    rows = encoder.encode(items)
    assert [isinstance(r, Failure) for r in rows] == [False, False, True, True, True, False]
    assert "image" in rows[2].reason and "broken" in rows[3].reason and "empty" in rows[4].reason
    np.testing.assert_allclose(rows[0], model.embed_text(["a dog"]), atol=1e-5)
    np.testing.assert_allclose(rows[1], model.embed_audio([noise(1.0)]), atol=1e-5)
    assert rows[1].shape == (1, model.dim) and rows[1].dtype == np.float32

    same = encoders.load(f"open-audio:{tmp_path / 'm'}").identity()
    assert same == encoder.identity() and same.name == "open-audio"
    with torch.no_grad():
        model.body.norm.weight[0] += 0.1
    model.save(tmp_path / "other")
    assert encoders.load(f"open-audio:{tmp_path / 'other'}").identity() != same


def test_its_chunks_are_the_pieces_of_a_sound_each_encoded_alone(build, tmp_path):
    build().save(tmp_path / "m")
    encoder = encoders.load(f"open-audio:{tmp_path / 'm'}")
    long = noise(1.25)
    samples = decode_audio(long.media.bytes(), suffix="wav", name="long")
    pieces = []
    for n, part in enumerate((samples[:8000], samples[8000:16000], samples[16000:])):
        soundfile.write(tmp_path / f"{n}.wav", part, 16_000, subtype="FLOAT")
        pieces.append(Item(f"{n}", "audio", Media.from_file(tmp_path / f"{n}.wav"), ""))
    broken = Item("broken", "audio", Media(lambda: b"x", "wav"), "")
    rows = encoder.encode([words("a dog"), long, broken], "chunks:0.5")
    assert isinstance(rows[0], Failure) and "no view 'chunks:0.5' of text" in rows[0].reason
    assert isinstance(rows[2], Failure) and rows[2].reason.startswith("broken")
    np.testing.assert_allclose(rows[1], np.concatenate(encoder.encode(pieces)), atol=1e-5)
    assert encoder.identity("chunks:0.50") == encoder.identity("chunks:0.5")
    assert encoder.identity("chunks:0.5") != encoder.identity()
    with pytest.raises(ValueError, match="no view 'frames' in open-audio; there are: whole, chunk"):
        encoder.encode([long], "frames")


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no audio embedding model"):
        encoders.load(f"open-audio:{tmp_path}")
    with pytest.raises(UserError, match="open-audio:<folder>"):
        encoders.load("open-audio")


def test_a_model_is_made_from_a_recipe_and_a_table(tiny_llm, tmp_path, monkeypatch):
    monkeypatch.setattr("gemb.data.fetch.folder_of", _where_parts_are())
    monkeypatch.setenv("GEMB_HOME", str(tmp_path / "home"))
    lines = ["audio,caption"]
    for n in range(4):
        (tmp_path / f"{n}.wav").write_bytes(noise(0.5, n).media.bytes())
        lines.append(f"{n}.wav,caption {n}")
    (tmp_path / "silent.wav").write_bytes(b"")
    table = tmp_path / "pairs.csv"
    table.write_text("\n".join([*lines, "silent.wav,nothing"]), encoding="utf-8-sig")
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"route: prune\nlayers: 1\nparts: {{audio: [yamnet], llm: {tiny_llm}}}\n"
        "training: {batch_size: 2, epochs: 1}\n"
    )
    arguments = ["--config", str(recipe), "--pairs", str(table), "--out", str(tmp_path / "m")]
    done = CliRunner().invoke(app, ["audio", "train", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "tune: 2 steps" in done.output and "left out: silent.wav" in done.output
    encoder = encoders.load(f"open-audio:{tmp_path / 'm'}")
    assert encoder.encode([words("caption 1")])[0].shape == (1, encoder.dim)
    known = read_config(tmp_path / "m")["provenance"]
    assert (known["pairs"], known["warm_start"]) == ("pairs.csv", True)
    assert known["stages"][-1]["on"] == "4 audio pairs" and known["stages"][-1]["pairs_sha256"]
    also = ["--layers", "2", "--lora-rank", "4", "--seed", "0"]
    done = CliRunner().invoke(app, ["audio", "train", *arguments, *also])
    assert isinstance(done.exception, UserError)
    assert "say there what --layers, --lora-rank, --seed said" in str(done.exception)


def _where_parts_are():
    """The fetched parts, though the cache is elsewhere for the test."""
    from gemb.data import fetch

    folder = fetch.cache_dir() / "fetched"
    return lambda name: folder / name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--route", "sideways"], "cannot be trained"),
        (["--route", "prune"], "needs layers"),
        (["--route", "full", "--parts", "m9"], "no parts 'm9'"),
        (["--route", "full", "--pairs", "none.csv"], "none.csv cannot be read"),
    ],
)
def test_a_wrong_command_is_one_clear_line(arguments, said, tmp_path):
    done = CliRunner().invoke(app, ["audio", "train", "--out", str(tmp_path), *arguments])
    assert isinstance(done.exception, UserError) and said in str(done.exception)
