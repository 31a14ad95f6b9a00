"""The readers of the audio tasks, on tiny trees laid out as the packages lay them out."""

import io
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from gemb.data import manifests, speech
from gemb.data.media import decode_audio
from gemb.data.readers import hedgewars_emotion, spoken_commands, spoken_words, voice_gender
from gemb.data.readers.files import DataFileError

RATE = 16_000


@pytest.fixture(autouse=True)
def engines_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers list items and speak nothing; no engine is fetched for these tests."""
    monkeypatch.setattr(speech, "require", lambda voices: None)


def tone(seconds: float, pitch: float = 150.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * pitch * np.arange(round(RATE * seconds)) / RATE)


def write_ogg(path: Path, seconds: float = 0.5, pitch: float = 150.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(seconds, pitch), RATE, format="OGG", subtype="VORBIS")


def write_g722(path: Path, seconds: float = 0.5) -> None:
    """Raw G.722 without a header, as Asterisk's packages have it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="g722") as container:
        stream = container.add_stream("g722", rate=RATE, layout="mono", format="s16")
        pcm = (tone(seconds) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    path.write_bytes(buffer.getvalue())


# --- spoken words and commands ---------------------------------------------------------------


def write_recordings(root: Path) -> None:
    write_g722(root / "asterisk-en/prompts/vm-no.g722")
    write_ogg(root / "klettres/en/syllab/no.ogg")
    write_ogg(root / "klettres/en_GB/syllab/no.ogg")


def test_words_are_the_ten_of_the_study_with_no_voice_on_both_sides(tmp_path: Path) -> None:
    write_recordings(tmp_path)
    items = spoken_words.items(tmp_path)
    main = [i for i in items if i.subset == "main"]
    assert {i.answer for i in main} == {
        "yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"
    }  # fmt: skip
    assert len(set(Counter(i.answer for i in main).values())) == 1  # balanced
    train = {i.group for i in main if i.split == "train"}
    assert not train & {i.group for i in main if i.split == "test"}
    assert len({i.id for i in items}) == len({i.media.key for i in main}) + 3 == len(items)


def test_real_recordings_of_words_are_test_only(tmp_path: Path) -> None:
    write_recordings(tmp_path)
    real = [i for i in spoken_words.items(tmp_path) if i.subset == "real-recordings"]
    assert len(real) == 3
    for item in real:
        assert item.split == "test"
        sound = decode_audio(item.media.bytes(), suffix=item.media.suffix, name=item.id)
        assert len(sound) == pytest.approx(0.5 * RATE, abs=200)


def test_a_missing_recording_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"vm-no\.g722.*gemb fetch asterisk-en"):
        spoken_words.items(tmp_path)


def test_commands_are_169_on_both_sides_of_the_split() -> None:
    assert len(set(spoken_commands.COMMANDS)) == len(spoken_commands.COMMANDS) == 169
    assert tuple(manifests.get("spoken-commands").classes) == spoken_commands.COMMANDS
    for command in spoken_commands.COMMANDS:
        assert command == command.lower()
        assert 2 <= len(command.split()) <= 8
    items = spoken_commands.items()
    sides = {s: [i for i in items if i.split == s] for s in ("train", "test")}
    for side in sides.values():
        assert {i.answer for i in side} == set(spoken_commands.COMMANDS)
    assert not {i.group for i in sides["train"]} & {i.group for i in sides["test"]}
    assert len({i.id for i in items}) == len({i.media.key for i in items}) == len(items)


def test_commands_come_in_the_same_order_each_time() -> None:
    first, second = spoken_commands.items(), spoken_commands.items()
    assert [(i.id, i.media.key) for i in first] == [(i.id, i.media.key) for i in second]


# --- gender ----------------------------------------------------------------------------------


def write_speakers(root: Path, clips: int = 2) -> None:
    """Every speaker's place as the packages have it, with ``clips`` files each."""
    for speaker in voice_gender.SPEAKERS:
        for manifest, glob in speaker.places:
            for number in range(clips):
                path = root / manifest / glob.replace("**", "a").replace("*", f"clip{number}")
                if path.suffix == ".g722":
                    write_g722(path)
                else:
                    write_ogg(path, pitch=100 + number)


def test_speakers_are_groups_of_one_gender_and_one_size(tmp_path: Path) -> None:
    write_speakers(tmp_path)
    real = [i for i in voice_gender.items(tmp_path) if i.subset == "main"]
    assert {i.group for i in real} == {s.name for s in voice_gender.SPEAKERS}
    for speaker in voice_gender.SPEAKERS:
        assert {i.answer for i in real if i.group == speaker.name} == {speaker.gender}
    assert Counter(s.gender for s in voice_gender.SPEAKERS) == {"female": 12, "male": 12}
    assert all(i.split is None for i in real)


def test_a_label_says_whether_it_was_inferred(tmp_path: Path) -> None:
    write_speakers(tmp_path)
    sources = {i.group: i.meta["label_source"] for i in voice_gender.items(tmp_path)}
    assert sources["asterisk-carlo"] == "stated by the package"
    assert sources["tuxpaint-bg"].startswith("inferred from a median pitch of")


def test_no_speaker_outweighs_another_and_odd_clips_are_left_out(tmp_path: Path) -> None:
    write_speakers(tmp_path, clips=1)
    folder = tmp_path / "tuxpaint-stamps/stamps/animals"
    for number in range(voice_gender.CLIPS_A_SPEAKER + 5):
        write_ogg(folder / f"stamp{number}_desc_bg.ogg", pitch=90 + number)
    write_ogg(folder / "breath_desc_da.ogg", seconds=0.1)
    write_ogg(folder / "speech_desc_da.ogg", seconds=7)
    write_g722(tmp_path / "asterisk-en/prompts/beep.g722")
    sizes = Counter(i.group for i in voice_gender.items(tmp_path) if i.subset == "main")
    assert sizes["tuxpaint-bg"] == voice_gender.CLIPS_A_SPEAKER
    assert sizes["tuxpaint-da"] == 1
    assert sizes["asterisk-allison"] == 2  # one clip in each of two languages


def test_gender_shares_its_synthetic_clips_with_the_words(tmp_path: Path) -> None:
    write_speakers(tmp_path, clips=1)
    shared = [i for i in voice_gender.items(tmp_path) if i.subset == voice_gender.SYNTHETIC]
    words = {i.media.key: i for i in spoken_words.synthetic()}
    assert {i.media.key for i in shared} == set(words)
    for item in shared:
        word = words[item.media.key]
        assert item.id != word.id
        assert (item.answer, item.split) == (word.meta["gender"], word.split)


def test_a_missing_collection_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="gemb fetch asterisk-en"):
        voice_gender.items(tmp_path)


def test_an_empty_sound_is_named_with_the_remedy(tmp_path: Path) -> None:
    write_speakers(tmp_path, clips=1)
    empty = tmp_path / "klettres/hu/a/clip0.ogg"
    empty.write_bytes(b"")
    with pytest.raises(DataFileError, match=r"hu/a/clip0\.ogg: not a sound.*gemb fetch klettres"):
        voice_gender.items(tmp_path)


@pytest.mark.data
def test_the_speakers_pitch_is_as_their_labels_were_inferred_from() -> None:
    from gemb.data.pitch import FEMALE_FROM, median_f0

    real = [i for i in voice_gender.items() if i.subset == "main"]
    for speaker in voice_gender.SPEAKERS:
        if not speaker.inferred_from:
            continue
        pitches = [
            median_f0(decode_audio(i.media.bytes(), suffix=i.media.suffix, name=i.id), RATE)
            for i in real
            if i.group == speaker.name
        ]
        assert np.nanmedian(pitches) == pytest.approx(speaker.inferred_from, rel=0.07)
        assert (speaker.inferred_from > FEMALE_FROM) == (speaker.gender == "female")


# --- emotion ---------------------------------------------------------------------------------


def test_events_become_emotions_grouped_by_voice(tmp_path: Path) -> None:
    write_ogg(tmp_path / "voices/Pirate/Victory.ogg", pitch=200)
    write_ogg(tmp_path / "voices/Pirate/Ow3.ogg", pitch=210)
    write_ogg(tmp_path / "voices/Default_pl/Jump1.ogg", pitch=220)
    write_ogg(tmp_path / "voices/Classic/Hello.ogg", pitch=230)
    items = {i.id: i for i in hedgewars_emotion.items(tmp_path)}
    victory, ow, jump, hello = (
        items[f"hedgewars-emotion/{name}"]
        for name in ("Pirate/Victory", "Pirate/Ow3", "Default_pl/Jump1", "Classic/Hello")
    )
    assert [i.answer for i in (victory, ow, jump, hello)] == ["joy", "pain", "effort", "neutral"]
    assert victory.group == ow.group == "Pirate"
    assert hello.group == "Default"  # shares recordings with that pack
    assert jump.meta["language"] == "pl"
    assert ow.meta["transcript"] == "ow"


def write_copy(path: Path, name: str) -> None:
    """The same recording in another pack or for another event."""
    copy = path.parents[1] / name
    copy.parent.mkdir(exist_ok=True)
    copy.write_bytes(path.read_bytes())


def test_shared_recordings_robots_and_unclear_events_are_left_out(tmp_path: Path) -> None:
    write_ogg(tmp_path / "voices/Default/Ow1.ogg", pitch=200)
    write_copy(tmp_path / "voices/Default/Ow1.ogg", "HillBilly/Ow1.ogg")
    write_ogg(tmp_path / "voices/Surfer/Victory.ogg", pitch=210)
    write_copy(tmp_path / "voices/Surfer/Victory.ogg", "Surfer/Traitor.ogg")  # two emotions
    write_ogg(tmp_path / "voices/Robot/Hello.ogg", pitch=220)
    write_ogg(tmp_path / "voices/Pirate/Melon.ogg", pitch=230)
    write_ogg(tmp_path / "voices/Pirate/Newevent.ogg", pitch=240)
    ids = [i.id for i in hedgewars_emotion.items(tmp_path)]
    assert ids == ["hedgewars-emotion/Default/Ow1"]


def test_an_event_belongs_to_one_emotion() -> None:
    events = [e for several in hedgewars_emotion.EVENTS.values() for e in several]
    assert len(events) == len(set(events))


def test_missing_and_empty_voices_are_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"no voice packs.*gemb fetch hedgewars-voices"):
        hedgewars_emotion.items(tmp_path)
    write_ogg(tmp_path / "voices/Pirate/Victory.ogg")
    (tmp_path / "voices/Pirate/Ow1.ogg").write_bytes(b"")
    with pytest.raises(DataFileError, match=r"Ow1\.ogg: the file is empty"):
        hedgewars_emotion.items(tmp_path)
