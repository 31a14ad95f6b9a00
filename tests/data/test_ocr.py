"""The packaged OCR, on a picture drawn here and on the rendered words."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
import pytest
from PIL import Image, ImageDraw, ImageFont

from gemb.data.ocr import read_word
from gemb.data.readers import rendered_words
from gemb.data.splits import sample

pytestmark = pytest.mark.data  # the OCR is a download of its own


@pytest.mark.parametrize("turn", [-30, 0, 15])
def test_reads_a_word_at_any_slight_turn(turn: int) -> None:
    font = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    picture = Image.new("RGB", (300, 200), "navy")
    ImageDraw.Draw(picture).text((70, 70), "Station", "white", ImageFont.truetype(font, 40))
    assert read_word(picture.rotate(turn)) == "Station"


def test_reads_nothing_where_there_is_no_text() -> None:
    assert read_word(Image.new("L", (64, 200), 128)) == ""


def test_reads_nearly_all_rendered_words() -> None:
    items = sample([i for i in rendered_words.items() if i.split == "test"], 20)
    read = [read_word(Image.open(io.BytesIO(i.media.bytes()))).lower() for i in items]
    assert sum(r == i.answer for r, i in zip(read, items, strict=True)) >= 18
