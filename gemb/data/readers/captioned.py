"""Pictures, sounds and speech with what they show or say in words: pairs to bind a space by.

Left out is whatever belongs to a category that cross-modal transfer is tested on, and every
stamp that the task of naming objects shows: its pictures are new to a space bound here.
"""

from __future__ import annotations

import re
from pathlib import Path

from gemb.data import manifests
from gemb.data.fetch import fetch
from gemb.data.items import Item, Media
from gemb.data.readers import spoken_sentences
from gemb.data.readers.files import DataFileError, sha256
from gemb.data.readers.tuxpaint_objects import DATASET, STAMPS

# Folders of the stamps that hold birds, mammals, insects, instruments, tools or vehicles, in
# costume, as a toy or as a drawing too; and symbols, which are not pictures of things.
_LEFT_OUT = (
    "animals",
    "hobbies/music",
    "household/tools",
    "household/arttools",
    "military",
    "vehicles",
    "seasonal/halloween",
    "seasonal/easter",
    "town/cartoon",
    "people/cartoon",
    "space/apollo_lander",
    "space/voyager2",
    "symbols",
)
# The same, their parts and their kin in captions of the other folders and in spoken sentences.
_NAMED = re.compile(
    r"\b(bird|chick|chicken|duck|goose|turkey|owl|hen|rooster|eagle|dove|penguin|feather|feathered"
    r"|cat|dog|horse|horseback|stable|reindeer|sheep|lamb|bunny|rabbit|mouse|bear|cow|pig"
    r"|bee|ant|butterfly|cricket|spider|fly|moth|larva|larvae|insect"
    r"|drum|bell|trumpet|guitar|flute|horn|music|hammer|saw|scissors|knife|brush"
    r"|car|auto|bus|truck|train|railroad|plane|airline|jet|ship|boat|vessel|tram|sleigh|rocket|shuttle"
    r"|spacecraft|propeller|bicycle|vehicle|animal|creature|vertebrate)s?\b",
    re.IGNORECASE,
)
_TRAILING = re.compile(r"\s*\(.*?\)")  # such as "(cartoon)"


def pictures(root: Path | None = None) -> list[Item]:
    """Stamps on white with their English captions as answers; mirrored copies are left out.

    Raises:
        SourceUnavailable: The stamps cannot be had.
        DataFileError: There is none in the folder.
    """
    folder = (root or fetch(STAMPS)) / "stamps"
    shown = {s for stamps in manifests.get(DATASET).generator["stamps"].values() for s in stamps}
    out = []
    for path in sorted(folder.rglob("*.png")):
        caption = _caption(path)
        name = path.relative_to(folder).as_posix()
        if caption is None or "_mirror" in name or name in shown or _is_left_out(name, caption):
            continue
        out.append(
            Item(
                id=f"captioned/{name.removesuffix('.png')}",
                modality="image",
                media=_on_white(path),
                answer=caption,
                group=caption,
            )
        )
    if not out:
        raise DataFileError(folder, "no captioned picture in it", STAMPS)
    return out


def sounds(root: Path | None = None) -> list[Item]:
    """The stamps' own sounds with the caption of the stamp, of the same folders."""
    folder = (root or fetch(STAMPS)) / "stamps"
    out = []
    for path in sorted(folder.rglob("*.ogg")):
        name = path.relative_to(folder).as_posix()
        caption = _caption(path)
        if "_desc" in path.stem or caption is None or _is_left_out(name, caption):
            continue
        out.append(
            Item(
                id=f"captioned/{name}",
                modality="audio",
                media=Media.from_file(path),
                answer=caption,
                group=caption,
            )
        )
    return out


def speech(count: int) -> list[Item]:
    """Spoken sentences, which are their own captions; the last of the list that section 2 uses."""
    chosen = [s for s in reversed(spoken_sentences.sentences()) if not _NAMED.search(s)]
    return [spoken_sentences.item(s) for s in chosen[:count]]


def _caption(path: Path) -> str | None:
    """The first line of the text beside a stamp: its English caption."""
    text = path.with_suffix(".txt")
    if not text.is_file():
        return None
    line = text.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0]
    return _TRAILING.sub("", line).strip().rstrip(".!") or None


def _is_left_out(name: str, caption: str) -> bool:
    return any(name == f or name.startswith((f + "/", f + ".")) for f in _LEFT_OUT) or bool(
        _NAMED.search(caption)
    )


def _on_white(path: Path) -> Media:
    """The stamp on white, for what is transparent has no colour."""
    recipe = {"generator": "stamp-on-white", "version": 1, "stamp": sha256(path, STAMPS)}

    def make() -> bytes:
        from PIL import Image

        from gemb.data.media import encode_png

        with Image.open(path) as opened:
            stamp = opened.convert("RGBA")
        white = Image.new("RGBA", stamp.size, "white")
        return encode_png(Image.alpha_composite(white, stamp).convert("RGB"))

    return Media.from_recipe(recipe, make, "png")
