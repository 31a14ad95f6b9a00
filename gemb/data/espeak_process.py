"""Runs eSpeak NG once, in a process of its own: ``python -I -S espeak_process.py …``.

The library keeps oscillator and random state between calls that neither its
seed function nor re-initialising resets, so the same text would sound a little
different each time. One process a clip makes it a pure function, lets clips be
made in parallel, and keeps a crash of the C library out of the caller.

Only the standard library is used, so that starting costs some 20 ms. Text comes
on standard input; audio (16-bit mono at the rate of the library, which is
``SAMPLE_RATE``) or phonemes (IPA, UTF-8) leave on standard output.
"""

from __future__ import annotations

import ctypes
import sys

SAMPLE_RATE = 22050

# Constants of speak_lib.h.
_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples go to the callback
_UTF8 = 1  # espeakCHARS_UTF8
_RATE, _PITCH = 1, 3  # espeakRATE (words a minute), espeakPITCH (0–99)
_IPA = 0x02  # phoneme mode: IPA


def _open(library: str, data: str) -> ctypes.CDLL:
    lib = ctypes.CDLL(library)
    lib.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    rate = lib.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), 0)
    if rate != SAMPLE_RATE:
        raise SystemExit(f"eSpeak NG did not start with the data in {data} (answered {rate})")
    # it starts its random numbers, of which breath is made, from the clock
    lib.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    lib.espeak_ng_SetRandSeed(1)
    return lib


def _select(lib: ctypes.CDLL, voice: str) -> None:
    lib.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    if lib.espeak_SetVoiceByName(voice.encode()) != 0:
        raise SystemExit(f"eSpeak NG has no voice {voice!r}")


def speak(lib: ctypes.CDLL, text: bytes, voice: str, words_per_minute: int, pitch: int) -> bytes:
    """Samples of ``text``: int16 in the byte order of the machine."""
    samples = bytearray()

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    def keep(wave: int | None, count: int, events: int | None) -> int:
        if wave and count > 0:
            samples.extend(ctypes.string_at(wave, 2 * count))
        return 0  # go on

    lib.espeak_SetSynthCallback(keep)
    _select(lib, voice)
    lib.espeak_SetParameter(_RATE, words_per_minute, 0)
    lib.espeak_SetParameter(_PITCH, pitch, 0)
    lib.espeak_Synth.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int,
        ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
    ]  # fmt: skip
    if lib.espeak_Synth(text, len(text) + 1, 0, 0, 0, _UTF8, None, None) != 0:
        raise SystemExit("eSpeak NG refused the text")
    lib.espeak_Synchronize()
    return bytes(samples)


def phonemes(lib: ctypes.CDLL, text: bytes, voice: str) -> bytes:
    """IPA of ``text``, clauses joined by a space."""
    _select(lib, voice)
    lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
    lib.espeak_TextToPhonemes.argtypes = [
        ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int,
    ]  # fmt: skip
    rest, clauses = ctypes.c_char_p(text), []
    while rest.value:
        clauses.append(lib.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA))
    return b" ".join(filter(None, clauses))


def main(argv: list[str]) -> None:
    """``LIBRARY DATA speak VOICE WORDS_PER_MINUTE PITCH`` or ``LIBRARY DATA phonemes VOICE``."""
    library, data, mode, voice, *numbers = argv
    lib, text = _open(library, data), sys.stdin.buffer.read()
    if mode == "speak":
        out = speak(lib, text, voice, *map(int, numbers))
    else:
        out = phonemes(lib, text, voice)
    sys.stdout.buffer.write(out)


if __name__ == "__main__":
    main(sys.argv[1:])
