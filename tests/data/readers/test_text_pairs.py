"""Pairs of texts: the source's datasets in their official layouts, and the offline ones."""

from pathlib import Path

import official_audio
import pytest
from archives import make_zip

from gemb.data.fetch import adopt
from gemb.data.items import Item, Media
from gemb.data.readers import text_pairs
from gemb.data.readers.files import DataFileError

ENTAILED = [("A man plays a guitar on stage.", "Somebody makes music (entailment).")]


def test_of_the_inference_datasets_the_entailed_pairs_are_taken(tmp_path: Path) -> None:
    official_audio.snli(tmp_path)
    official_audio.multinli(tmp_path)
    for split in ("train", "test"):
        assert text_pairs.snli(tmp_path, split) == ENTAILED
        assert text_pairs.multinli(tmp_path, split) == ENTAILED


def test_fever_pairs_claims_with_the_sentences_that_support_them(tmp_path: Path) -> None:
    official_audio.fever(tmp_path)
    assert text_pairs.fever(tmp_path) == [
        ("Fox aired a show.", "Fox is a network ( US ) ."),
        ("Two are needed.", "It aired. She sings ."),
    ]


def test_scifact_pairs_claims_with_rationales(tmp_path: Path) -> None:
    official_audio.scifact(tmp_path)
    assert text_pairs.scifact(tmp_path) == [("It is so.", "First. Second.")]


@pytest.mark.parametrize("name", ["multinli", "snli", "fever", "scifact"])
def test_what_a_reader_hands_over_is_read_from_the_cache(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMB_HOME", str(tmp_path / "home"))
    given = tmp_path / "given"
    getattr(official_audio, name)(given)
    if name == "fever":  # its pages stay zipped
        pages = {f"wiki-pages/{p.name}": p.read_bytes() for p in (given / "wiki-pages").iterdir()}
        make_zip(given / "wiki-pages.zip", pages)
    adopt(name, given, verify=False)
    read = getattr(text_pairs, name)
    assert read() == read(given)


@pytest.mark.parametrize("name", ["multinli", "snli", "fever", "scifact"])
def test_a_missing_or_damaged_file_is_named_with_the_remedy(name: str, tmp_path: Path) -> None:
    read = getattr(text_pairs, name)
    with pytest.raises(DataFileError, match=f"missing.*gemb fetch {name}"):
        read(tmp_path)
    first = {"multinli": "multinli_1.0_train.jsonl", "snli": "snli_1.0_train.jsonl",
             "fever": "train.jsonl", "scifact": "corpus.jsonl"}[name]  # fmt: skip
    (tmp_path / first).write_text("\n{not json\n")
    with pytest.raises(DataFileError, match=rf"{first}: line 2 cannot be read"):
        read(tmp_path)


WORDNET = """  1 This software and database is being provided to you, the LICENSEE, by
02084071 05 n 03 dog 0 domestic_dog 0 Canis_familiaris 0 001 @ 02083346 n 0000 | a member of the \
genus Canis; "the dog barked all night"
00004296 00 a 01 half-heard(p) 0 000 | "only an example"
"""


def test_wordnet_pairs_words_with_definitions_synonyms_and_examples(tmp_path: Path) -> None:
    for kind in ("adj", "adv", "noun", "verb"):
        (tmp_path / f"data.{kind}").write_text(WORDNET, "latin-1")
    assert text_pairs.wordnet(tmp_path)[:4] == [
        ("dog", "a member of the genus Canis"),
        ("dog", "domestic dog"),
        ("dog", "Canis familiaris"),
        ("the dog barked all night", "dog: a member of the genus Canis"),
    ]
    (tmp_path / "data.verb").write_text("nothing")
    with pytest.raises(DataFileError, match=r"data\.verb: no synset"):
        text_pairs.wordnet(tmp_path)


def test_commands_have_other_wordings() -> None:
    other = dict(text_pairs.commands())
    assert other["turn on the lamp in the hall"] == "put the lamp in the hall on, please"
    assert len(other) >= 150
    assert all(a != b for a, b in other.items())


def test_tested_captions_are_in_no_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("adj", "adv", "noun", "verb"):
        (tmp_path / f"data.{kind}").write_text(WORDNET, "latin-1")
    monkeypatch.setattr(text_pairs, "fetch", lambda name: tmp_path)
    meta = {"sentence": "A man speaking Danish says: En and.", "english": "A duck"}
    item = Item("x", "audio", Media.from_text("x"), "En and", meta=meta)
    pairs = text_pairs.offline([item])
    assert ("En and", "A duck") in pairs and ("En and", meta["sentence"]) in pairs
    assert pairs == text_pairs.offline([item]) and pairs[:5] == text_pairs.offline([item], count=5)
    tested = {"Domestic dog.", "turn on the lamp", "en and"}
    left = text_pairs.offline([item], exclude=tested)
    texts = {t for p in left for t in p}
    assert "domestic dog" not in texts and "turn on the lamp" not in texts and "En and" not in texts
    assert "Canis familiaris" in texts
