"""Routing, labelling and search: the nearest is found, and what cannot be used is named."""

from pathlib import Path

import numpy as np
import pytest
from tiny_audio import noise
from typer.testing import CliRunner

from gemb.audio_embedding import uses
from gemb.cli import app
from gemb.data.fetch import cache_dir
from gemb.data.items import Item, Media
from gemb.data.media import RATE, decode_audio, encode_wav
from gemb.data.readers.spoken_commands import COMMANDS
from gemb.encoders.base import Failure, ItemEncoder
from gemb.errors import UserError
from gemb.store import Store

SPEECH = Path(__file__).parents[1] / "encoders" / "turn_on_the_kitchen_light.ogg"
PITCHES = {"low": 200, "middle": 1000, "high": 5000}


class ByEar(ItemEncoder):
    """Not a model: places sounds by their strongest frequency, texts by the pitch they name."""

    name, dim, modalities = "by-ear", 3, ("audio", "text")

    def __init__(self):
        self.heard: list[str] = []

    def vector(self, item: Item) -> np.ndarray:
        self.heard.append(item.id)
        data = item.media.bytes()
        if item.modality == "text":
            words = data.decode().split()
            return np.array([1.0 + 9.0 * (name in words) for name in PITCHES])
        samples = decode_audio(data, suffix="wav", name=item.id)
        hertz = np.argmax(np.abs(np.fft.rfft(samples))) * RATE / len(samples)
        return 1 / (1 + np.abs(np.log(np.array([*PITCHES.values()]) / hertz)))


def tone(pitch: str, seconds: float = 0.5) -> bytes:
    times = np.arange(round(seconds * RATE)) / RATE
    return encode_wav((0.3 * np.sin(2 * np.pi * PITCHES[pitch] * times)).astype(np.float32))


def command(pitch: str, said: str, voice: str) -> Item:
    seconds = 0.5 + len(voice) / 10
    media = Media(lambda: tone(pitch, seconds), "wav")
    return Item(f"{voice}/{said}", "audio", media, said, group=voice)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three tones, a copy of one, a broken file, and a text that is none of its business."""
    folder = tmp_path / "sounds"
    (folder / "deep").mkdir(parents=True)
    for name in ("middle", "high"):
        (folder / f"{name}.wav").write_bytes(tone(name))
    (folder / "deep" / "low.WAV").write_bytes(tone("low"))
    (folder / "copy.wav").write_bytes(tone("high"))
    (folder / "broken.ogg").write_bytes(b"no sound")
    (folder / "notes.txt").write_text("not a sound")
    return folder


def test_every_command_of_the_grammar_is_for_one_of_a_dozen_tools():
    tools = uses.read_tools()
    assert len(tools) == 12
    assert {uses.tool_for(c, tools) for c in COMMANDS} == set(tools)
    assert uses.tool_for("pause the music", tools) == "player"
    assert uses.tool_for("turn down the music in the bedroom", tools) == "volume"


def test_a_folder_is_searched_by_words_and_embedded_once(folder, store):
    encoder = ByEar()
    hits, failures = uses.search(encoder, "a high tone", uses.sounds(folder), store, count=3)
    assert {Path(h.name).name for h in hits[:2]} == {"high.wav", "copy.wav"}
    assert Path(hits[2].name).name == "middle.wav"
    assert [Path(f.item_id).name for f in failures] == ["broken.ogg"]
    near = [h.similarity for h in hits]
    assert near == sorted(near, reverse=True) and 0.0 < near[-1] < near[0] <= 1.0 + 1e-6

    encoder.heard.clear()
    hits, _ = uses.search(encoder, "a low tone", uses.sounds(folder), store)
    assert Path(hits[0].name).name == "low.WAV" and len(hits) == 4
    # what could not be read is tried again, what could is not
    assert {Path(name).name for name in encoder.heard} == {"the query", "broken.ogg"}


def test_a_sound_finds_others_but_not_its_own_copies(folder, store):
    hits, _ = uses.search(
        ByEar(), uses.sound(folder / "high.wav"), uses.sounds(folder), store, count=9
    )
    assert [Path(h.name).name for h in hits] == ["middle.wav", "low.WAV"]


def test_what_cannot_be_searched_is_said(folder, store, tmp_path):
    with pytest.raises(UserError, match="is no folder"):
        uses.sounds(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no sound: no file in it ends in .*\.wav"):
        uses.sounds(tmp_path / "empty")
    with pytest.raises(UserError, match=r"nothing to find[^$]*broken\.ogg"):
        uses.search(ByEar(), "a high tone", [uses.sound(folder / "broken.ogg")], store)
    with pytest.raises(UserError, match=r"gone\.wav"):
        uses.search(ByEar(), uses.sound(tmp_path / "gone.wav"), uses.sounds(folder), store)
    deaf = ByEar()
    deaf.modalities = ("text",)
    with pytest.raises(UserError, match="by-ear reads text, not audio"):
        uses.search(deaf, "a high tone", uses.sounds(folder), store)


def test_a_file_that_vanishes_is_named_and_the_rest_go_on(folder, store):
    items = uses.sounds(folder)
    (folder / "middle.wav").unlink()
    hits, failures = uses.search(ByEar(), "a middle tone", items, store)
    assert len(hits) == 3 and any("middle.wav" in f.reason for f in failures)


def test_a_sound_is_labelled_by_its_nearest_captions(folder, store):
    items = [uses.sound(folder / name) for name in ("high.wav", "broken.ogg", "deep/low.WAV")]
    captions = ["a low tone", "a middle tone", "a high tone", "a high tone"]
    answers = uses.label(ByEar(), items, captions, store, count=2)
    assert [h.name for h in answers[0]] == ["a high tone", "a middle tone"]
    assert isinstance(answers[1], Failure) and answers[2][0].name == "a low tone"


TOOLS = {
    "fetch": uses.Tool(description="a low tone", commands=("bring *",)),
    "wake": uses.Tool(description="a high tone", commands=("wake *", "get up")),
}


def test_routing_is_measured_against_the_tool_that_was_meant(store):
    encoder = ByEar()
    right = [
        command(pitch, said, voice)
        for voice in ("ann", "robert")
        for pitch, said in (("high", "wake me"), ("high", "get up"), ("low", "bring tea"))
    ]
    measured = uses.measure_routing(encoder, right, store, TOOLS)
    assert measured.accuracy.value == measured.macro.value == 1.0
    assert measured.majority == pytest.approx(2 / 3) and measured.milliseconds > 0
    assert measured.routed == measured.meant == ("wake", "wake", "fetch") * 2

    # one voice is always misheard, and a command that cannot be embedded is one that went wrong
    wrong = [*right[:3], command("low", "wake me", "cy"), command("high", "bring tea", "cy")]
    silent = Item("silent", "audio", Media(lambda: b"", "wav"), "get up", group="cy")
    measured = uses.measure_routing(encoder, [*wrong, silent], store, TOOLS)
    assert measured.accuracy.value == 0.5 and measured.routed[-1] == ""
    assert (measured.accuracy.low, measured.accuracy.high) == (0.0, 1.0)  # two voices


def test_texts_are_routed_by_the_same_measure_for_comparison(store):
    said = [Item("t", "text", Media.from_text("low"), "bring tea")]
    assert uses.measure_routing(ByEar(), said, store, TOOLS).routed == ("fetch",)


def test_a_command_of_no_tool_or_of_two_cannot_be_measured(store):
    with pytest.raises(UserError, match="'sing' is that of no tool"):
        uses.measure_routing(ByEar(), [command("low", "sing", "ann")], store, TOOLS)
    both = TOOLS | {"alarm": uses.Tool(description="a middle tone", commands=("wake *",))}
    with pytest.raises(UserError, match="that of wake and alarm"):
        uses.tool_for("wake me", both)
    with pytest.raises(UserError, match="no commands to route"):
        uses.measure_routing(ByEar(), [], store, TOOLS)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("lights: {}", "description"),
        ("lights: {description: on, wattage: 3}", "wattage"),
        ("- lights", "holds no tools"),
        ("{}", "names no tool"),
        (None, "holds no tools"),
    ],
)
def test_a_file_without_tools_is_refused(content, said, tmp_path):
    path = tmp_path / "tools.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=said) as caught:
        uses.read_tools(path)
    assert str(path) in str(caught.value)


# --- the commands -----------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache of the test's own, with the fetched parts where they are."""
    from gemb.data import fetch

    fetched = fetch.cache_dir() / "fetched"
    monkeypatch.setattr("gemb.data.fetch.folder_of", lambda name: fetched / name)
    monkeypatch.setenv("GEMB_HOME", str(tmp_path / "home"))


def run(*arguments: str | Path):
    return CliRunner().invoke(app, ["audio", *map(str, arguments)])


def table(output: str) -> list[list[str]]:
    return [line.split("\t") for line in output.splitlines() if "\t" in line]


@pytest.fixture
def real_sounds(tmp_path) -> Path:
    """Speech by a synthetic voice, a beep, and noise."""
    folder = tmp_path / "real"
    folder.mkdir()
    (folder / "speech.ogg").write_bytes(SPEECH.read_bytes())
    (folder / "beep.wav").write_bytes(tone("middle", 3))
    (folder / "noise.wav").write_bytes(noise(3).media.bytes())
    return folder


def test_open_bound_labels_and_finds_sounds(home, real_sounds):
    files = [real_sounds / "noise.wav", real_sounds / "gone.wav", real_sounds / "beep.wav"]
    done = run("label", *files, "--top", 1)
    found = table(done.stdout)
    assert [row[0] for row in found] == [str(files[0]), str(files[2])]
    assert found[0][1] == "White noise" and found[1][1] == "Beep, bleep"
    assert "gone.wav" in done.stderr and str(done.exception).startswith("1 of 3 files")

    done = run("search", "a person is talking", real_sounds, "--top", 2)
    assert done.exit_code == 0, done.output
    rows = table(done.stdout)
    assert len(rows) == 2 and rows[0][0] == str(real_sounds / "speech.ogg")
    assert float(rows[0][1]) > float(rows[1][1])
    done = run("search", real_sounds / "beep.wav", real_sounds)
    assert len(table(done.stdout)) == 2
    done = run("search", "rain on a roof " * 20, real_sounds)  # longer than a file's name can be
    assert len(table(done.stdout)) == 3, done.exception


def test_captions_of_ones_own_are_read_from_a_file(home, real_sounds, tmp_path):
    captions = tmp_path / "captions.txt"
    captions.write_text("someone speaks\n\nhissing noise\n")
    done = run("label", real_sounds / "speech.ogg", "--captions", captions)
    assert [row[1] for row in table(done.stdout)] == ["someone speaks", "hissing noise"]


def test_a_trained_model_routes(home, build, real_sounds, tmp_path):
    """A tiny random model: that it answers is all there is to see."""
    build().save(tmp_path / "model")
    done = run("route", real_sounds / "speech.ogg", "--model", tmp_path / "model", "--top", 12)
    assert done.exit_code == 0, done.output
    assert {row[1] for row in table(done.stdout)} == set(uses.read_tools())


def test_without_a_model_the_notebooks_best_routes(home, build, real_sounds):
    done = run("route", real_sounds / "speech.ogg")
    assert isinstance(done.exception, UserError)
    assert "gemb run 05_open_audio_encoder" in str(done.exception)
    models = cache_dir() / "audio-models"
    for profile in ("local", "smoke"):  # the tiny one last
        build().save(models / f"by-{profile}" / "model")
        (models / f"best-{profile}.txt").write_text(f"by-{profile}\n")
    done = run("route", real_sounds / "speech.ogg")
    assert done.exit_code == 0, done.output
    assert "under the profile local" in done.stderr and "by-local" in done.stderr
    assert len(table(done.stdout)) == 1
    (models / "best-study.txt").write_text("deleted\n")
    assert "by-local" in run("route", real_sounds / "speech.ogg").stderr
    (models / "best-local.txt").unlink()
    done = run("route", real_sounds / "speech.ogg")
    assert isinstance(done.exception, UserError) and "smaller ones" in str(done.exception)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search", "rain", "nowhere"], "nowhere is no folder"),
        (["search", "dog.wav", "."], "no file dog.wav"),
        (["label", "a.wav", "--captions", "none.txt"], "none.txt cannot be read"),
        (["route", "a.wav", "--model", "nowhere"], "nowhere"),
        (["route", "a.wav", "--model", "open-bound", "--tools", "none.yaml"], "holds no tools"),
        (["label", "a.wav", "--model", "minilm"], "minilm reads text, not audio"),
    ],
)
def test_a_wrong_command_is_one_clear_line(arguments, said, home):
    done = run(*arguments)
    assert isinstance(done.exception, UserError) and said in str(done.exception)
