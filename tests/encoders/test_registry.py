"""What is listed is what is there, and a wrong spec is told what is right."""

import pytest
from typer.testing import CliRunner

from gemb import encoders
from gemb.cli import app
from gemb.encoders import REGISTRY
from gemb.errors import UnknownName


def test_gemb_encoders_lists_every_one_with_what_a_reader_chooses_by():
    done = CliRunner().invoke(app, ["encoders"])
    assert done.exit_code == 0, done.output
    for name, card in REGISTRY.items():
        assert name in done.output and card.licence in done.output and card.offline in done.output
    assert "precomputed:<file.parquet>" in done.output and "2720" in done.output


@pytest.mark.parametrize("name", [n for n, c in REGISTRY.items() if not c.argument.startswith("<")])
def test_a_card_says_what_the_encoder_says(name):
    encoder, card = encoders.load(name), encoders.card(name)
    assert encoder.name == name
    assert (encoder.dim, set(encoder.modalities)) == (card.dim, set(card.modalities))
    assert isinstance(encoder, encoders.Encoder)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nonsense", "no encoder 'nonsense'; there are: gemini, minilm"),
        ("precomputed", "needs an argument: precomputed:<file.parquet>"),
        ("open-concat:large", "takes no argument"),
        ("open-bound:large", "posteriors, trained"),
    ],
)
def test_a_wrong_spec_is_told_what_is_right(spec, said):
    with pytest.raises(UnknownName, match=said):
        encoders.load(spec)
