"""What is sent of an item: its bytes as they are, or in a form that the API takes."""

from __future__ import annotations

import io
from dataclasses import dataclass

import soundfile as sf
from google.genai import types

from gemb.data.items import Item
from gemb.data.media import (
    RATE,
    MediaError,
    cut,
    decode_audio,
    decode_image,
    encode_png,
    encode_wav,
)
from gemb.encoders.base import chunk_seconds
from gemb.encoders.prices import Amount

VIEWS = ("whole", "chunks:<seconds>")
MAX_SECONDS = 180.0  # of sound in one content
MIN_SECONDS = 0.1  # of a chunk
MAX_BYTES = 14_000_000  # of a request, whose 20 MB are counted in base64

PREPROCESSING = "2"  # to be raised whenever the same file would be sent in another form


def seconds_of(view: str) -> float | None:
    """The seconds of a ``chunks`` view, ``None`` of ``whole``."""
    return chunk_seconds(view, "gemini", VIEWS, MIN_SECONDS, MAX_SECONDS)


@dataclass(frozen=True)
class Content:
    """What becomes one vector: an item, or a chunk of one."""

    number: int  # of the item, among those asked for
    item_id: str
    part: int
    parts: int
    data: bytes
    mime_type: str
    amount: Amount

    @property
    def sent(self) -> types.Content:
        """One content each: several parts of one would become one vector, without an error."""
        if self.mime_type == "text/plain":
            part = types.Part.from_text(text=self.data.decode())
        else:
            part = types.Part.from_bytes(data=self.data, mime_type=self.mime_type)
        return types.Content(role="user", parts=[part])


def contents(number: int, item: Item, seconds: float | None) -> list[Content]:
    """What is sent of an item: whole, or in chunks of so many seconds.

    Raises:
        MediaError: It cannot be read, or the model takes nothing of its kind.
    """
    data, one = item.media.bytes(), Amount(contents=1)
    sent: list[tuple[bytes, str, Amount]]
    if seconds is not None and item.modality != "audio":
        raise MediaError(item.id, f"{item.modality} has no chunks", "ask for its view whole")
    if item.modality == "text":
        text = data.decode()
        if not text.strip():
            raise MediaError(item.id, "the text is empty", "leave it out")
        sent = [(data, "text/plain", one + Amount(characters=len(text)))]
    elif item.modality == "image":
        image = decode_image(data, name=item.id)
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            mime_type = "image/png"
        elif data.startswith(b"\xff\xd8\xff"):
            mime_type = "image/jpeg"
        else:
            data, mime_type = encode_png(image), "image/png"
        if len(data) > MAX_BYTES:
            raise MediaError(
                item.id,
                f"the picture has {len(data) / 1e6:.0f} MB, and a request takes "
                f"{MAX_BYTES / 1e6:.0f} MB",
                "make it smaller",
            )
        sent = [(data, mime_type, one + Amount(images=1))]
    else:
        samples = decode_audio(data, suffix=item.media.suffix, name=item.id)
        if seconds is not None:
            pieces = cut(samples, seconds)
            sent = [
                (encode_wav(p), "audio/wav", one + Amount(seconds=len(p) / RATE)) for p in pieces
            ]
        else:
            if len(samples) > MAX_SECONDS * RATE:
                raise MediaError(
                    item.id,
                    f"the sound is {len(samples) / RATE:.0f} s long, and the API takes "
                    f"{MAX_SECONDS:.0f} s",
                    "cut it, or encode it with the view chunks:<seconds>",
                )
            known = _sound_type(data) if len(data) <= MAX_BYTES else None
            if known is None:
                data, known = encode_wav(samples), "audio/wav"
            sent = [(data, known, one + Amount(seconds=len(samples) / RATE))]
    return [
        Content(number, item.id, part, len(sent), *content) for part, content in enumerate(sent)
    ]


def _sound_type(data: bytes) -> str | None:
    """The type of a sound that can be sent as it is."""
    try:
        info = sf.info(io.BytesIO(data))
    except sf.LibsndfileError:
        return None
    if info.format == "MP3":
        return "audio/mp3"
    return "audio/wav" if info.format == "WAV" and info.subtype.startswith("PCM") else None
