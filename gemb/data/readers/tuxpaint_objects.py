"""Photograph cut-outs of Tux Paint in ten categories, composed on landscapes.

A stand-in for CIFAR-10. The manifest ``tuxpaint-objects`` lists the stamps and
says how they were chosen.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

from gemb.data import manifests
from gemb.data.fetch import fetch
from gemb.data.items import Item, Media
from gemb.data.readers import backgrounds
from gemb.data.readers.files import encoded, seed_of, sha256

DATASET = "tuxpaint-objects"
STAMPS = "tuxpaint-stamps"

# Stamps of fruit and vegetables are some 50 pixels wide, those of vehicles up
# to 1,200. All are first brought down to this, so that sharpness tells little
# of the category.
_STAMP_SIDE = 100  # pixels, of the longer side
_SCALE = (0.4, 0.75)  # of the longer side, as part of the picture's width
_TURN = 12  # degrees to either side
_BRIGHTNESS = (0.8, 1.2)


def items(root: Path | None = None) -> list[Item]:
    """Every stamp in each of its compositions; nothing is composed yet.

    Items are grouped by stamp; stamps whose names begin with the same word
    (``rabbit``, ``rabbit-2``, ``rabbit_little``) are one group.

    Args:
        root: Folder that holds ``tuxpaint-stamps/`` and ``endless-sky/`` as they
            lie in the cache; fetched where not given.

    Raises:
        DataFileError: A stamp is missing, or there are no landscapes.
    """
    generator = manifests.get(DATASET).generator
    folder = (root / STAMPS if root else fetch(STAMPS)) / "stamps"
    kinds = backgrounds.photographs(root / backgrounds.DATASET if root else None)
    landscapes = [path for paths in kinds.values() for path in paths]
    landscape_sha = {path: sha256(path, backgrounds.DATASET) for path in landscapes}
    result = []
    for answer, names in generator["stamps"].items():
        for name in names:
            stamp = folder / name
            stamp_sha = sha256(stamp, STAMPS)
            order = np.random.RandomState(seed_of(name)).permutation(len(landscapes))
            for number in range(generator["compositions"]):
                landscape = landscapes[order[number % len(landscapes)]]
                recipe = {
                    "generator": generator["name"],
                    "version": generator["version"],
                    "size": generator["size"],
                    "stamp": stamp_sha,
                    "background": landscape_sha[landscape],
                    "seed": seed_of(name, number),
                }
                result.append(
                    Item(
                        id=f"{DATASET}/{name.removesuffix('.png')}/{number}",
                        modality="image",
                        media=_medium(stamp, landscape, recipe),
                        answer=answer,
                        group=f"{answer}/{group_of(name)}",
                        meta={"stamp": name, "background": landscape.stem},
                    )
                )
    return result


def group_of(name: str) -> str:
    """The first word of a stamp's file name, in lower case and without its number."""
    return re.split(r"[-_\d.]", Path(name).name.lower())[0].rstrip("s")


def _medium(stamp: Path, landscape: Path, recipe: dict[str, object]) -> Media:
    size, seed = int(str(recipe["size"])), int(str(recipe["seed"]))
    return Media.from_recipe(recipe, lambda: compose(stamp, landscape, size, seed), "jpg")


def compose(stamp: Path, landscape: Path, size: int, seed: int) -> bytes:
    """A JPEG ``size`` pixels wide and high: the stamp somewhere on a part of the landscape.

    Place, scale, turn, mirroring and brightness are drawn from ``seed``.
    """
    # RandomState, because NumPy promises that its stream never changes
    rng = np.random.RandomState(seed)
    picture = backgrounds.square(landscape, size, rng)
    with Image.open(stamp) as opened:
        cut_out = opened.convert("RGBA")
    cut_out = cut_out.crop(cut_out.getchannel("A").getbbox())
    cut_out.thumbnail((_STAMP_SIDE, _STAMP_SIDE), Image.Resampling.LANCZOS)
    if rng.randint(2):
        cut_out = cut_out.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    factor = rng.uniform(*_SCALE) * size / max(cut_out.size)
    scaled = (max(1, round(cut_out.width * factor)), max(1, round(cut_out.height * factor)))
    cut_out = cut_out.resize(scaled, Image.Resampling.BICUBIC)
    cut_out = cut_out.rotate(rng.uniform(-_TURN, _TURN), Image.Resampling.BICUBIC, expand=True)
    light = rng.uniform(*_BRIGHTNESS)
    red, green, blue, alpha = cut_out.split()
    lit = [channel.point(lambda v: min(255, round(v * light))) for channel in (red, green, blue)]
    left = int(rng.randint(max(1, size - cut_out.width + 1)))
    top = int(rng.randint(max(1, size - cut_out.height + 1)))
    picture.paste(Image.merge("RGB", lit), (left, top), alpha)
    return encoded(picture, "JPEG")
