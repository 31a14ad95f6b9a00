"""Section 2 in tables, charts and sentences, from its record alone."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from gemb.figures.shown import (
    ADAPTOR,
    GREY,
    LINEAR,
    STUDY,
    STYLE,
    Shown,
    percent,
    picture,
    plain,
    table,
)
from gemb.records import CurvePoint, OpenVocabularyRecord, Recognition

ARMS = {
    "text": ("vector of the text", STUDY, "s"),
    "audio": ("vector of the speech", ADAPTOR, "o"),
    "frames": ("unpooled frames of the speech", LINEAR, "^"),
}
KINDS = {"set-up": "the study's set-ups", "floor": "floors", "ceiling": "ceilings"}
PROBED = {arm: label for arm, (label, _, _) in ARMS.items()} | {
    "length": "number of its words alone (control)"
}
SHORT = "WER and CER can exceed 100: words that were never said count as errors too."


def _data(record: OpenVocabularyRecord) -> str:
    return (
        "LibriSpeech"
        if record.provenance.source == "official"
        else "synthesised sentences (a stand-in for LibriSpeech)"
    )


def speech_table(record: OpenVocabularyRecord) -> Shown:
    """Set-ups, floors and ceilings on the same test sentences."""
    rows = [
        {
            "kind": KINDS[kind],
            "transcript by": r.name,
            "exact match": percent(r.exact),
            "WER": percent(r.wer),
            "CER": percent(r.cer, False),
            "word overlap": percent(r.overlap),
            "above chance": percent(r.overlap_gain),
            "bits a sentence": plain(r.bits),
            "virtual tokens": f"{r.tokens:.1f}" if r.tokens else "–",
            "parameters": f"{r.parameters:,}" if r.parameters else "–",
            "sentences": r.items,
        }
        for kind in KINDS
        for r in record.results
        if r.kind == kind
    ]
    return table(
        pd.DataFrame(rows),
        "librispeech_failure",
        f"Open-vocabulary transcripts, per cent with 95% intervals over sentences, profile "
        f"{record.provenance.profile}: {record.n_train} sentences trained on, {record.n_test} "
        f"others tested, {_data(record)}. On LibriSpeech the study reports exact match 0 in all "
        f"four set-ups. {SHORT} Word overlap is the F1 of the two bags of words; above chance: "
        "less that of the same answer with another test sentence. Bits a sentence: how much the "
        "right sentence gains in log-probability from its own vector instead of that of another "
        "sentence of as many words, or nearly. The best training sentence for each test sentence, "
        "chosen knowing the truth, has a WER of "
        f"{percent(record.nearest_training_wer)}.",
        aside=["kind", "virtual tokens", "parameters", "sentences"],
    )


def speech_chart(record: OpenVocabularyRecord) -> Shown:
    """Word overlap of set-ups, floors and ceilings with intervals."""
    shown = [r for kind in ("floor", "set-up", "ceiling") for r in record.results if r.kind == kind]
    colours = {"floor": GREY, "set-up": ADAPTOR, "ceiling": STUDY}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 0.42 * len(shown) + 1.2))
        axes = figure.subplots()
        for y, r in enumerate(shown):
            axes.barh(y, r.overlap.value, color=colours[r.kind], height=0.6)
            axes.plot([r.overlap.low, r.overlap.high], [y, y], color="black", lw=1.5)
        axes.set_yticks(range(len(shown)), [r.name for r in shown])
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.set_xlabel("words shared with the right sentence (F1 of bags of words)")
        axes.set_title(_data(record))
        for kind, colour in colours.items():
            axes.barh(0, 0, color=colour, label=KINDS[kind])
        axes.legend(loc="upper right")
        heard = ", ".join(f"{r.name} {100 * r.overlap.value:.0f}%" for r in shown)
        return picture(figure, f"Bar chart of the word overlap with the truth: {heard}.")


def lengths_table(record: OpenVocabularyRecord) -> Shown:
    """WER and overlap by the number of words."""
    rows = [
        {
            "transcript by": r.name,
            "words": part["words"],
            "sentences": part["items"],
            "exact match": f"{100 * part['exact']:.1f}",
            "WER": f"{100 * part['wer']:.1f}",
            "CER": f"{100 * part['cer']:.1f}" if "cer" in part else "–",
            "word overlap": f"{100 * part['overlap']:.1f}",
        }
        for r in record.results
        if r.kind != "floor" and "," not in r.name.partition("transcript")[2]
        for part in r.by_length
    ]
    return table(
        pd.DataFrame(rows),
        "librispeech_failure_lengths",
        f"By length of the sentence, per cent; {_data(record)}.",
    )


def voices_table(record: OpenVocabularyRecord) -> Shown:
    """How well the real recogniser hears each voice."""
    rows = [
        {
            "voice": part["voice"],
            "sentences": part["sentences"],
            "exact match": f"{100 * part['exact']:.1f}",
            "WER": f"{100 * part['wer']:.1f}",
            "CER": f"{100 * part['cer']:.1f}",
            "word overlap": f"{100 * part['overlap']:.1f}",
        }
        for r in record.results
        for part in sorted(r.by_voice, key=lambda p: p["wer"])
    ]
    return table(
        pd.DataFrame(rows),
        "librispeech_failure_voices",
        "Moonshine's own transcripts by voice, per cent, from the best to the worst heard; "
        f"{_data(record)}. Of few sentences each: the order says little where numbers are near.",
    )


def transcripts_table(record: OpenVocabularyRecord, names: Sequence[str] = ()) -> Shown:
    """What was said and what the language model wrote."""
    results = [r for r in record.results if r.examples and (not names or r.name in names)]
    rows = [
        {"transcript by": r.name, "said": e.answer, "written": e.given, "log-prob.": e.logprob}
        for number in range(3)
        for r in results
        for e in r.examples[number : number + 1]
    ]
    frame = pd.DataFrame(rows)
    if not frame.empty:
        frame = frame.sort_values("said", kind="stable")
        frame["log-prob."] = [f"{v:.2f}".replace("-", "−") for v in frame["log-prob."]]
    return table(
        frame,
        "librispeech_failure_examples",
        "The first test sentences, and the mean log-probability of the tokens written; "
        f"{_data(record)}.",
    )


def recognition_chart(record: OpenVocabularyRecord) -> Shown:
    """Exact match against the number of distinct sentences."""
    rows = known_rows(record)
    x = [r.sentences for r in rows]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7, 3.6))
        axes = figure.subplots()
        for label, colour, marker, scores in (
            ("known sentences, unseen voices", ADAPTOR, "o", [r.known for r in rows]),
            ("the same, nearest class mean", LINEAR, "s", [r.class_mean for r in rows]),
            ("sentences never trained on", GREY, "x", [r.unseen for r in rows]),
        ):
            axes.plot(x, [s.value for s in scores], marker=marker, color=colour, label=label)
            axes.fill_between(
                x, [s.low for s in scores], [s.high for s in scores], color=colour, alpha=0.15, lw=0
            )
        for r in record.recognition:
            if r.longer:
                axes.plot(r.sentences, r.known.value, "*", color=ADAPTOR, ms=12, mec="white",
                          label=f"known, each clip seen {r.epochs} times")  # fmt: skip
        axes.set_xscale("log")
        axes.set_xticks(x, [str(n) for n in x])
        axes.minorticks_off()
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel("distinct sentences trained on, two or three voices each")
        axes.set_ylabel("exact match")
        axes.set_title(_data(record))
        axes.legend(loc="center right")
        told = "; ".join(
            f"{r.sentences} sentences: {100 * r.known.value:.0f}% of the known, "
            f"{100 * r.unseen.value:.0f}% of the unseen, class mean "
            f"{100 * r.class_mean.value:.0f}%" + (", trained longer" if r.longer else "")
            for r in record.recognition
        )
        return picture(figure, f"Exact match against the number of distinct sentences. {told}.")


def recognition_table(record: OpenVocabularyRecord) -> Shown:
    """The same in numbers."""
    rows = [
        {
            "distinct sentences": r.sentences,
            "training clips": r.n_train,
            "epochs": r.epochs,
            "known, unseen voices": percent(r.known),
            "nearest class mean": percent(r.class_mean),
            "never trained on": percent(r.unseen),
            "bits, known": plain(r.bits),
        }
        for r in sorted(record.recognition, key=lambda r: (r.sentences, r.epochs))
    ]
    return table(
        pd.DataFrame(rows),
        "librispeech_failure_recognition",
        "Exact match in per cent: sentences that were trained on, spoken by voices that were "
        f"not, beside sentences that were not; {_data(record)}. Bits: what a known sentence costs "
        "less with its own vector than with another's, as long. Each number of sentences was "
        "trained about equally long, so that many are seen seldom; where one stands twice, it was "
        "also trained for more epochs.",
    )


def probe_table(record: OpenVocabularyRecord) -> Shown:
    """Whether a word is in the vector, by linear probes."""
    rows = [
        {
            "probe on": PROBED[p.arm],
            "words": p.words,
            "mean AUC": percent(p.auc),
            "best": ", ".join(
                f"{r['word']} {100 * r['auc']:.0f}"
                for r in sorted(p.by_word, key=lambda r: -r["auc"])[:4]
            ),
            "worst": ", ".join(
                f"{r['word']} {100 * r['auc']:.0f}"
                for r in sorted(p.by_word, key=lambda r: r["auc"])[:4]
            ),
        }
        for p in record.probes
    ]
    return table(
        pd.DataFrame(rows),
        "librispeech_failure_probes",
        "What the vector holds, apart from the language model: area under the curve, per cent, of "
        "a logistic regression for the presence of each frequent word, on sentences it was not "
        f"trained on; {_data(record)}. 50 is chance, but any word is likelier in a longer "
        "sentence: what the number of words alone tells is the control. The interval is over "
        f"test sentences. {_penalty(record)} is the same for all words and vectors, and not chosen "
        "on validation sentences: it may suit one size of vector better than another.",
    )


def _penalty(record: OpenVocabularyRecord) -> str:
    c = next((p.penalty for p in record.probes if p.penalty), None)
    return "The penalty" + (f" (C = {c:g})" if c else "")


def curve_chart(record: OpenVocabularyRecord) -> Shown:
    """Bits and word overlap against training sentences, of text, speech and frames."""
    floor = record.of("one vector, 1 token, pairs shuffled").overlap.value
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.6))
        left, right = figure.subplots(1, 2)
        told = []
        for arm, (label, colour, marker) in ARMS.items():
            points = points_of(record, arm)
            x = [p.n_train for p in points]
            for axes, scores in (
                (left, [p.bits for p in points]),
                (right, [p.overlap for p in points]),
            ):
                axes.plot(x, [s.value for s in scores], marker=marker, color=colour, label=label)
                for at, s in zip(x, scores, strict=True):
                    axes.plot([at, at], [s.low, s.high], color=colour, lw=1.2)
            for p in record.curve:
                if p.longer and p.arm == arm:
                    for axes, s in ((left, p.bits), (right, p.overlap)):
                        axes.plot([p.n_train] * 2, [s.low, s.high], color=colour, lw=1.2)
                        axes.plot(p.n_train, s.value, "*", color=colour, ms=12, mec="white",
                                  label=f"{label}, as long as the largest")  # fmt: skip
            told += [
                f"{label}, {p.n_train} sentences: {p.bits.value:.1f} bits, overlap "
                f"{100 * p.overlap.value:.0f}%"
                for p in (*points, *(p for p in record.curve if p.longer and p.arm == arm))
            ]
        right.axhline(floor, color=GREY, ls="--", lw=1)
        right.annotate("pairs shuffled", (0.02, floor), xycoords=("axes fraction", "data"),
                       va="bottom", color=GREY, fontsize=9)  # fmt: skip
        left.axhline(0, color=GREY, ls="--", lw=1)
        sizes = sorted({p.n_train for p in record.curve})
        for axes, label in ((left, "bits a sentence"), (right, "word overlap (F1)")):
            axes.set_xscale("log")
            axes.set_xticks(sizes, [f"{n:,}" for n in sizes], rotation=30)
            axes.minorticks_off()
            axes.set_xlabel("training sentences")
            axes.set_ylabel(label)
        right.set_ylim(bottom=0)
        left.legend(loc="upper left")
        figure.suptitle(_data(record), fontsize=11)
        figure.tight_layout()
        return picture(figure, f"Learning curves. {'; '.join(told)}.")


def curve_table(record: OpenVocabularyRecord) -> Shown:
    """The learning curves in numbers."""
    rows = [
        {
            "adaptor sees": ARMS[p.arm][0],
            "training sentences": f"{p.n_train:,}",
            "sentences seen": f"{p.passes:,}" if p.passes else "–",
            "exact match": percent(p.exact, False),
            "WER": percent(p.wer),
            "word overlap": percent(p.overlap),
            "bits a sentence": plain(p.bits),
            "training loss": f"{p.train_loss:.2f}",
        }
        for p in sorted(record.curve, key=lambda p: (list(ARMS).index(p.arm), p.n_train))
    ]
    return table(
        pd.DataFrame(rows),
        "librispeech_failure_curve",
        f"Learning curves over training sentences; {_data(record)}. Sentences seen: those times "
        "epochs. The training loss is that of the epoch kept, a token, in natural units.",
    )


def points_of(record: OpenVocabularyRecord, arm: str) -> list[CurvePoint]:
    points = [p for p in record.curve if p.arm == arm and not p.longer]
    return sorted(points, key=lambda p: p.n_train)


def known_rows(record: OpenVocabularyRecord) -> list[Recognition]:
    """Those trained about equally long."""
    return sorted((r for r in record.recognition if not r.longer), key=lambda r: r.sentences)
