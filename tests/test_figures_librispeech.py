"""Section 2's tables, charts and sentences, from a record made by hand."""

import pytest

from gemb import figures, profiles, records
from gemb.figures.librispeech_evidence import PARTS
from gemb.records import CurvePoint, Example, OpenVocabularyRecord, Probe, Recognition, Score

SETUPS = (
    "one vector, 1 token",
    "one vector, 32 tokens",
    "2 s chunks, 1 token each",
    "1 s chunks, 1 token each",
)


def score(value, half=0.02):
    return Score(value=value, low=value - half, high=value + half)


def result(name, kind="set-up", exact=0.0, overlap=0.2, bits=None):
    return records.SpeechResult(
        name=name,
        kind=kind,
        items=150,
        exact=Score(value=exact, low=exact, high=exact),
        wer=score(0.95),
        cer=score(0.7),
        overlap=score(overlap),
        overlap_gain=score(overlap - 0.15),
        by_length=[{"words": "8–9", "items": 60, "exact": exact, "wer": 0.9, "overlap": overlap}],
        n_train=800 if kind == "set-up" else None,
        tokens=1.0 if kind == "set-up" else None,
        parameters=1000 if kind == "set-up" else None,
        bits=bits,
        examples=[Example(item_id="i", answer="what was said", given="what is <b>", logprob=-1.2)]
        if kind == "set-up"
        else [],
    )


def point(arm, n_train, bits, overlap=0.3, passes=3000):
    return CurvePoint(
        arm=arm,
        n_train=n_train,
        passes=passes,
        exact=score(0.0, 0),
        wer=score(0.9),
        overlap=score(overlap),
        bits=score(bits, 0.5),
        train_loss=2.0,
    )


@pytest.fixture
def record():
    return OpenVocabularyRecord(
        provenance=records.provenance(profiles.get("study"), "enc", "lm", {}, "raw", 60),
        n_train=800,
        n_test=150,
        results=[
            *(result(n, bits=score(3.0, 1.0)) for n in SETUPS),
            result("one vector, 1 token, pairs shuffled", "floor", overlap=0.15),
            result("Moonshine's transcript", "ceiling", exact=0.4, overlap=0.9).model_copy(
                update={
                    "by_voice": [
                        {
                            "voice": "v",
                            "sentences": 3,
                            "exact": 0.4,
                            "wer": 0.1,
                            "cer": 0.05,
                            "overlap": 0.9,
                        }
                    ]
                }
            ),
        ],
        recognition=[
            Recognition(
                sentences=n,
                n_train=3 * n,
                known=score(known),
                unseen=score(0.0, 0),
                class_mean=score(0.99, 0.01),
                bits=score(20.0, 1.0),
                epochs=30,
                n_unseen=40,
            )
            for n, known in ((10, 1.0), (300, 0.6))
        ],
        probes=[
            Probe(arm="audio", words=2, auc=score(0.7), by_word=[{"word": "the", "auc": 0.7}]),
            Probe(arm="text", words=2, auc=score(0.9), by_word=[{"word": "the", "auc": 0.9}]),
        ],
        curve=[
            point("text", 300, 5),
            point("text", 3000, 20, 0.5),
            point("audio", 300, 3),
            point("audio", 3000, 3.2),
            point("frames", 300, 3),
            point("frames", 3000, 9),
        ],
        nearest_training_wer=score(0.7),
    )


def sentences(record):
    """Every sentence, whatever part it stands in."""
    return "\n".join(repr(figures.evidence(record, part)) for part in PARTS)


def test_the_set_ups_are_held_against_what_understands_nothing(record):
    text = repr(figures.evidence(record, "set-ups"))
    assert "than a floor does" not in text and "nearest training sentence" not in text
    record.results.append(result("the same sentence always", "floor", overlap=0.25))
    record.results.append(result("the sentence's own text vector, 1 token", "ceiling", overlap=0.2))
    text = repr(figures.evidence(record, "set-ups"))
    assert "No set-up shares more words with the truth than a floor does" in text
    assert "the same sentence always: 25.0 (23.0–27.0)%" in text
    assert "neither does the ceiling from text vectors (20.0" in text
    record.results.append(result("nearest training sentence", "floor", overlap=0.2))
    for r in record.results:
        if r.kind == "set-up":
            r.overlap_gain = score(0.01)  # from -0.01: not surely above chance
    text = repr(figures.evidence(record, "set-ups"))
    assert "the nearest training sentence, found by the same vectors" in text
    assert "surely above chance (5.0 (3.0–7.0) points), and no set-up is" in text
    record.results[0].overlap_gain = score(0.05)
    assert "nearest training sentence" not in repr(figures.evidence(record, "set-ups"))


def test_in_short_are_the_answers_alone(record):
    short = figures.evidence(record).lines
    text = "\n".join(short)
    assert 5 <= len(short) <= 8 and len(text) < 1800
    assert "own vector than with another's in 4 of 4 set-ups; an answer surely shares" in text
    assert "surely recognised in unseen voices where there are 10 or 300; of 40" in text
    assert "of 40 never trained on none is ever right" in text
    assert "does hold frequent words: a linear probe finds them with AUC 70.0" in text
    assert "From 300 to 3,000 training sentences the vector of the text surely gains (5.0" in text
    assert "the vector of the speech does not surely gain (3.0" in text
    assert "trained on no further" not in text
    for p in record.curve[2:]:
        p.n_train //= 2
    assert "it was trained on no further" in repr(figures.evidence(record))
    for p in record.curve[2:]:
        p.n_train *= 2
    assert "At 3,000 sentences unpooled frames are surely better" in text
    record.recognition[0].unseen = score(0.2)
    record.probes[0].auc = score(0.5)
    text = repr(figures.evidence(record))
    assert "of those never trained on 20.0 (18.0–22.0)% are right as well, which is more" in text
    assert "not surely find frequent words better than chance" in text
    for r in record.results:
        r.overlap_gain = None
    assert "shares more words" not in repr(figures.evidence(record))


def test_the_evidence_follows_the_numbers(record):
    text = sentences(record)
    assert "Exact match is 0 in all four set-ups" in text and "below 2.0%" in text
    assert "In 4 of 4 an answer surely shares more words with its own sentence" in text
    assert "none is ever right" in text and "without proving it" in text
    assert "one of the 10 costs 20.0 (19.0–21.0) bits less" in text
    assert "holds words, but fewer than the text vector" in text
    assert "vector of the text, of one seed, the bits a sentence go from 5.0" in text
    assert "too few are part of what text vectors lack in bits" in text
    assert "no sure gain from more sentences" in text  # of the speech vector
    assert "pooling loses what the frames still had, or one virtual token holds less" in text


def test_other_numbers_give_other_evidence(record):
    other = record.model_copy(deep=True)
    other.results[0] = result(SETUPS[0], exact=0.1, bits=score(0.1, 0.5))
    for r in other.results[:4]:
        r.overlap_gain = score(0.0)
    other.recognition[0].unseen = score(0.2)
    other.probes[0].auc = score(0.5)
    other.curve[-1].bits = score(3.0)
    text = sentences(other)
    assert "Exact match is not 0 everywhere" in text and "10.0" in text
    assert "in 3 of 4 set-ups" in text and "In none does an answer surely share more" in text
    assert "right in up to 20.0%" in text
    assert "not surely better than that" in text
    assert "cannot say that pooling is what loses the words" in text
    for r in other.results[:4]:
        r.bits = score(0.1, 0.5)
    text = sentences(other)
    assert "In none of 4 set-ups does surely anything of the sentence get through" in text
    other.results[0].bits = score(0.501, 0.5)
    text = sentences(other)
    assert "Barely anything of the sentence gets through, and in 1 of 4 set-ups alone" in text
    assert "by an interval that begins at 0.001 bits" in text


def test_what_was_trained_longer_stands_beside_the_curves_and_decides(record):
    record.recognition.append(
        record.recognition[1].model_copy(update={"known": score(0.9), "epochs": 90, "longer": True})
    )
    record.curve[1].passes = 10_000
    record.curve.append(point("text", 300, 8, passes=10_000).model_copy(update={"longer": True}))
    text = sentences(record)
    assert (
        "300 sentences, each clip seen 90 times instead of 30, save 20.0 (19.0–21.0) bits" in text
    )
    assert "are right in 90.0 (88.0–92.0)% instead of 60.0 (58.0–62.0)%: exact match gains" in text
    assert "300 sentences with as many steps (10,000 passes) reach 8.0" in text
    assert "the steps alone are 20% of the way up from 5.0" in text  # 5, then 8, of 20
    record.curve[0].n_train = 200  # nothing to compare with
    assert "it is the sentences, so that too few are part" in sentences(record)
    assert "trained on for 3,000 passes at most, text for up to 10,000" in text
    record.curve[-1].bits = score(30.0)
    assert "it is the steps, and fewer sentences seen more often" in sentences(record)
    record.curve.pop()
    assert "which it is cannot be told" in sentences(record)


def test_bits_decide_where_exact_match_hardly_moves(record):
    first = record.recognition[1]
    first.known, first.n_known = score(0.0, 0), 150
    more = {"known": Score(value=0.03, low=0.006, high=0.06), "bits": score(50.0), "longer": True}
    record.recognition.append(first.model_copy(update=more))
    text = sentences(record)
    # none of 150 may be 3/150, which is more than 0.6%
    assert "0.0 (0.0–0.0)% (the true rate may be up to 2.0%, for 150 were asked): by bits" in text
    assert "is what decides, but exact match hardly moves" in text
    first.n_known = 0  # as in older records: as many as are tested, at most
    assert "for 150 were asked" in sentences(record)
    record.recognition[-1].known = score(0.9)
    assert "the longer training is what decides. " in sentences(record)
    record.recognition[-1].known, record.recognition[-1].bits = score(0.01), first.bits
    assert "no sure gain. " in sentences(record)


def test_the_probes_penalty_is_named_where_the_record_has_it(record):
    assert "The penalty is the same" in repr(figures.probe_table(record))
    record.probes[0].penalty = 0.01
    assert "The penalty (C = 0.01) is the same" in repr(figures.probe_table(record))


def test_answers_less_expected_than_what_was_said_are_not_fluent(record):
    assert "judge" not in sentences(record)
    for r, value in zip(record.results[:4], (0.3, 0.2, 0.0, -0.3), strict=True):
        r.fluency = score(value)
    text = sentences(record)
    assert "ordinary to the language model in 3 of 4 set-ups" in text
    assert "the judge is the writer" in text


def test_every_figure_has_alternative_text_and_every_table_its_csv(record):
    for shown in (
        figures.speech_chart(record),
        figures.recognition_chart(record),
        figures.curve_chart(record),
    ):
        assert 'alt="' in shown._repr_html_() and shown.png.startswith(b"\x89PNG")
    for shown in (
        figures.speech_table(record),
        figures.lengths_table(record),
        figures.transcripts_table(record),
        figures.voices_table(record),
        figures.recognition_table(record),
        figures.probe_table(record),
        figures.curve_table(record),
        figures.provenance_table(record),
    ):
        assert ".csv</a>" in shown._repr_html_()
    # a language model may write anything: it must not become markup
    assert "&lt;b&gt;" in figures.transcripts_table(record)._repr_html_()


def test_the_studys_own_data_are_named_and_have_neither_known_sentences_nor_frames(record):
    about = record.provenance.model_copy(update={"source": "official"})
    own = record.model_copy(
        update={
            "provenance": about,
            "recognition": [],
            "curve": [p for p in record.curve if p.arm != "frames"],
        }
    )
    text = repr(figures.speech_table(own))
    assert "LibriSpeech" in text and "stand-in" not in text
    assert "recognised in unseen voices" not in sentences(own)
    assert "frames" not in sentences(own)
    for shown in (figures.recognition_chart(own), figures.curve_chart(own)):
        assert shown.png.startswith(b"\x89PNG")
    assert "Nothing of this under this profile" in repr(figures.recognition_table(own))


def test_stand_ins_are_named_and_the_studys_result_is_the_studys(record):
    text = repr(figures.speech_table(record))
    assert "stand-in for LibriSpeech" in text and "the study reports exact match 0" in text


def test_a_run_that_learnt_no_sentence_says_nothing_of_the_conjecture(record):
    for row in record.recognition:
        row.known = score(0.0, 0)
    text = sentences(record)
    assert (
        "are not surely recognised in unseen voices" in text
        and "neither support nor weaken" in text
    )
    assert "luster recognition" not in text


def test_more_sentences_at_more_steps_do_not_tell_which_of_them_helped(record):
    record.curve[1].passes = 30_000
    text = sentences(record)
    assert "cannot be told here" in text and "lack in bits" not in text


def test_a_ceiling_that_says_none_right_either_says_so(record):
    name = "the sentence's own text vector, 1 token"
    record.results.append(result(name, "ceiling", bits=score(5.0, 1.0)))
    text = sentences(record)
    assert "something of it gets through (5.0" in text and "nothing of speech in particular" in text
    record.results[-1] = result(name, "ceiling", exact=0.6, bits=score(5.0, 1.0))
    assert "nothing of speech in particular" not in sentences(record)


def test_a_probe_is_held_against_what_the_length_tells_and_either_vector_may_win(record):
    record.probes.append(record.probes[0].model_copy(update={"arm": "length", "auc": score(0.69)}))
    assert "not surely better than that" in sentences(record)
    record.probes[0].auc, record.probes[2].auc = score(0.95, 0.01), score(0.6)
    assert "made for meaning" in sentences(record)
    assert "number of its words alone" in repr(figures.probe_table(record))


@pytest.mark.parametrize(
    "table",
    [
        figures.speech_table,
        figures.lengths_table,
        figures.transcripts_table,
        figures.recognition_table,
        figures.probe_table,
        figures.curve_table,
    ],
)
def test_every_table_names_the_stand_in(record, table):
    assert "stand-in for LibriSpeech" in repr(table(record))
