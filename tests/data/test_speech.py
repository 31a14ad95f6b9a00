"""Synthetic speech: a pure function of its parameters, and clear about what it lacks."""

import importlib.metadata
import io
import time

import numpy as np
import pytest
import soundfile

from gemb.data import speech
from gemb.data.items import MediaUnavailable
from gemb.data.pitch import FEMALE_FROM, median_f0

# Engines that come with the package's dependencies; the others are fetched.
INSTALLED = ("espeak-ng", "hibari")


def voice(engine: str, gender: str = "female") -> speech.Voice:
    return next(v for v in speech.VOICES if v.engine == engine and v.gender == gender)


def samples_of(wav: bytes) -> np.ndarray:
    samples, rate = soundfile.read(io.BytesIO(wav))
    assert rate == speech.SAMPLE_RATE
    assert samples.ndim == 1
    return samples


@pytest.mark.parametrize("engine", INSTALLED)
def test_the_same_parameters_give_the_same_bytes_whatever_was_spoken_before(engine: str) -> None:
    first = speech.synthesise("turn on the lights", voice(engine))
    speech.synthesise("something quite different", voice(engine), rate=1.5)
    assert speech.synthesise("turn on the lights", voice(engine)) == first


def test_a_breathy_voice_breathes_alike_at_another_time() -> None:
    breathy = next(v for v in speech.VOICES if v.id == "espeak-ng-en-us+f5")
    clips = []
    for _ in range(2):
        clips.append(speech.synthesise("turn on the lights", breathy))
        time.sleep(1.1)  # the library starts its noise from the clock's seconds
    assert clips[0] == clips[1]


@pytest.mark.parametrize("engine", INSTALLED)
def test_speech_is_audible_and_its_length_follows_the_rate(engine: str) -> None:
    lengths = []
    for rate in (0.8, 1.2):
        samples = samples_of(speech.synthesise("stop the music", voice(engine), rate))
        assert 0.01 < np.sqrt((samples**2).mean()) < 0.5
        lengths.append(len(samples) / speech.SAMPLE_RATE)
    assert 0.3 < lengths[1] < lengths[0] < 5


def test_different_voices_pitches_and_texts_sound_different() -> None:
    british, scottish = speech.TRAINING_VOICES[0], speech.TRAINING_VOICES[16]
    clips = {
        speech.synthesise("yes", british),
        speech.synthesise("yes", scottish),
        speech.synthesise("yes", british, pitch=70),
        speech.synthesise("no", british),
    }
    assert len(clips) == 4


@pytest.mark.parametrize(
    "one", [v for v in speech.VOICES if v.engine in INSTALLED], ids=lambda v: v.id
)
def test_the_pitch_of_a_voice_fits_its_gender(one: speech.Voice) -> None:
    pitch = median_f0(samples_of(speech.synthesise("turn on the radio", one)), 16_000)
    assert (pitch > FEMALE_FROM) == (one.gender == "female")


@pytest.mark.data
@pytest.mark.parametrize(
    "one", [v for v in speech.VOICES if v.engine not in INSTALLED], ids=lambda v: v.id
)
def test_fetched_engines_speak_deterministically(one: speech.Voice) -> None:
    first = speech.synthesise("turn on the radio", one)
    assert speech.synthesise("turn on the radio", one) == first
    pitch = median_f0(samples_of(first), 16_000)
    assert (pitch > FEMALE_FROM) == (one.gender == "female")


def test_no_speaker_is_on_both_sides_of_the_split() -> None:
    train = {v.base for v in speech.TRAINING_VOICES}
    test = {v.base for v in speech.TEST_VOICES}
    assert not train & test
    assert {v.engine for v in speech.TEST_VOICES} - {v.engine for v in speech.TRAINING_VOICES}
    for voices in (speech.TRAINING_VOICES, speech.TEST_VOICES):
        assert {v.gender for v in voices} == {"female", "male"}
    assert len({v.id for v in speech.VOICES}) == len(speech.VOICES)


def test_a_medium_is_keyed_by_every_parameter_and_spoken_only_when_asked() -> None:
    unheard = speech.Voice("espeak-ng", "no-such-voice", "female", "none", "none")
    medium = speech.media("yes", unheard)  # nothing is spoken yet
    keys = {
        medium.key,
        speech.media("no", unheard).key,
        speech.media("yes", unheard, rate=1.1).key,
        speech.media("yes", unheard, pitch=60).key,
        speech.media("yes", speech.VOICES[0]).key,
    }
    assert len(keys) == 5
    assert medium.key == speech.media("yes", unheard).key
    with pytest.raises(MediaUnavailable, match="no-such-voice"):
        medium.bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": " "}, "no text"),
        ({"rate": 3.0}, "rate 3.0"),
        ({"pitch": 100}, "pitch 100"),
        ({"voice": voice("hibari"), "pitch": 60}, "takes no pitch"),
    ],
)
def test_parameters_out_of_bounds_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        speech.media(**{"text": "yes", "voice": speech.VOICES[0], **arguments})


def test_another_version_of_an_engine_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda package: "9.9")
    with pytest.raises(speech.EngineUnavailable, match=r"pip install hibari-tts==0\.2\.1"):
        speech.require([voice("hibari")])


def test_flite_says_where_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    speech._flite_program.cache_clear()
    with pytest.raises(speech.EngineUnavailable, match="Linux on x86-64"):
        speech.require([voice("flite")])
