"""What section 2's record supports, in sentences: in short, and beside the tables they are of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gemb.figures.librispeech_failure import ARMS, known_rows, points_of
from gemb.figures.shown import Bullets, percent, plain
from gemb.records import CurvePoint, OpenVocabularyRecord, Score, SpeechResult

NEAREST = "nearest training sentence"  # the floor by this name
BARELY = 0.05  # bits a sentence: an interval that begins below it is hardly off zero
_VECTORS = {"text": "text vectors", "audio": "speech vectors"}


def evidence(record: OpenVocabularyRecord, part: str = "short") -> Bullets:
    """What the record supports, sentence by sentence; each follows from a comparison.

    Args:
        record: Of section 2.
        part: One of :data:`PARTS`: ``short``, the answers alone, or what one of the section's
            tables comes to.
    """
    return Bullets(list(PARTS[part](record)))


def _short(record: OpenVocabularyRecord) -> Iterator[str]:
    """The answers to what the section asks."""
    setups = _setups(record)
    yield _exact(setups)
    yield _through(setups)
    yield from _ceiling(record)
    yield from _known_again(record)
    yield from _in_the_vector(record)
    yield from _growth(record)


def _on_setups(record: OpenVocabularyRecord) -> Iterator[str]:
    """How fluent the answers are, and what of the sentence is in them."""
    setups = _setups(record)
    yield from _fluent(setups)
    yield _anything(setups)
    yield from _beside_floors(record)


def _on_known(record: OpenVocabularyRecord) -> Iterator[str]:
    """What recognition depends on."""
    yield from _recognition(record)


def _on_probes(record: OpenVocabularyRecord) -> Iterator[str]:
    """What a linear probe reads from the vectors."""
    yield from _held(record)


def _on_curves(record: OpenVocabularyRecord) -> Iterator[str]:
    """What more sentences, more steps and unpooled frames give."""
    yield from _data_or_size(record)
    yield from _speech_shorter(record)
    yield from _frames(record)


PARTS: dict[str, Callable[[OpenVocabularyRecord], Iterator[str]]] = {
    "short": _short,
    "set-ups": _on_setups,
    "known": _on_known,
    "probes": _on_probes,
    "curves": _on_curves,
}


# --- sentences ----------------------------------------------------------------


def _setups(record: OpenVocabularyRecord) -> list[SpeechResult]:
    return [r for r in record.results if r.kind == "set-up"]


def _through(setups: Sequence[SpeechResult]) -> str:
    """In how many set-ups something of the sentence surely gets through."""
    bits = [r for r in setups if r.bits and r.bits.low > 0]
    shared = [r.overlap_gain for r in setups if r.overlap_gain]
    told = (
        f"The right sentence is surely more probable with its own vector than with another's in "
        f"{len(bits)} of {len(setups)} set-ups"
    )
    low = max((r.bits.low for r in bits if r.bits), default=0.0)
    if bits and low < BARELY:
        told += ", and barely there"
    if shared:
        words = sum(gain.low > 0 for gain in shared)
        told += (
            f"; an answer surely shares more words with it than with another in {words or 'none'}"
        )
    return f"{told}."


def _known_again(record: OpenVocabularyRecord) -> Iterator[str]:
    """Whether sentences are recognised, and only those that were trained on."""
    rows = record.recognition
    if not rows:
        return
    learnt = [r.sentences for r in known_rows(record) if r.known.low > 0]
    if not learnt:
        yield (
            "Whether 89% on 169 commands is recognition this run cannot say: hardly a sentence was "
            "learnt."
        )
        return
    text = (
        "Sentences that were trained on are surely recognised in unseen voices where there are "
        + " or ".join(map(str, learnt))
        + "".join(
            f" (of {r.sentences}, each clip seen {_times(r.epochs)}, {percent(r.known)}%)"
            for r in rows
            if r.longer and r.known.low > 0
        )
    )
    beyond = max(rows, key=lambda r: r.unseen.low)
    if beyond.unseen.low > 0:
        yield (
            f"{text}; of those never trained on {percent(beyond.unseen)}% are right as well, which "
            "is more than recognition of known ones."
        )
        return
    never = max(rows, key=lambda r: r.unseen.value)
    yield (
        f"{text}; of {never.n_unseen} never trained on "
        + ("none is" if never.unseen.value == 0 else f"{percent(never.unseen)}% are")
        + " ever right. That agrees with the conjecture that 89% on 169 commands is recognition, "
        "and does not prove it: so few sentences would not teach transcription either."
    )


def _in_the_vector(record: OpenVocabularyRecord) -> Iterator[str]:
    """Whether the speech vector holds words at all."""
    by_arm = {p.arm: p.auc for p in record.probes if p.words}
    if "audio" not in by_arm:
        return
    bar = by_arm.get("length")
    if by_arm["audio"].low > (bar.high if bar else 0.5):
        yield (
            f"The speech vector does hold frequent words: a linear probe finds them with AUC "
            f"{percent(by_arm['audio'])}%"
            + (f", where the number of words alone gives {percent(bar)}%." if bar else ".")
        )
    else:
        yield (
            "From the speech vector a linear probe does not surely find frequent words better than "
            f"{'the number of words does' if bar else 'chance'}, in the mean over words."
        )


def _growth(record: OpenVocabularyRecord) -> Iterator[str]:
    """Of which vectors more sentences or steps surely bring more, and whether frames help."""
    last = 0
    for arm in ("text", "audio"):
        points = points_of(record, arm)
        if len(points) > 1:
            first, most = points[0], points[-1]
            surely = "surely gains" if _above(most.bits, first.bits) else "does not surely gain"
            yield (
                f"From {first.n_train:,} to {most.n_train:,} training sentences the "
                f"{ARMS[arm][0]} {surely} ({plain(first.bits)} to {plain(most.bits)} bits a "
                "sentence)"
                + (
                    "; it was trained on no further, so that whether more would help it is not "
                    "known."
                    if most.n_train < last
                    else "."
                )
            )
            last = most.n_train
    pair = _frames_beside(record)
    if pair:
        frames, audio = pair
        surely = "surely" if _above(frames.bits, audio.bits) else "not surely"
        yield (
            f"At {frames.n_train:,} sentences unpooled frames are {surely} better than the one "
            "vector."
        )


def _frames_beside(record: OpenVocabularyRecord) -> tuple[CurvePoint, CurvePoint] | None:
    """Frames and the one vector at the most sentences that both were trained on."""
    frames, audio = (points_of(record, arm) for arm in ("frames", "audio"))
    shared = {p.n_train for p in frames} & {p.n_train for p in audio}
    if not shared:
        return None
    a, b = (next(p for p in some if p.n_train == max(shared)) for some in (frames, audio))
    return a, b


def _above(a: Score, b: Score) -> bool:
    """Whether the intervals are apart, ``a`` above ``b``."""
    return a.low > b.high


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


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


def _beside_floors(record: OpenVocabularyRecord) -> Iterator[str]:
    """Whether a floor shares as many words as the set-ups, and what that says of the measure."""
    setups, floors = _setups(record), [r for r in record.results if r.kind == "floor"]
    if not setups or not floors:
        return
    best = max(setups, key=lambda r: r.overlap.value)
    floor = max(floors, key=lambda r: r.overlap.value)
    if floor.overlap.value >= best.overlap.value:
        own = record.from_text
        yield (
            f"No set-up shares more words with the truth than a floor does that has understood "
            f"nothing ({floor.name}: {percent(floor.overlap)}%, the best set-up {best.name}: "
            f"{percent(best.overlap)}%)"
            + (
                f", and neither does the ceiling from text vectors ({percent(own.overlap)}%)"
                if own and own.overlap.value <= floor.overlap.value
                else ""
            )
            + ": frequent words alone earn that much, so it is the words above chance that tell."
        )
    gains = [r.overlap_gain for r in setups if r.overlap_gain]
    nearest = next((r.overlap_gain for r in floors if r.name == NEAREST), None)
    if gains and nearest and nearest.low > 0 and not any(gain.low > 0 for gain in gains):
        yield (
            "By those the nearest training sentence, found by the same vectors without any "
            f"adaptor, is surely above chance ({percent(nearest)} points), and no set-up is: the "
            "vectors hold something that these adaptors do not bring out."
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
    rows = known_rows(record)
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
        + f" ({percent(first.known)}% of {first.sentences}, each clip seen {_times(first.epochs)}; "
        f"{percent(last.known)}% of {last.sentences}, each clip seen {_times(last.epochs)}). "
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
        base = next((r for r in known_rows(record) if r.sentences == more.sentences), None)
        if base is not None:
            asked = base.n_known or min(base.sentences, record.n_test)
            up_to = at_most(base.known, asked)
            more_right = more.known.low > up_to
            out += (
                f"{more.sentences} sentences, each clip seen {_times(more.epochs)} instead of "
                f"{base.epochs}, save {plain(more.bits)} bits each by their own vectors instead of "
                f"{plain(base.bits)}, and are right in {percent(more.known)}% instead of "
                f"{percent(base.known)}%"
                + (
                    f" (the true rate may be up to {100 * up_to:.1f}%, for {asked} were asked): "
                    if up_to > base.known.high
                    else ": "
                )
                + (
                    "the longer training is what decides. "
                    if _above(more.bits, base.bits) and more_right
                    else "by bits the longer training is what decides, but exact match hardly "
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
        points = points_of(record, arm)
        if len(points) < 2:
            continue
        first, last = points[0], points[-1]
        grows = _above(last.bits, first.bits)
        out.append(
            f"With the {ARMS[arm][0]}, of one seed, the bits a sentence go from "
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
    before = next((p for p in points_of(record, arm) if p.n_train == same.n_train), None)
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
    pair = _frames_beside(record)
    if pair is None:
        return []
    a, b = pair
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
