"""Any image and any sound in; or an error that names the item, the reason and the remedy."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gemb.data.media import (
    MAX_SECONDS,
    MediaError,
    decode_audio,
    decode_image,
    encode_png,
    encode_wav,
)

RNG = np.random.default_rng(0)
PHOTO = Image.fromarray(RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)).resize((120, 80))


def image_file(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def sound_file(samples: np.ndarray, rate: int, format: str, subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    sf.write(buffer, samples, rate, format=format, subtype=subtype)
    return buffer.getvalue()


def av_file(samples: np.ndarray, rate: int, format: str, codec: str) -> bytes:
    buffer = io.BytesIO()
    channels = np.atleast_2d(samples)
    layout = "mono" if len(channels) == 1 else "stereo"
    with av.open(buffer, mode="w", format=format) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        whole = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(channels, np.float32), format="fltp", layout=layout
        )
        whole.sample_rate = rate
        to_codec = av.AudioResampler(
            stream.codec_context.format.name,
            layout,
            rate,
            frame_size=stream.codec_context.frame_size or 1024,
        )
        for frame in (*to_codec.resample(whole), *to_codec.resample(None), None):
            container.mux(stream.encode(frame))
    return buffer.getvalue()


def sine(seconds: float = 1.0, rate: int = 16_000, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype("f4")


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def loudest_hertz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * 16_000 / len(samples))


def refused(decode: Callable[..., object], data: bytes, why: str, **options: str) -> None:
    """Decoding is refused with the item's name, the reason, and a remedy."""
    with pytest.raises(MediaError, match=f"^set/0007: .*({why}).*; ."):
        decode(data, name="set/0007", **options)


refuse_image = partial(refused, decode_image)
refuse_audio = partial(refused, decode_audio, suffix="wav")


# Images


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "TGA"])
def test_lossless_images_keep_their_pixels(format: str) -> None:
    decoded = decode_image(image_file(PHOTO, format), name="x")
    assert decoded.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(decoded), np.asarray(PHOTO))


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "GIF", "JPEG2000"])
def test_lossy_images_stay_close(format: str) -> None:
    smooth = PHOTO.resize((6, 4)).resize((120, 80), Image.Resampling.BICUBIC)
    decoded = np.asarray(decode_image(image_file(smooth, format), name="x"), dtype=int)
    assert np.abs(decoded - np.asarray(smooth, dtype=int)).mean() < 8


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90° clockwise
    decoded = decode_image(image_file(PHOTO, "PNG", exif=exif), name="x")
    expected = PHOTO.transpose(Image.Transpose.ROTATE_270)
    np.testing.assert_array_equal(np.asarray(decoded), np.asarray(expected))


def test_transparency_shows_white() -> None:
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    half = Image.new("LA", (16, 16), (0, 128))
    palette = Image.new("P", (16, 16), 3)
    palette.putpalette([0, 0, 0] * 256)
    for image, options, grey in (
        (clear, {}, 255),
        (half, {}, 127),
        (palette, {"transparency": 3}, 255),
        (Image.new("RGB", (16, 16), (9, 9, 9)), {"transparency": (9, 9, 9)}, 255),
    ):
        decoded = decode_image(image_file(image, "PNG", **options), name="x")
        np.testing.assert_allclose(np.asarray(decoded), grey, atol=1)


def test_deep_modes_are_scaled_and_not_clipped() -> None:
    ramp = np.linspace(0, 65_535, 256).round().astype(np.uint16)
    grey = np.linspace(0, 255, 256).round()
    sixteen = Image.fromarray(np.tile(ramp, (16, 1)))
    floating = Image.fromarray(np.tile(ramp.astype(np.float32) / 1e6, (16, 1)))
    for data in (image_file(sixteen, "PNG"), image_file(floating, "TIFF")):
        decoded = np.asarray(decode_image(data, name="x"))
        np.testing.assert_allclose(decoded[0, :, 1], grey, atol=1)


def test_cmyk_bilevel_and_palette() -> None:
    red = Image.new("RGB", (16, 16), (255, 0, 0))
    cmyk = decode_image(image_file(red.convert("CMYK"), "TIFF"), name="x")
    np.testing.assert_allclose(np.asarray(cmyk)[8, 8], (255, 0, 0), atol=3)
    white = decode_image(image_file(Image.new("1", (16, 16), 1), "PNG"), name="x")
    assert np.asarray(white).min() == 255
    palette = decode_image(image_file(red.convert("P"), "PNG"), name="x")
    np.testing.assert_allclose(np.asarray(palette)[8, 8], (255, 0, 0), atol=3)


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("blue", "red", "green")]
    data = image_file(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_image(data, name="x").getpixel((8, 8)) == (0, 0, 255)


def test_the_smallest_image() -> None:
    assert decode_image(image_file(Image.new("L", (8, 8)), "PNG"), name="x").size == (8, 8)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_images_refused() -> None:
    png = encode_png(PHOTO)
    nan = Image.fromarray(np.full((16, 16), np.nan, np.float32))
    refuse_image(b"", "empty")
    refuse_image(b"It is a truth universally acknowledged", "not an image.*It is a")
    refuse_image(png[: len(png) // 2], "damaged or truncated")
    refuse_image(image_file(PHOTO, "JPEG")[:600], "damaged or truncated")
    refuse_image(image_file(Image.new("RGB", (1, 1)), "PNG"), "1×1 pixels")
    refuse_image(image_file(Image.new("L", (20_000, 16)), "PNG"), "20000×16 pixels")
    refuse_image(png_header(10_000, 10_000), "10000×10000 pixels")
    refuse_image(png_header(60_000, 60_000), "bomb")
    refuse_image(image_file(nan, "TIFF"), "NaN")
    refuse_image(encode_wav(sine()), "not an image")


# Sounds


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_becomes_16_khz(rate: int) -> None:
    decoded = decode_audio(encode_wav(sine(1.0, rate), rate), suffix="wav", name="x")
    assert decoded.dtype == np.float32
    assert abs(len(decoded) - 16_000) <= 1
    assert loudest_hertz(decoded) == pytest.approx(440, abs=2)
    assert rms(decoded) == pytest.approx(rms(sine()), rel=0.01)


def test_another_rate_is_returned_when_asked_for() -> None:
    assert len(decode_audio(encode_wav(sine()), suffix="wav", name="x", rate=8_000)) == 8_000


def test_channels_are_averaged() -> None:
    left, right = sine(hertz=300), sine(hertz=500) / 2
    data = sound_file(np.stack([left, right], axis=1), 16_000, "WAV", "FLOAT")
    np.testing.assert_allclose(
        decode_audio(data, suffix="wav", name="x"), (left + right) / 2, atol=1e-6
    )


@pytest.mark.parametrize(
    ("format", "subtype"),
    [
        ("WAV", "PCM_U8"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAV", "ULAW"),
        ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None),
        ("AIFF", "PCM_16"), ("AU", "PCM_16"), ("CAF", "PCM_16"),
    ],
)  # fmt: skip
def test_formats_of_soundfile(format: str, subtype: str | None) -> None:
    decoded = decode_audio(sound_file(sine(), 16_000, format, subtype), suffix="", name="x")
    assert loudest_hertz(decoded) == pytest.approx(440, abs=3)
    assert rms(decoded) == pytest.approx(rms(sine()), rel=0.05)


@pytest.mark.parametrize(
    ("format", "codec", "rate"),
    [("mp4", "aac", 44_100), ("mov", "alac", 48_000), ("matroska", "ac3", 32_000)],
)
def test_formats_of_pyav(format: str, codec: str, rate: int) -> None:
    stereo = np.stack([sine(1.0, rate), sine(1.0, rate)])
    decoded = decode_audio(av_file(stereo, rate, format, codec), suffix="bin", name="x")
    assert len(decoded) == pytest.approx(16_000, abs=1_000)  # AAC pads to whole frames
    assert loudest_hertz(decoded) == pytest.approx(440, abs=3)
    assert rms(decoded) == pytest.approx(rms(sine()), rel=0.05)


def test_a_sound_ends_where_its_samples_end_whatever_its_header_promises() -> None:
    buffer = io.BytesIO()
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * 44100) / 44100)
    sf.write(buffer, tone, 44100, format="MP3", subtype="MPEG_LAYER_III")
    cut = buffer.getvalue()[: len(buffer.getvalue()) // 2]
    with sf.SoundFile(io.BytesIO(cut)) as file:
        promised, there = file.frames, len(file.read())
    assert there < promised
    found = [decode_audio(cut, suffix="mp3", name="tone") for _ in range(3)]
    assert len(found[0]) == pytest.approx(there / 44100 * 16000, abs=2)
    assert np.abs(found[0]).max() < 0.5
    assert all(np.array_equal(f, found[0]) for f in found)


def test_headerless_g722_by_its_suffix() -> None:
    data = av_file(sine(), 16_000, "g722", "g722")
    decoded = decode_audio(data, suffix=".G722", name="x")
    assert len(decoded) == pytest.approx(16_000, abs=32)
    assert loudest_hertz(decoded) == pytest.approx(440, abs=3)
    refuse_audio(data, "not a sound", suffix="wav")


@pytest.mark.parametrize("suffix", ["mp3", ".wav", "png", "g722", ""])
def test_a_wrong_extension_does_no_harm(suffix: str) -> None:
    flac = sound_file(sine(), 16_000, "FLAC")
    np.testing.assert_allclose(decode_audio(flac, suffix=suffix, name="x"), sine(), atol=1e-4)


def test_sounds_refused() -> None:
    def wave(samples: np.ndarray) -> bytes:
        return sound_file(samples, 16_000, "WAV", "FLOAT")

    nan, infinite, loud = sine(), sine(), sine() * 32_768
    nan[100], infinite[100] = np.nan, np.inf
    refuse_audio(b"", "empty")
    refuse_audio(b"It is a truth universally acknowledged" * 9, "not a sound.*It is a")
    refuse_audio(encode_png(PHOTO), "without an audio track")
    refuse_audio(wave(np.zeros(0, np.float32)), "no samples")
    refuse_audio(wave(np.zeros(16_000, np.float32)), "silent")
    refuse_audio(wave(sine() * 1e-4), "silent")
    refuse_audio(wave(nan), "NaN")
    refuse_audio(wave(infinite), "infinite")
    refuse_audio(wave(loud), "full scale")
    hour = sound_file(np.full(1_000 * (MAX_SECONDS + 1), 0.1), 1_000, "WAV", "PCM_U8")
    refuse_audio(hour, "longer than 60 minutes")
    refuse_audio(sound_file(sine(), 100, "WAV"), "sample rate of 100 Hz")


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(encode_wav(sine()))
    concat = f"ffconcat version 1.0\nfile {secret}\n".encode()
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{secret}\n#EXT-X-ENDLIST\n"
    refuse_audio(concat, "not a sound")
    refuse_audio(hls.encode(), "not a sound", suffix="m3u8")


# Damage


SOUND_FILES = {
    "wav": encode_wav(sine(0.2)),
    "flac": sound_file(sine(0.2), 16_000, "FLAC"),
    "ogg": sound_file(sine(0.2), 16_000, "OGG", "VORBIS"),
    "mp3": sound_file(sine(0.2), 16_000, "MP3"),
    "m4a": av_file(sine(0.2, 44_100), 44_100, "mp4", "aac"),
}
IMAGE_FILES = {f: image_file(PHOTO, f) for f in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP")}

Damage = tuple[int, list[tuple[int, int]]]
damage = st.tuples(
    st.integers(0, 10**6),  # where the file ends, modulo its length
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8),
)


def damaged(data: bytes, how: Damage) -> bytes:
    end, changes = how
    spoilt = bytearray(data[: end % (len(data) + 1)])
    for place, value in changes:
        if spoilt:
            spoilt[place % len(spoilt)] = value
    return bytes(spoilt)


@pytest.mark.filterwarnings("ignore")  # Pillow's, of damaged metadata
@given(st.sampled_from(sorted(IMAGE_FILES)), damage)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_a_damaged_image_is_read_or_refused(format: str, how: Damage) -> None:
    try:
        image = decode_image(damaged(IMAGE_FILES[format], how), name="x")
    except MediaError:
        return
    assert image.mode == "RGB"


@given(st.sampled_from(sorted(SOUND_FILES)), damage)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_a_damaged_sound_is_read_or_refused(format: str, how: Damage) -> None:
    try:
        samples = decode_audio(damaged(SOUND_FILES[format], how), suffix=format, name="x")
    except MediaError:
        return
    assert samples.dtype == np.float32 and len(samples) and np.isfinite(samples).all()


# Encoding


def test_wav_there_and_back() -> None:
    data = encode_wav(sine())
    assert data == encode_wav(sine())
    assert sf.info(io.BytesIO(data)).subtype == "PCM_16"
    np.testing.assert_allclose(decode_audio(data, suffix="wav", name="x"), sine(), atol=1 / 32_768)
    loud = decode_audio(encode_wav(sine() * 3), suffix="wav", name="x")
    assert np.abs(loud).max() <= 1  # clipped, not wrapped around


def test_png_there_and_back() -> None:
    with_metadata = PHOTO.copy()
    with_metadata.info.update(dpi=(72, 72), comment="when and where")
    assert encode_png(with_metadata) == encode_png(PHOTO)
    decoded = decode_image(encode_png(PHOTO), name="x")
    np.testing.assert_array_equal(np.asarray(decoded), np.asarray(PHOTO))
