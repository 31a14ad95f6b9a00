"""Sentences from WordNet's files, and who speaks them."""

import pytest

from gemb.data import manifests, released
from gemb.data.fetch import fetch
from gemb.data.items import Item
from gemb.data.readers import spoken_sentences as reader
from gemb.data.readers.files import DataFileError

LICENCE = "  1 This software and database is being provided to you\n"


def line(gloss):
    return f"00001740 03 n 01 entity 0 000 | {gloss}\n"


@pytest.fixture
def wordnet(tmp_path):
    for name in ("data.adj", "data.adv", "data.verb"):
        (tmp_path / name).write_text(
            LICENCE + line('a gloss; "the boy ate his apple in the old garden"'), "latin-1"
        )
    (tmp_path / "data.noun").write_text(
        LICENCE
        + line('one; "The dog\'s owner, a tall man, didn\'t come home."; "too short"')
        + line('quoted; "all the world is a stage and men are players"- Shakespeare')
        + line('figures; "he was born in 1908 in a small town by the sea"')
        + line(f'long; "{"very " * 20}long"'),
        "latin-1",
    )
    return tmp_path


def test_examples_of_eight_to_twenty_words_once_each_without_quotations(wordnet):
    assert sorted(reader.sentences(wordnet)) == [
        "the boy ate his apple in the old garden",
        "the dog's owner a tall man didn't come home",
    ]


def test_a_missing_or_empty_file_is_named(wordnet):
    (wordnet / "data.verb").write_text(LICENCE)
    with pytest.raises(DataFileError, match=r"data\.verb"):
        reader.sentences(wordnet)
    (wordnet / "data.verb").unlink()
    with pytest.raises(DataFileError, match=r"data\.verb"):
        reader.sentences(wordnet)


def test_the_released_sentences_are_as_the_manifest_says():
    found = released.sentences()
    assert len(found) == len(set(found)) == manifests.get(reader.DATASET).items
    assert all(reader.MIN_WORDS <= len(s.split()) <= reader.MAX_WORDS for s in found)


@pytest.mark.data
def test_the_released_sentences_are_wordnets():
    assert reader.sentences() == released.sentences() == reader.sentences(fetch(reader.SOURCE))


def test_test_voices_are_never_trained_on_and_three_engines_speak():
    some = released.sentences()[:300]
    trained = {v for s in some for v in reader.training_voices(s, 4)}
    tested = {reader.test_voice(s) for s in some}
    assert not {v.base for v in trained} & {v.base for v in tested}
    assert all(len(set(reader.training_voices(s, 4))) == 4 for s in some)
    assert {reader.voice_of(s).engine for s in some} == {"espeak-ng", "piper", "hibari"}


def test_an_item_is_the_sentence_in_a_voice():
    sentence = released.sentences()[0]
    one, other = reader.item(sentence), reader.item(sentence, reader.test_voice(sentence))
    assert isinstance(one, Item) and one.answer == one.group == sentence
    assert other.meta["voice"] == reader.test_voice(sentence).id
    text = reader.text_item(sentence)
    assert text.modality == "text" and text.media.bytes().decode() == sentence
    assert len({one.media.key, text.media.key}) == 2
