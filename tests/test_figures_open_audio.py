"""Section 5's tables, charts and sentences, from records made by hand."""

import pytest

from gemb import figures, profiles, records
from gemb.data import released
from gemb.figures.open_audio_findings import PARTS
from gemb.records import (
    MEAN,
    AudioEncoderRecord,
    AudioModel,
    BatchPoint,
    Gain,
    Labelled,
    LabelledExample,
    OnDevice,
    PublishedScore,
    Routed,
    RoutedExample,
    Score,
    Search,
    StudyTask,
    SubsetScores,
    TextScore,
    Uses,
)

SURVIVES = "Does text-only transfer survive pruning?"
BEATS = "Does module combination beat the linear heads?"
EVERYWHERE = "Does the best route beat the best baseline"


def at(value, half=0.05):
    return Score(value=value, low=value - half, high=value + half)


def model(name, kind, value, **more):
    scores = [
        SubsetScores(
            subset=s,
            text_to_audio=at(value),
            audio_to_text=at(value + 0.1),
            others={"text-to-audio": {"MRR": at(0.123)}},
        )
        for s in ("speech", "sound")
    ]
    both = {"text_to_audio": at(value), "audio_to_text": at(value + 0.1)}
    return AudioModel(name=name, kind=kind, parts="some parts", scores=scores, **both, **more)


def route(name, layers, value, kind="route"):
    return model(
        name, kind, value, layers=layers, parameters=layers * 10**6, trained=7 * 10**6,
        seconds=90, steps=12, loss=1.23, guess=3.47, style="name",
    )  # fmt: skip


def gains(question, name, over, value):
    """Of the mean and of one subset, alike."""
    return [
        Gain(
            question=question, model=name, over=over, subset=subset,
            text_to_audio=at(value), audio_to_text=at(0.0),
        )
        for subset in (MEAN, "sound")
    ]  # fmt: skip


def published(source, value, **more):
    said = {"model": "clap", "parameters": None, "heard": "none", "same_as": "", "note": ""}
    return PublishedScore(
        source=source, dataset="AudioCaps", direction="text-to-audio", cvr5=value, **said | more
    )


@pytest.fixture
def record():
    return AudioEncoderRecord(
        provenance=records.provenance(profiles.get("study"), "enc", "lm", {}, "raw", 60),
        pairs={s: {"train": 20, "val": 3, "test": 5} for s in ("speech", "sound")},
        texts=99,
        aside=[
            TextScore(model=m, pairs=50, score=at(v), gain=at(v - 0.3))
            for m, v in (("aligned", 0.3), ("text-only", 0.6), ("text-only, then pruned", 0.4))
        ],
        whole=30,
        small=5,
        models=[
            model("chance", "baseline", 0.1),
            model("random", "baseline", 0.1),
            model("linear heads", "baseline", 0.4, trained=10**6, parameters=47_000_000),
            route("full", 30, 0.6),
            route("pruned to 5", 5, 0.5),
            route("combined, 10 layers", 10, 0.3),
            route("combined, 5 layers, last token", 5, 0.22, "ablation"),
            route("text-only", 30, 0.5),
            route("text-only, then pruned", 10, 0.1),
            route("aligned", 30, 0.4, "step").model_copy(update={"steps": 10}),
            *(
                model(f"{a} to {b}", "style", 0.5 if a == b else 0.2, style=a, tested=b)
                for a in ("name", "sentence")
                for b in ("name", "sentence")
            ),
        ],
        batches=[
            BatchPoint(batch_size=n, steps=s, loss=1.0, score=v)
            for n, s, v in ((32, 5, 0.2), (32, 10, 0.3), (64, 5, 0.4), (64, 10, 0.35))
        ],
        gains=[
            *gains(SURVIVES, "text-only", "aligned", 0.2),
            *gains(SURVIVES, "text-only", "chance", 0.3),
            *gains(SURVIVES, "aligned", "chance", 0.1),
            *gains("Is the best route above chance on each subset?", "full", "chance", 0.3)[1:],
            *gains(SURVIVES, "text-only, then pruned", "aligned, then pruned", 0.0),
            *gains(BEATS, "combined, 10 layers", "linear heads", -0.2),
            *(
                Gain(
                    question=f"{EVERYWHERE} of each subset?",
                    model="full",
                    over=over,
                    subset=subset,
                    text_to_audio=at(value),
                    audio_to_text=at(0.0),
                )
                for subset, over, value in (
                    ("speech", "linear heads", 0.2),
                    ("sound", "random", -0.2),
                )
            ),
        ],
        best="full",
        uses=Uses(
            routing=[
                Routed(
                    name=n,
                    items=20,
                    tools=12,
                    accuracy=at(v),
                    macro=at(v),
                    majority=0.25,
                    milliseconds=31.6,
                    examples=[RoutedExample(item="none", said="stop the fan", tool=t, meant="fan")],
                )
                for n, v, t in (("the model", 0.3, "lights"), ("the words", 0.9, "fan"))
            ],
            labelling=[
                Labelled(
                    encoder="open-audio",
                    items=30,
                    captions=20,
                    accuracy=at(0.4),
                    examples=[
                        LabelledExample(item="x", caption="a dog", labels=["a cat", "a dog"])
                    ],
                )
            ],
            searches=[
                Search(kind="text", query="a dog", among=30, found=[("a cat", 0.456)]),
                Search(kind="sound", item="y", query="a cow", among=30, found=[("a cow", 0.9)]),
            ],
            device=OnDevice(clips=40, clips_per_second=7.25, peak_megabytes=1234.5, threads=2),
        ),
        study=[
            StudyTask(task="words", encoder=e, items=40, accuracy=at(v))
            for e, v in (("open-concat", 0.8), ("open-audio", 0.7))
        ],
        published=[
            published("mteb", 49.9),
            published("article", 42.0, model="CLAP", same_as="clap"),
        ],
    )


def sentences(record):
    """Every sentence, whatever part it stands in."""
    return "\n".join(repr(figures.audio_findings(record, part)) for part in PARTS)


def test_in_short_are_the_answers_alone(record):
    short = figures.audio_findings(record).lines
    assert 5 <= len(short) <= 8 and sum(map(len, short)) < 2000
    text = "\n".join(short)
    assert "(no paired interval)" in text  # an earlier record has none
    assert "Does module combination beat the linear heads? Combined, 10 layers: not surely" in text
    assert "Put to use: at routing spoken commands the best route's model is not surely" in text
    assert "at labelling sounds surely better than chance" in text
    assert "for 12 steps of 32 pairs at most" in text
    record.gains += gains("Does the best route lead", "full", "linear heads", 0.2)
    assert "(a paired difference of 20.0 (15.0–25.0) points text to audio and" in sentences(record)


def test_the_routes_stand_beside_the_baselines_with_intervals(record):
    text = repr(figures.routes_table(record))
    assert "full (best on validation pairs)" in text and "60.0 (55.0–65.0)" in text
    assert "linear heads" in text and "1.5" in text and "aligned" not in text.split("\n", 1)[1]
    assert "combined, 5 layers, last token" in text and "22.0 (17.0–27.0)" in text
    assert "12.3 (7.3–17.3)" in repr(figures.other_metrics_table(record))
    subsets = repr(figures.routes_by_subset_table(record))
    assert "sounds" in subsets and "60.0 (55.0–65.0)" in subsets and "70.0 (65.0–75.0)" in subsets


def test_sentences_follow_the_numbers(record):
    text = sentences(record)
    assert "among its first five (cvR@5) for 65.0% of test queries" in text
    assert "linear heads, does for 45.0%" in text
    assert (
        "beside the baseline that is best there: speech 65.0%, linear heads 45.0% (surely better "
        "one way); sounds 65.0%, random 15.0% (surely worse one way)." in text
    )
    assert "the fewest lose 10.0 points" in text
    assert "does not survive pruning: in the mean of subsets" in text
    assert "surely better in 1 of 2 directions when whole, in 0 when pruned" in text
    assert (
        "against linear heads: in the mean of subsets −20.0 (−25.0 to "
        "−15.0) points text to audio and 0.0 (−5.0 to 5.0) audio to text, surely worse in 1 of 2 "
        "comparisons (sounds, text to audio)." in text
    )
    assert "Trained on the style name, tested on sentence: 30.0 points less" in text
    assert "in 50 pairs kept aside: cvR@5 30.0 (25.0–35.0)% before training on texts" in text
    assert "teaches about texts, and the retrieval of clips follows in 1 of 2 directions" in text
    assert "Batches after the same 10 steps: 32 30.0%, 64 35.0%" in text
    assert (
        "section 1's adaptor answers words 70.0 (65.0–75.0)% from the best route's vectors and "
        "80.0 (75.0–85.0)% from those of open-concat." in text
    )
    # in short, and before the first comparison that answers it
    assert text.count("Does module combination beat the linear heads?") == 2
    assert "Does text-only" not in text
    assert "Routing: the model is right for 30.0 (25.0–35.0)% of 20 spoken commands" in text
    assert "alone for 25%, and it is not surely above that; the words for 90.0" in text
    record.gains[1].text_to_audio = Score(value=0.1, low=1e-17, high=0.2)
    record.gains[1].audio_to_text = Score(value=0.1, low=-0.1, high=0.2)
    text = sentences(record)
    assert "audio to text, in none of 2 comparisons surely better or worse." in text


def test_the_rarest_subset_is_said_and_whether_it_was_learnt_by_heart(record):
    assert "by heart" not in sentences(record)
    record.models.append(route("sound", 5, 0.2, "alone"))
    for over, value in (("chance", 0.02), ("full", -0.4)):
        record.gains += gains("What does it give to train on one subset alone?",
                              "sound", over, value)[1:]  # fmt: skip
    text = sentences(record)
    assert (
        "Of sounds only 20 of 40 clips are trained on: there the best route gets 65.0%, "
        "linear heads 45.0%, chance 15.0%; surely in 1 of 2 directions above chance." in text
    )
    assert (
        "5 layers get 25.0% after 12 steps (in neither direction surely above chance, in neither "
        "direction surely above the best route), with a loss of 1.23 where guessing costs" in text
    )
    assert "by heart" not in text
    record.models[-1].loss = 0.02
    assert "the training clips are learnt by heart" in sentences(record)


@pytest.mark.parametrize(
    ("more", "before", "after", "said"),
    [
        (0.2, 0.0, 0.0, "not surely above chance even when whole"),
        (0.2, 0.3, 0.2, "transfer survives pruning"),
        (0.2, 0.3, 0.0, "does not survive"),
        (0.0, 0.3, 0.2, "adds nothing sure to the alignment"),
    ],
)
def test_the_answer_on_pruning_is_computed(record, more, before, after, said):
    record.gains = [
        *gains(SURVIVES, "text-only", "aligned", more),
        *gains(SURVIVES, "text-only", "chance", before),
        *gains(SURVIVES, "aligned", "chance", 0.1),
        *gains(SURVIVES, "text-only, then pruned", "aligned, then pruned", after),
    ]
    text = sentences(record)
    assert said in text
    weak = "alignment brings the loss from 3.47, which is guessing, to 1.23, and retrieval 10.0 (5"
    assert (weak in text) == ("sure" in said)
    assert ("the retrieval of clips does not surely follow" in text) == (more == 0)
    record.aside[1].gain = at(0.0)
    assert "nothing sure even about texts" in sentences(record)


def test_published_scores_are_labelled_by_their_source(record):
    text = repr(figures.published_audio_table(record))
    assert "the article that this section follows" in text and "mteb's published results" in text
    assert "none was measured here" in text
    differs = repr(figures.published_differences_table(record))
    assert "42.0" in differs and "49.9" in differs


def test_each_encoder_is_a_column_of_the_study(record):
    text = repr(figures.study_table(record))
    assert "open-audio" in text and "80.0 (75.0–85.0)" in text and "70.0 (65.0–75.0)" in text
    assert "who they are: none. Section 1's own scores are means of 3 seeds" in text
    record.study[0].known = 9
    assert "who they are: words 9 of 40." in repr(figures.study_table(record))
    record.study = []
    assert "Nothing of this under this profile" in repr(figures.study_table(record))


def test_the_frozen_encoders_are_counted_apart(record):
    assert "frozen audio encoders" not in repr(figures.routes_table(record))
    record.frozen = 23_900_000
    assert "audio encoders with 23.9 among them" in repr(figures.routes_table(record))


def test_tables_say_how_much_was_trained_on(record):
    pairs = repr(figures.audio_pairs_table(record))
    assert "40 to train on, beside 99 pairs of texts" in pairs
    assert "batches of 32 come to at most so many of the clips: 40 in the 10 steps of" in pairs
    assert "and the 2 steps on texts to 64 of their pairs" in pairs  # after alignment
    steps = repr(figures.text_only_table(record))
    assert "the 2 steps after it see no sound, and 64 of 99 pairs of texts" in steps
    assert "40.0 (35.0–45.0)" in steps and "50.0 (45.0–55.0)" in steps  # means, both ways
    found = sentences(record)
    assert "saw 40 of 40 clips in 10 steps (100% of a pass)" in found
    assert "64 of 99 pairs in 2 (65%): so little training is no verdict" in found
    record.texts = 50
    assert "50 of 50 pairs in 2 (100%): so little" in sentences(record)
    text = record.model("text-only", "route")
    text.steps = 13
    assert "50 of 50 pairs in 3 (100%)" in sentences(record)
    assert "the 3 steps after it see no sound" in repr(figures.text_only_table(record))
    assert "and the 3 steps on texts to 50 of" in repr(figures.audio_pairs_table(record))
    assert "analogue" in steps and "in 50 pairs kept aside" in steps
    assert "30.0 (25.0–35.0)" in steps  # from text to text, of the aligned model
    assert "−20.0 (−25.0 to −15.0)" in repr(figures.gains_table(record))
    assert "Models of 5 layers" in repr(figures.styles_table(record))


@pytest.mark.parametrize(
    ("chart", "said"),
    [
        (figures.parameters_chart, "full 30.0 million 65%"),
        (figures.parameters_chart, "linear heads 47.0 million 45%, chance 15%"),
        (figures.pruning_chart, "sounds, text to audio: 30 layers 60%, 5 layers 50%"),
        (figures.batch_chart, "batches of 64: 40% after 5, 35% after 10"),
    ],
)
def test_charts_have_alternative_text(record, chart, said):
    shown = chart(record)
    assert shown.png.startswith(b"\x89PNG") and said in repr(shown)


def test_uses_are_told_beside_what_they_are_compared_with(record):
    routed = repr(figures.routing_table(record))
    assert "30.0 (25.0–35.0)" in routed and "90.0" in routed and "alone gets 25%" in routed
    examples = repr(figures.routing_examples(record))
    assert "“stop the fan”, meant for fan; the model: lights ✗; the words: fan ✓" in examples
    labels = repr(figures.labels_table(record))
    assert "by chance 5.0%" in labels
    assert "a cat, a dog" in repr(figures.labels_examples(record))
    searched = repr(figures.searches_examples(record))
    assert "asked with “a cow”; found: a cow" in searched
    assert "asked with the words “a dog”; found: a cat" in searched
    assert "a cat 0.46" in repr(figures.searches_table(record))
    assert "1234" in repr(figures.device_table(record))


def test_means_say_what_they_leave_out_and_where_an_answer_differs(record):
    assert "left out" not in repr(figures.routes_table(record))
    record.pairs["caption-known-voice"] = {"train": 0, "val": 0, "test": 5}
    for m in record.models:
        m.scores.append(m.scores[0].model_copy(update={"subset": "caption-known-voice"}))
    assert "(captions read aloud, known voices left out)" in repr(figures.routes_table(record))
    text = sentences(record)
    assert "Means leave out the captions read aloud, known voices." in text
    record.gains = [
        *gains(SURVIVES, "text-only", "aligned", 0.0),
        *gains(SURVIVES, "text-only", "chance", 0.3),
        *gains(SURVIVES, "aligned", "chance", 0.1),
        *gains(SURVIVES, "text-only, then pruned", "aligned, then pruned", 0.0),
    ]
    assert "On single subsets" not in sentences(record)
    record.gains[1].audio_to_text = at(0.2)  # sounds, where the mean is not surely better
    assert (
        "training on texts surely makes a difference whole, on sounds, audio to text, by 20.0 "
        "(15.0–25.0) points." in sentences(record)
    )


def test_a_batch_size_that_falls_back_is_named(record):
    text = sentences(record)
    assert "fall back: batches of 64 from 40.0% after 5 steps to 35.0%" in text
    record.batches[-1].score = 0.5
    assert "Within these 10 steps the scores do not fall back" in sentences(record)


def test_an_ablation_above_the_best_route_is_said(record):
    assert "an ablation" not in sentences(record)
    record.batches[-1].score = 0.7
    text = sentences(record)
    assert "Batches of 64 after 10 steps, an ablation of 5 layers, get 70.0% on the test" in text
    assert "above the 65.0% of the best route" in text and "(640 there, 384 for the" in text
    assert (
        "After as many pairs, 320, batches of 32 30.0% (step 10 of 10) and batches of 64 40.0% "
        "(step 5 of 10)." in text
    )
    record.batches[-1].score = 0.38  # 40% before
    text = sentences(record)
    assert "do not fall back (up to 3 points count as level)" in text


def test_each_direction_is_told_and_paired_where_the_record_has_it(record):
    text = sentences(record)
    assert (
        "text to audio 60.0 (55.0–65.0)% and 40.0 (35.0–45.0)%; audio to text 70.0 (65.0–75.0)% "
        "and 50.0 (45.0–55.0)%. Their paired difference: not computed in this record." in text
    )
    record.gains += gains("Does the best route lead the best baseline in the mean?", "full",
                          "linear heads", 0.2)  # fmt: skip
    record.models[2].audio_to_text = at(0.8)
    text = sentences(record)
    assert "and 80.0 (75.0–85.0)%, which is no lead. Their paired difference: 20.0 (15" in text
    assert text.count("Does the best route lead") == 0


def test_a_whole_model_behind_the_linear_heads_is_said_with_a_reason(record):
    assert "“full” loses" not in sentences(record)
    full = record.model("full", "route")
    full.text_to_audio, full.audio_to_text, full.loss = at(0.2), at(0.3), 2.5
    text = sentences(record)
    assert "loses to the linear heads: 25.0% against 45.0% in the mean" in text
    assert "(no paired interval, one seed)" in text
    assert "Why, this run does not show" in text
    record.gains += gains("Do the other routes beat the linear heads?", "full",
                          "linear heads", -0.2)  # fmt: skip
    text = sentences(record)
    assert "(−20.0 (−25.0 to −15.0) points text to audio and 0.0 (−5.0 to 5.0) audio" in text
    assert "Do the other routes" not in text


def test_whether_a_longer_training_helps_the_whole_model_is_measured(record):
    full = record.model("full", "route")
    full.text_to_audio, full.audio_to_text, full.loss = at(0.2), at(0.3), 2.5
    record.models.append(
        route("full, 20 steps", 30, 0.35, "ablation").model_copy(update={"steps": 30})
    )
    record.gains += gains("Does the whole model want longer?", "full, 20 steps", "full", 0.15)
    record.gains += gains("Do the others?", "full, 20 steps", "linear heads", -0.05)
    text = sentences(record)
    assert "Trained for 20 steps after alignment, and not 2, it gets 40.0% (15.0 (10.0" in text
    assert "with a loss of 1.23 and not 2.50: too few steps are a reason; beside the" in text
    for gain in record.gains:
        if gain.over == "full" and gain.question.startswith("Does the whole"):
            gain.text_to_audio = at(0.0)
    assert ": more steps do not surely help; beside" in sentences(record)


def test_batches_and_the_study_say_their_paired_differences(record):
    assert "(one seed; no interval)" in sentences(record)
    record.gains += gains("Are larger batches better?", "batches of 64", "batches of 32", 0.05)
    told = "batches of 64 over batches of 32, paired: 5.0 (0.0–10.0) points text to audio"
    assert told in sentences(record)
    record.study[1].gain, record.study[1].majority = at(-0.1), 0.25
    assert "from those of open-concat (surely worse, −10.0 (−15.0 to −5.0) points)" in sentences(
        record
    )
    table = repr(figures.study_table(record))
    assert "−10.0 (−15.0 to −5.0)" in table and "25.0" in table
    record.study[1].gain = at(0.0)
    assert "(neither is sure, 0.0 (−5.0 to 5.0) points)" in sentences(record)


def test_paired_differences_of_layers_and_styles_are_told_where_there_are_any(record):
    assert "on the largest (no interval, one seed)" in sentences(record)
    record.gains += gains("Do fewer layers do as well?", "pruned to 5", "full", -0.1)
    record.gains += gains("Does another style of captions do as well to train on?",
                          "name to sentence", "sentence to sentence", -0.3)  # fmt: skip
    text = sentences(record)
    assert "on the largest (−10.0 (−15.0 to −5.0) points text to audio and" in text
    assert "than on its own style (one seed); beside a model trained on sentence: −30.0" in text
    assert "Do fewer layers" not in text and "Does another style" not in text


def test_subsets_are_answered_with_yes_or_no(record):
    for g in record.gains:
        if g.question == BEATS and g.subset != MEAN:
            g.audio_to_text = at(-0.2)
    text = sentences(record)
    assert "the linear heads? Combined, 10 layers: surely worse on sounds." in text


def test_players_stand_beside_searches_where_the_clip_is_released(record):
    dog, cow, cat = [i for i in released.samples() if "/sound/" in i][:3]
    record.uses.labelling[0].examples[0].item = dog  # its caption is asked for in words
    asked, heard = record.uses.searches
    heard.item = cow
    shown = figures.searches_examples(record)
    assert shown.markup.count("<audio") == 2
    assert "asked with the words “a dog”; what was meant; found: a cat; from " in repr(shown)
    asked.ids, heard.ids = ["not released"], [cat]
    shown = figures.searches_examples(record)
    assert shown.markup.count("<audio") == 3
    assert "found “a cat”, 0.46\n" in repr(shown) and "found “a cow”, 0.90; from " in repr(shown)


def test_the_articles_bar_stands_beside_small_models(record):
    record.published += [
        published("article", 42.0, same_as="org/clap"),
        published("mteb", 62.3, model="org/small-clap", parameters=150_000_000),
        published("mteb", 80.0, model="org/large", parameters=300_000_000),
    ]
    assert "org/small-clap, of 150.0 million parameters, reaches 62.3 there" in repr(
        figures.published_differences_table(record)
    )


def test_without_sounds_there_are_no_labels_to_show(record):
    record.uses.labelling = []
    assert "Nothing of this under this profile." in repr(figures.labels_table(record))


def test_a_model_that_learnt_nothing_is_said_to_have_learnt_nothing(record):
    assert "come down to 1.23 in 12 steps; guessing costs 3.47." in sentences(record)
    assert "hardly anything" not in sentences(record)
    for one in record.of("route"):
        one.loss = 3.4
    assert "hardly anything learnt" in sentences(record)
