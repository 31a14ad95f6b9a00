"""Encoded media to arrays and back: any image Pillow reads, any sound soundfile or PyAV reads.

What cannot be used is refused with a :class:`MediaError` that names the item,
says what is wrong and what to do; nothing is guessed and nothing is repaired.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import av
import numpy as np
import soundfile as sf
import soxr
from PIL import Image, ImageOps, UnidentifiedImageError

from gemb.errors import UserError

RATE = 16_000  # Hz, what the audio encoders hear

# An image below 8 pixels a side shows nothing (scikit-learn's digits are 8×8);
# above these sizes it is a mistake or a decompression bomb.
MIN_SIDE, MAX_SIDE, MAX_PIXELS = 8, 16_384, 80_000_000

MAX_SECONDS = 3_600  # of sound decoded at once: 230 MB of samples at 16 kHz
MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz; beyond them the header is wrong
SILENCE = 1e-4  # peak, -80 dBFS: three steps of 16-bit sound
MAX_PEAK = 32.0  # floating-point files may pass full scale, but not by 30 dB

# Codecs without a header, which no content tells apart: the suffix decides.
_HEADERLESS = {"g722": "g722"}


class MediaError(UserError, ValueError):
    """A medium that cannot be used; says which, why, and what to do."""

    def __init__(self, name: str, why: str, remedy: str):
        super().__init__(f"{name}: {why}; {remedy}")


def decode_image(data: bytes, *, name: str) -> Image.Image:
    """Decode an image file of any format Pillow reads.

    The EXIF orientation is applied, of an animation the first frame is taken,
    transparency is composited on white, and 16-bit grey is scaled to 8 bits.
    Modes without a defined white (32-bit integer and float) are stretched
    between their minimum and maximum.

    Args:
        data: The encoded file.
        name: What to call it in an error.

    Returns:
        An RGB image.

    Raises:
        MediaError: Empty, not an image, truncated, or of an absurd size.
    """
    if not data:
        raise MediaError(name, "the file is empty (0 bytes)", "get it again or leave it out")
    try:
        image = Image.open(io.BytesIO(data))
        _check_size(image, name)
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return _to_rgb(image)
    except MediaError:
        raise
    except UnidentifiedImageError:
        raise MediaError(
            name,
            f"not an image that Pillow can read ({_glimpse(data)})",
            "convert it to PNG or JPEG",
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaError(name, f"a decompression bomb: {error}", "leave it out") from None
    # Pillow's decoders raise whatever a damaged file makes them trip over:
    # OSError, SyntaxError, ValueError, struct.error, IndexError, …
    except Exception as error:
        raise MediaError(
            name, f"the image is damaged or truncated ({error})", "get it again or leave it out"
        ) from error


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if min(width, height) < MIN_SIDE:
        raise MediaError(
            name, f"the image is {width}×{height} pixels", f"at least {MIN_SIDE} a side are needed"
        )
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise MediaError(
            name,
            f"the image is {width}×{height} pixels",
            f"scale or crop it below {MAX_SIDE:,} a side and {MAX_PIXELS / 1e6:.0f} million in all",
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint16)
        image = Image.fromarray((values / 257).round().astype(np.uint8))
    elif image.mode in ("I", "F"):
        deep = np.asarray(image, dtype=np.float64)
        if not np.isfinite(deep).all():
            raise ValueError("it holds NaN or infinite pixels")
        span = max(float(np.ptp(deep)), np.finfo(np.float64).tiny)
        image = Image.fromarray(((deep - deep.min()) / span * 255).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def decode_audio(data: bytes, *, suffix: str, name: str, rate: int = RATE) -> np.ndarray:
    """Decode a sound file of any format that soundfile or else PyAV reads.

    The content decides the format, so that a wrong suffix does no harm; only
    for codecs without a header (G.722) the suffix does. Channels are averaged,
    the rate converted by soxr at high quality, amplitudes left as they are.

    Args:
        data: The encoded file.
        suffix: Its file name extension, a hint.
        name: What to call it in an error.
        rate: Samples a second to return.

    Returns:
        Mono samples, float32 ``[samples]``, full scale at ±1.

    Raises:
        MediaError: Empty, not a sound, damaged, silent, over an hour long, or
            holding NaN, infinite or absurdly large samples.
    """
    if not data:
        raise MediaError(name, "the file is empty (0 bytes)", "get it again or leave it out")
    samples, source_rate = _decode(data, suffix.lower().lstrip("."), name)
    if not np.isfinite(samples).all():
        raise MediaError(
            name, "the sound holds NaN or infinite samples", "mend the recording or leave it out"
        )
    if source_rate != rate:
        samples = soxr.resample(samples, source_rate, rate, quality="HQ")
    if not len(samples):
        raise MediaError(name, "the file holds no samples", "get it again or leave it out")
    peak = float(np.abs(samples).max())
    if peak < SILENCE:
        raise MediaError(
            name,
            "the sound is silent (its peak is below -80 dBFS)",
            "leave it out, or record it louder",
        )
    if peak > MAX_PEAK:
        raise MediaError(
            name,
            f"its samples reach {peak:,.0f} where full scale is 1",
            "scale the recording to ±1",
        )
    return np.ascontiguousarray(samples, dtype=np.float32)


def _decode(data: bytes, suffix: str, name: str) -> tuple[np.ndarray, int]:
    """Mono samples at the file's own rate, and that rate in Hz."""
    try:
        return _decode_soundfile(data, name)
    except sf.LibsndfileError:
        pass  # not one of its formats, or damaged: PyAV knows more and says more
    try:
        return _decode_av(data, None, name)
    except av.FFmpegError as error:
        reason = error.strerror
    if suffix in _HEADERLESS:
        try:
            return _decode_av(data, _HEADERLESS[suffix], name)
        except av.FFmpegError as error:
            reason = error.strerror
    raise MediaError(
        name,
        f"not a sound that soundfile or PyAV can read ({reason}; {_glimpse(data)})",
        "convert it to WAV or FLAC",
    )


def _decode_soundfile(data: bytes, name: str) -> tuple[np.ndarray, int]:
    with sf.SoundFile(io.BytesIO(data)) as file:
        _check_rate(file.samplerate, name)
        _check_seconds(file.frames / file.samplerate, name)
        # Block by block, since a damaged header may promise any length; and not by
        # `file.blocks`, which fills up what an MP3 promises and lacks with stray memory.
        blocks = []
        while len(block := file.read(1 << 20, dtype="float32", always_2d=True)):
            blocks.append(block.mean(axis=1))
        return _join(blocks), file.samplerate


def _decode_av(data: bytes, format: str | None, name: str) -> tuple[np.ndarray, int]:
    # A playlist must not make FFmpeg open other files or addresses.
    options = {"protocol_whitelist": "none"}
    with av.open(
        io.BytesIO(data), mode="r", format=format, options=options, metadata_errors="ignore"
    ) as container:
        # Without a codec context the codec is unknown to FFmpeg.
        stream = next((s for s in container.streams.audio if s.codec_context), None)
        if stream is None:
            raise MediaError(
                name,
                f"{container.format.long_name} without an audio track that PyAV can decode",
                "convert its sound to WAV or FLAC",
            )
        rate = stream.rate or 0
        _check_rate(rate, name)
        blocks, seconds = [], 0.0
        for block in _mono_blocks(container, stream, rate):
            seconds += len(block) / rate
            _check_seconds(seconds, name)
            blocks.append(block)
    return _join(blocks), rate


def _mono_blocks(
    container: av.container.InputContainer, stream: av.AudioStream, rate: int
) -> Iterator[np.ndarray]:
    to_float = av.AudioResampler(format="fltp", rate=rate)  # channels as they are
    for frame in container.decode(stream):
        for part in to_float.resample(frame):
            yield part.to_ndarray().mean(axis=0)
    for part in to_float.resample(None):
        yield part.to_ndarray().mean(axis=0)


def _join(blocks: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.float32), *blocks])


def _check_rate(rate: int, name: str) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise MediaError(
            name, f"its header gives a sample rate of {rate} Hz", "convert it again from the source"
        )


def _check_seconds(seconds: float, name: str) -> None:
    if seconds > MAX_SECONDS:
        raise MediaError(
            name, f"the sound is longer than {MAX_SECONDS // 60} minutes", "split it into parts"
        )


def _glimpse(data: bytes) -> str:
    """The file's beginning, to show in an error what it may be instead."""
    return f"{len(data):,} bytes, beginning {data[:12]!r}"


def encode_wav(samples: np.ndarray, rate: int = RATE) -> bytes:
    """16-bit PCM WAV of ``[samples]`` or ``[samples, channels]``, clipped at ±1.

    The same samples always give the same bytes.
    """
    buffer = io.BytesIO()
    sf.write(buffer, samples, rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def encode_png(image: Image.Image) -> bytes:
    """PNG without metadata; the same pixels give the same bytes under one zlib."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=None, exif=b"", icc_profile=None)
    return buffer.getvalue()
