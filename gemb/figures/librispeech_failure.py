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
    Bullets,
    Shown,
    percent,
    picture,
    plain,
    table,
)
from gemb.records import CurvePoint, OpenVocabularyRecord, Recognition, Score, SpeechResult

_ARMS = {
    "text": ("vector of the text", STUDY, "s"),
    "audio": ("vector of the speech", ADAPTOR, "o"),
    "frames": ("unpooled frames of the speech", LINEAR, "^"),
}
_VECTORS = {"text": "text vectors", "audio": "speech vectors"}
KINDS = {"set-up": "the study's set-ups", "floor": "floors", "ceiling": "ceilings"}
_PROBED = {arm: label for arm, (label, _, _) in _ARMS.items()} | {
    "length": "number of its words alone (control)"
}
BARELY = 0.05  # bits a sentence: an interval that begins below it is hardly off zero
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
    rows = _known(record)
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
            "probe on": _PROBED[p.arm],
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
        for arm, (label, colour, marker) in _ARMS.items():
            points = _of_arm(record, arm)
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
            "adaptor sees": _ARMS[p.arm][0],
            "training sentences": f"{p.n_train:,}",
            "sentences seen": f"{p.passes:,}" if p.passes else "–",
            "exact match": percent(p.exact, False),
            "WER": percent(p.wer),
            "word overlap": percent(p.overlap),
            "bits a sentence": plain(p.bits),
            "training loss": f"{p.train_loss:.2f}",
        }
        for p in sorted(record.curve, key=lambda p: (list(_ARMS).index(p.arm), p.n_train))
    ]
    return table(
        pd.DataFrame(rows),
        "librispeech_failure_curve",
        f"Learning curves over training sentences; {_data(record)}. Sentences seen: those times "
        "epochs. The training loss is that of the epoch kept, a token, in natural units.",
    )


def evidence(record: OpenVocabularyRecord) -> Bullets:
    """What the record supports, sentence by sentence; each follows from a comparison."""
    setups = [r for r in record.results if r.kind == "set-up"]
    lines = [
        _exact(setups),
        *_fluent(setups),
        *_ceiling(record),
        _anything(setups),
        *_recognition(record),
        *_held(record),
    ]
    lines += _data_or_size(record) + _speech_shorter(record) + _frames(record)
    return Bullets(lines)


def _of_arm(record: OpenVocabularyRecord, arm: str) -> list[CurvePoint]:
    points = [p for p in record.curve if p.arm == arm and not p.longer]
    return sorted(points, key=lambda p: p.n_train)


def _known(record: OpenVocabularyRecord) -> list[Recognition]:
    """Those trained about equally long."""
    return sorted((r for r in record.recognition if not r.longer), key=lambda r: r.sentences)


def _above(a: Score, b: Score) -> bool:
    """Whether the intervals are apart, ``a`` above ``b``."""
    return a.low > b.high


def at_most(score: Score, items: int) -> float:
    """The highest that a share may be; where none of ``items`` is right, up to 3/items may be."""
    return max(score.high, min(1.0, 3 / items))


def _exact(setups: Sequence[SpeechResult]) -> str:
    most = max(setups, key=lambda r: r.exact.value)
    if most.exact.value == 0:
        return (
            "Exact match is 0 in all four set-ups, as the study reports, on "
            f"{most.items} sentences each: with 95% confidence the true rate is below "
            f"{300 / most.items:.1f}% (rule of three)."
        )
    return (
        f"Exact match is not 0 everywhere: {most.name} reaches {percent(most.exact)}%. The "
        "study reports 0 in all four set-ups, on its own data."
    )


def _fluent(setups: Sequence[SpeechResult]) -> list[str]:
    """Whether what is written reads like English, by the frozen language model itself."""
    measured = [(r.name, r.fluency) for r in setups if r.fluency]
    if not measured:
        return []
    shown = "; ".join(f"{name} {nats(fluency)}" for name, fluency in measured)
    fluent = fluent_setups(setups)
    return [
        f"What is written is ordinary to the language model in {len(fluent)} of {len(measured)} "
        "set-ups: without any virtual token it does not surely expect it less than the sentences "
        f"that were said (nats a token by which it expects it more: {shown}). But the judge is the "
        "writer, which always takes the likeliest token: how it reads to others is not measured."
    ]


def fluent_setups(setups: Sequence[SpeechResult]) -> list[SpeechResult]:
    """Those whose answers the blind language model does not surely expect less than the truth."""
    return [r for r in setups if r.fluency and r.fluency.high >= 0]


def nats(score: Score) -> str:
    """A score in nats, such as ``−0.31 (−0.52 to −0.10)``."""
    value, low, high = (f"{x:.2f}".replace("-", "−") for x in (score.value, score.low, score.high))
    return f"{value} ({low} to {high})"


def _anything(setups: Sequence[SpeechResult]) -> str:
    some = [r for r in setups if r.bits and r.bits.low > 0]
    gains = [(r, r.overlap_gain) for r in setups if r.overlap_gain]
    words = [(r, gain) for r, gain in gains if gain.low > 0]
    bits = "; ".join(f"{r.name}: {plain(r.bits)} bits" for r in setups)
    low = max((r.bits.low for r in some if r.bits), default=0.0)
    text = (
        f"Barely anything of the sentence gets through, and in {len(some)} of {len(setups)} "
        "set-ups alone: what the right sentence gains from its own vector, instead of that of "
        f"another as long, is there surely above zero, by an interval that begins at {low:.2g} "
        f"bits ({bits}). "
        if 0 < low < BARELY
        else f"Something of the sentence gets through in {len(some)} of {len(setups)} set-ups: the "
        f"right sentence is more probable with its own vector than with that of another as long "
        f"({bits}). "
        if some
        else f"In none of {len(setups)} set-ups does surely anything of the sentence get through: "
        "it is nowhere surely more probable with its own vector than with that of another as long "
        f"({bits}). "
    )
    if not gains:
        return text
    shown = "; ".join(f"{r.name} {percent(gain)}" for r, gain in words or gains)
    return text + (
        f"In {len(words)} of {len(setups)} an answer surely shares more words with its own "
        f"sentence than with another (percentage points: {shown})."
        if words
        else "In none does an answer surely share more words with its own sentence than with "
        f"another (percentage points: {shown})."
    )


def _ceiling(record: OpenVocabularyRecord) -> list[str]:
    """Whether the adaptor learns to transcribe at all, from a vector of the words themselves."""
    own = record.from_text
    most = max(r.exact.value for r in record.results if r.kind == "set-up")
    if own is None or own.bits is None or most > 0 or own.exact.low > 0:
        return []
    learnt = (
        f"though something of it gets through ({plain(own.bits)} bits)"
        if own.bits.low > 0
        else f"and nothing of it surely gets through ({plain(own.bits)} bits)"
    )
    return [
        f"From the sentence's own text vector, in which nothing was misheard, the same adaptor "
        f"gets {percent(own.exact)}% right, {learnt}: at this size exact match 0 tells nothing of "
        "speech in particular."
    ]


def _recognition(record: OpenVocabularyRecord) -> list[str]:
    rows = _known(record)
    if not rows:
        return []
    first, last = rows[0], rows[-1]
    learnt = [str(r.sentences) for r in rows if r.known.low > 0]
    text = (
        "Sentences that were trained on are "
        + (
            f"surely recognised in unseen voices where there are {', '.join(learnt)}"
            if learnt
            else "not surely recognised in unseen voices"
        )
        + f" ({percent(first.known)}% of {first.sentences}, each clip seen {first.epochs} times; "
        f"{percent(last.known)}% of {last.sentences}, {last.epochs} times). "
        f"The nearest class mean of the same vectors gets {percent(first.class_mean)}% and "
        f"{percent(last.class_mean)}%. "
    )
    if not learnt:
        return [
            text + "The vectors tell the sentences apart, and the adaptor was not trained for long "
            "enough to say even those it has seen: this run can neither support nor weaken the "
            "conjecture."
        ]
    text += (
        f"With its own vector one of the {first.sentences} costs {plain(first.bits)} bits less "
        f"than with another's, one of the {last.sentences} {plain(last.bits)}. "
    )
    if len(rows) > 1 and last.epochs < first.epochs:
        text += "The more sentences, the less often each was seen: their number alone is not it. "
    text += _longer(record)
    unseen = max(r.unseen.value for r in rows)
    if unseen == 0:
        text += (
            f"Of {last.n_unseen} sentences never trained on none is ever right (the true rate is "
            f"below {300 / last.n_unseen:.1f}%). Cluster recognition predicts that; but so few "
            "sentences would not teach transcription either, so it agrees with the conjecture "
            "without proving it."
        )
    else:
        text += f"Sentences never trained on are right in up to {100 * unseen:.1f}%."
    return [text]


def _longer(record: OpenVocabularyRecord) -> str:
    """What more epochs over as many sentences change."""
    out = ""
    for more in (r for r in record.recognition if r.longer):
        base = next((r for r in _known(record) if r.sentences == more.sentences), None)
        if base is not None:
            asked = base.n_known or min(base.sentences, record.n_test)
            up_to = at_most(base.known, asked)
            more_right = more.known.low > up_to
            out += (
                f"{more.sentences} sentences seen {more.epochs} times instead of {base.epochs} "
                f"save {plain(more.bits)} bits each by their own vectors instead of "
                f"{plain(base.bits)}, and are right in {percent(more.known)}% instead of "
                f"{percent(base.known)}%"
                + (
                    f" (the true rate may be up to {100 * up_to:.1f}%, for {asked} were asked): "
                    if up_to > base.known.high
                    else ": "
                )
                + (
                    "how often each was seen is what decides. "
                    if _above(more.bits, base.bits) and more_right
                    else "by bits how often each was seen is what decides, but exact match hardly "
                    "moves. "
                    if _above(more.bits, base.bits)
                    else "exact match gains by it, and bits not surely. "
                    if more_right
                    else "no sure gain. "
                )
            )
    return out


def _held(record: OpenVocabularyRecord) -> list[str]:
    by_arm = {p.arm: p for p in record.probes if p.words}
    if not {"audio", "text"} <= set(by_arm):
        return []
    audio, text = by_arm["audio"].auc, by_arm["text"].auc
    length = by_arm["length"].auc if "length" in by_arm else None
    beyond = audio.low > (length.high if length else 0.5)
    return [
        f"A linear probe finds whether a frequent word is in the sentence with AUC "
        f"{percent(audio)}% from the speech vector and {percent(text)}% from the text's"
        + (f", where the number of words alone gives {percent(length)}%: " if length else ": ")
        + (
            "from the speech vector not surely better than that, at this number of sentences."
            if not beyond
            else "the speech vector holds words, but fewer than the text vector."
            if _above(text, audio)
            else "the speech vector holds such words, and with one penalty for both they are read "
            "from it more surely than from the text vector, which is made for meaning."
            if _above(audio, text)
            else "both hold words, and at this number of sentences neither surely more of them."
        )
    ]


def _data_or_size(record: OpenVocabularyRecord) -> list[str]:
    out = []
    for arm in ("text", "audio"):
        points = _of_arm(record, arm)
        if len(points) < 2:
            continue
        first, last = points[0], points[-1]
        grows = _above(last.bits, first.bits)
        out.append(
            f"With the {_ARMS[arm][0]}, of one seed, the bits a sentence go from "
            f"{plain(first.bits)} at {first.n_train:,} training sentences to {plain(last.bits)} at "
            f"{last.n_train:,}, the word overlap from {percent(first.overlap)}% to "
            f"{percent(last.overlap)}%: "
            + (
                "no sure gain from more sentences in this range."
                if not grows
                else _sentences_or_steps(record, arm, first, last)
                if last.passes > 1.5 * first.passes
                else f"more sentences help, so that too few are part of what {_VECTORS[arm]} lack "
                "in bits."
            )
            + (
                f" Exact match stays at {percent(last.exact, False)}%."
                if last.exact.value < 0.05
                else f" Exact match reaches {percent(last.exact)}%."
            )
        )
    return out


def _speech_shorter(record: OpenVocabularyRecord) -> list[str]:
    """That speech was not trained on as long as text was."""
    text, audio = (
        max((p.passes for p in record.curve if p.arm == arm), default=0)
        for arm in ("text", "audio")
    )
    if not audio or text <= 1.5 * audio:
        return []
    return [
        f"On these curves speech was trained on for {audio:,} passes at most, text for up to "
        f"{text:,}: whether more steps or more sentences would do for speech what they do for "
        "text is not told here."
    ]


def _sentences_or_steps(
    record: OpenVocabularyRecord, arm: str, first: CurvePoint, last: CurvePoint
) -> str:
    """Whether more sentences help, where the many are also trained on for longer."""
    same = next((p for p in record.curve if p.longer and p.arm == arm), None)
    if same is None:
        return (
            "more sentences, or the more steps over them, help: the many take "
            f"{last.passes:,} passes and the few {first.passes:,}, so which it is cannot be told "
            "here."
        )
    text = (
        f"more sentences, or the more steps over them, help. {same.n_train:,} sentences with as "
        f"many steps ({same.passes:,} passes) reach {plain(same.bits)} bits and "
        f"{percent(same.overlap)}% overlap: "
    )
    before = next((p for p in _of_arm(record, arm) if p.n_train == same.n_train), None)
    if _above(last.bits, same.bits):
        if before is not None and _above(same.bits, before.bits):
            share = (same.bits.value - before.bits.value) / (last.bits.value - before.bits.value)
            return text + (
                f"the steps alone are {100 * share:.0f}% of the way up from {plain(before.bits)}, "
                f"and the other {last.n_train - same.n_train:,} sentences the rest, so that too "
                f"few sentences are part of what {_VECTORS[arm]} lack in bits, and too short a "
                "training another."
            )
        return text + (
            f"it is the sentences, so that too few are part of what {_VECTORS[arm]} lack in bits."
        )
    if _above(same.bits, last.bits):
        return text + "it is the steps, and fewer sentences seen more often do even better."
    return text + "it is the steps; that more sentences help is not seen."


def _frames(record: OpenVocabularyRecord) -> list[str]:
    frames, audio = _of_arm(record, "frames"), _of_arm(record, "audio")
    shared = sorted({p.n_train for p in frames} & {p.n_train for p in audio})
    if not shared:
        return []
    a = next(p for p in frames if p.n_train == shared[-1])
    b = next(p for p in audio if p.n_train == shared[-1])
    text = (
        f"At {a.n_train:,} training sentences unpooled frames give {plain(a.bits)} bits a sentence "
        f"and {percent(a.overlap)}% word overlap, the one vector {plain(b.bits)} and "
        f"{percent(b.overlap)}%: "
    )
    if _above(a.bits, b.bits):
        wide = record.of("one vector, 32 tokens")
        return [
            text + "pooling loses what the frames still had, or one virtual token holds less than "
            f"their many do; one vector as 32 tokens, of {record.n_train:,} sentences, gave "
            f"{plain(wide.bits)} bits."
        ]
    return [
        text + "at this size the frames are not surely better, so that this run cannot say that "
        "pooling is what loses the words. A recogniser's decoder reads the same frames well, with "
        "far more training data."
    ]
