"""Words rendered over landscapes in many fonts; a stand-in for IIIT-5K.

The manifest ``rendered-words`` lists the words, the fonts and the kinds of
landscape, and which of them are for training and which for testing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from gemb.data import manifests
from gemb.data.fetch import fetch
from gemb.data.items import Item, Media
from gemb.data.readers import backgrounds
from gemb.data.readers.files import DataFileError, encoded, seed_of, sha256

DATASET = "rendered-words"

_CALM = 0.35  # of the background is replaced by its mean colour
_CONTRAST = 4.5  # between text and the background's mean: WCAG 2's bound for readable text
_WIDTH = (0.72, 0.9)  # of the text, as part of the picture's width
_MAX_HEIGHT = 0.3  # of the letters, as part of the picture's height
_TURN = 12  # degrees to either side
_BLUR = 1.0  # at most: standard deviation in pixels
_NOISE = 10.0  # at most: standard deviation in grey levels of 255
_OVERSAMPLING = 3  # text is drawn this much larger, turned, and reduced


def items(root: Path | None = None) -> list[Item]:
    """Every word in every font and background that its split has; nothing is drawn yet.

    Fonts and kinds of landscape are disjoint between training and test. Items
    are grouped by font. Words of the subset ``unseen-words`` are only tested on.

    Args:
        root: Folder that holds ``endless-sky/`` and a folder for each font's
            manifest, as they lie in the cache; fetched where not given.

    Raises:
        DataFileError: A font or a kind of landscape is missing.
    """
    manifest = manifests.get(DATASET)
    generator = manifest.generator
    kinds = backgrounds.photographs(root / backgrounds.DATASET if root else None)
    result = []
    for split, part in generator["splits"].items():
        landscapes = []
        for kind in part["backgrounds"]:
            if kind not in kinds:
                land = next(iter(kinds.values()))[0].parent
                raise DataFileError(land, f"holds no {kind}*.jpg", backgrounds.DATASET)
            landscapes += kinds[kind]
        landscape_sha = {path: sha256(path, backgrounds.DATASET) for path in landscapes}
        words = [(word, "main") for word in manifest.classes]
        if split == "test":
            words += [(word, "unseen-words") for word in generator["unseen_words"].split()]
        for font_name in part["fonts"]:
            folder = root / font_name if root else fetch(font_name)
            font = folder / manifests.get(font_name).files[0].path
            font_sha = sha256(font, font_name)
            for word, subset in words:
                for number in range(part["renderings"]):
                    seed = seed_of(word, font_name, number)
                    landscape = landscapes[seed % len(landscapes)]
                    text = _cased(word, seed)
                    recipe = {
                        "generator": generator["name"],
                        "version": generator["version"],
                        "size": generator["size"],
                        "text": text,
                        "font": font_sha,
                        "background": landscape_sha[landscape],
                        "seed": seed,
                    }
                    result.append(
                        Item(
                            id=f"{DATASET}/{split}/{font_name}/{word}/{number}",
                            modality="image",
                            media=_medium(text, font, landscape, generator["size"], seed, recipe),
                            answer=word,
                            group=font_name,
                            split=split,
                            subset=subset,
                            meta={
                                "length": str(len(word)),
                                "text": text,
                                "font": font_name,
                                "background": landscape.stem,
                            },
                        )
                    )
    return result


def _cased(word: str, seed: int) -> str:
    """Lower case, capitalised or capitals, a third of the words each."""
    return (word, word.capitalize(), word.upper())[seed // 7 % 3]


def _medium(
    text: str, font: Path, landscape: Path, size: int, seed: int, recipe: dict[str, object]
) -> Media:
    return Media.from_recipe(recipe, lambda: render(text, font, landscape, size, seed), "jpg")


def render(text: str, font: Path, landscape: Path, size: int, seed: int) -> bytes:
    """A JPEG ``size`` pixels wide and high with ``text`` over a part of the landscape.

    Place, size, turn, colour, blur and noise are drawn from ``seed``.
    """
    # RandomState, because NumPy promises that its stream never changes
    rng = np.random.RandomState(seed)
    picture = backgrounds.square(landscape, size, rng)
    mean = np.asarray(picture, dtype=np.float64).mean(axis=(0, 1))
    picture = Image.blend(picture, Image.new("RGB", (size, size), _rgb(mean)), _CALM)

    shape = _text_shape(
        text, font, rng.uniform(*_WIDTH) * size, _MAX_HEIGHT * size, rng.uniform(-_TURN, _TURN)
    )
    left = int(rng.randint(max(1, size - shape.width + 1)))
    top = int(rng.randint(max(1, size - shape.height + 1)))
    picture.paste(_readable_colour(mean, rng), (left, top), shape)

    picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, _BLUR)))
    noise = rng.normal(0, rng.uniform(0, _NOISE), (size, size, 3))
    noisy = np.clip(np.rint(np.asarray(picture) + noise), 0, 255).astype(np.uint8)
    return encoded(Image.fromarray(noisy), "JPEG")


def _text_shape(text: str, font: Path, width: float, height: float, turn: float) -> Image.Image:
    """The text as a grey mask, turned, at most ``width`` × ``height`` pixels before turning."""
    # the basic layout engine gives the same on every machine; the other may be missing
    at_100 = ImageFont.truetype(font, 100, layout_engine=ImageFont.Layout.BASIC)
    x0, y0, x1, y1 = at_100.getbbox(text)
    points = 100 * _OVERSAMPLING * min(width / (x1 - x0), height / (y1 - y0))
    large = ImageFont.truetype(font, points, layout_engine=ImageFont.Layout.BASIC)
    x0, y0, x1, y1 = large.getbbox(text)
    mask = Image.new("L", (round(x1 - x0) + 8, round(y1 - y0) + 8))
    ImageDraw.Draw(mask).text((4 - x0, 4 - y0), text, fill=255, font=large)
    mask = mask.rotate(turn, Image.Resampling.BICUBIC, expand=True)
    return mask.resize(
        (mask.width // _OVERSAMPLING, mask.height // _OVERSAMPLING), Image.Resampling.BOX
    )


def _readable_colour(mean: np.ndarray, rng: np.random.RandomState) -> tuple[int, int, int]:
    """A random colour that stands out from ``mean``; black or white if none is soon found."""
    for _ in range(50):
        colour = rng.uniform(0, 255, 3)
        if _contrast(colour, mean) >= _CONTRAST:
            return _rgb(colour)
    black, white = np.zeros(3), np.full(3, 255.0)
    return _rgb(max(black, white, key=lambda colour: _contrast(colour, mean)))


def _contrast(one: np.ndarray, other: np.ndarray) -> float:
    """WCAG 2's contrast ratio of two sRGB colours, 1 to 21."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: np.ndarray) -> float:
    """WCAG 2's relative luminance of an sRGB colour of 0 to 255, 0 to 1."""
    part = colour / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _rgb(colour: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = (int(v) for v in np.rint(colour))
    return red, green, blue
