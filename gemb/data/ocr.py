"""Reading the one word in a picture with a packaged OCR, the ceiling of the scene text task.

Runs the two networks of the manifest ``rapidocr`` without that package, which
would bring OpenCV: it needs a resize, the smallest turned rectangle around some
pixels, and a greedy CTC decoding. Thresholds are the package's own.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import onnxruntime
from PIL import Image
from scipy import ndimage

from gemb.data.fetch import fetch

# Of the shorter side, in pixels. The package takes 736, which reads no more of
# the rendered words (all of 120 test words at 736, all of 150 at 448).
_DETECT_SIDE = 448
_IS_TEXT = 0.3  # probability above which a pixel belongs to text
_UNCLIP = 1.6  # the network marks text shrunk; this gives back its margin
_LINE_HEIGHT, _MIN_LINE_WIDTH = 48, 320  # pixels of what the recogniser reads


def read_word(image: Image.Image) -> str:
    """The text in ``image``, in its own case; empty where none is found.

    Of several pieces of text only the largest is read.

    Raises:
        SourceUnavailable: The networks are not here and cannot be fetched.
    """
    image = image.convert("RGB")
    line = _find_line(image)
    return "" if line is None else _read_line(line)


def _find_line(image: Image.Image) -> Image.Image | None:
    """The largest piece of text, cut out upright and ``_LINE_HEIGHT`` pixels high."""
    scale = _DETECT_SIDE / min(image.size)
    width, height = (max(32, round(side * scale / 32) * 32) for side in image.size)
    (found,) = _network("detect").run(None, {"x": _input(image.resize((width, height)))})
    # the network sees words whose letters stand apart as several pieces: close the gaps
    mask = ndimage.binary_dilation(found[0, 0] > _IS_TEXT, np.ones((3, 9)))
    labels, count = ndimage.label(mask)
    if not count:
        return None
    largest = 1 + int(np.argmax(ndimage.sum_labels(found[0, 0], labels, range(1, count + 1))))
    y, x = np.nonzero(labels == largest)
    points = np.stack([x * image.width / width, y * image.height / height], axis=1)  # [N, 2]

    turns = [_box(points, math.radians(degrees)) for degrees in range(-45, 46)]
    angle, left, top, right, bottom = min(turns, key=lambda b: (b[3] - b[1]) * (b[4] - b[2]))
    across, down = right - left, bottom - top
    margin = across * down * _UNCLIP / (2 * (across + down))
    left, top, across, down = left - margin, top - margin, across + 2 * margin, down + 2 * margin
    size = (max(1, round(_LINE_HEIGHT * across / down)), _LINE_HEIGHT)
    step = down / _LINE_HEIGHT  # pixels of the picture for one of the line
    c, s = math.cos(angle), math.sin(angle)
    affine = (c * step, -s * step, c * left - s * top, s * step, c * step, s * left + c * top)
    return image.transform(size, Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC)


def _box(points: np.ndarray, angle: float) -> tuple[float, float, float, float, float]:
    """``angle`` and the left, top, right and bottom of ``points`` [N, 2] in axes turned by it."""
    c, s = math.cos(angle), math.sin(angle)
    turned = points @ np.array([[c, -s], [s, c]])
    (left, top), (right, bottom) = turned.min(axis=0), turned.max(axis=0)
    return angle, float(left), float(top), float(right) + 1, float(bottom) + 1


def _read_line(line: Image.Image) -> str:
    """Greedy CTC decoding: the likeliest character of each step, repeats and blanks left out."""
    pixels = _input(line)
    short = max(0, _MIN_LINE_WIDTH - line.width)
    (found,) = _network("recognise").run(None, {"x": np.pad(pixels, [(0, 0)] * 3 + [(0, short)])})
    best = found[0].argmax(axis=1)  # [steps]
    kept = best[(best != 0) & (best != np.roll(best, 1))]
    return "".join(_characters()[i] for i in kept).strip()


def _input(image: Image.Image) -> np.ndarray:
    """Float32 ``[1, 3, height, width]`` from -1 to 1, blue first as the networks were trained."""
    pixels = np.asarray(image, dtype=np.float32)[:, :, ::-1] / 127.5 - 1
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


@cache
def _network(name: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        fetch("rapidocr") / f"{name}.onnx", providers=["CPUExecutionProvider"]
    )


@cache
def _characters() -> list[str]:
    """What each output of the recogniser stands for: a blank, its own list, a space."""
    listed = _network("recognise").get_modelmeta().custom_metadata_map["character"]
    return ["", *listed.splitlines(), " "]
