"""Your own data: train an adaptor on a table of files and answers, and ask it about files."""

from __future__ import annotations

import csv
import logging
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from gemb import baselines, encoders, metrics, records
from gemb.adaptor import Adaptor
from gemb.data.fetch import cache_dir, offline
from gemb.data.items import Item, Media
from gemb.data.splits import Fold
from gemb.device import this_process
from gemb.embed import Embedded, embed
from gemb.encoders import Failure
from gemb.errors import UserError
from gemb.evaluate import Examples, predict
from gemb.llm import Answer, FrozenLLM
from gemb.llm.template import PLACEHOLDER
from gemb.metrics import Bootstrap, Interval
from gemb.profiles import Training
from gemb.store import Store
from gemb.tasks import Modality
from gemb.train import Epoch, Fit, fit

log = logging.getLogger(__name__)

COLUMNS = ("path", "answer")
OPTIONAL = ("group", "prompt")
# Below this a test set of a fifth says next to nothing.
MIN_ITEMS = 20
# The adaptor's one setting that is chosen on validation items, as the baseline's penalty is: the
# two values that the study's tasks are best with.
NOISES = (0.7, 1.5)
# Training items times epochs, unless told otherwise: some 200 steps, below which few items are not
# learnt, however clear they are.
PASSES = 900
PARTS = {"train": "to train on", "val": "to choose by", "test": "to test"}
SHOWN = 5  # of the lines or files that an error names
_SOUNDS = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".g722"}
_TEXTS = {".txt", ".md"}


class OwnDataError(UserError, ValueError):
    """A table, a file or an adaptor that cannot be used; says where, why and what to do."""


def modality(path: str) -> Modality | None:
    """What a file holds, by its suffix; ``None`` where the suffix says nothing."""
    suffix = Path(path).suffix.lower()
    if suffix in _SOUNDS:
        return "audio"
    if suffix in _TEXTS:
        return "text"
    return "image" if suffix in Image.registered_extensions() else None


def item(
    path: str,
    folder: Path,
    answer: str = "",
    group: str = "",
    prompt: str = "",
    by_id: bool = False,
) -> Item:
    """One file as an item; its id is the path as it was written.

    Args:
        path: Relative to ``folder``, or absolute.
        folder: Of the table.
        answer, group, prompt: As in the table, where there is one.
        by_id: The encoder looks at the id alone: no such file is needed.

    Raises:
        OwnDataError: There is no such file, or its suffix says nothing.
    """
    kind = modality(path)
    if by_id:
        media = Media.absent(records.digest({"id": path}), f"{path}: known by its id alone")
    elif kind is None:
        raise OwnDataError(
            f"{path}: its suffix does not say whether it is an image, a sound or a text; "
            "give it the usual one, such as .png, .wav or .txt"
        )
    elif not (folder / path).is_file():
        raise OwnDataError(f"{path}: there is no such file in {folder}")
    else:
        media = Media.from_file(folder / path)
    meta = {"prompt": prompt} if prompt else {}
    return Item(path, kind or "image", media, answer, group=group or None, meta=meta)


def read(table: Path, by_id: bool = False) -> list[Item]:
    """The items of a CSV file with the columns ``path`` and ``answer``.

    Args:
        table: UTF-8, separated by commas, with a header; optional columns ``group`` and
            ``prompt``, others are not looked at. Paths are relative to its folder.
        by_id: Paths are ids, as of precomputed vectors, and need not exist.

    Raises:
        OwnDataError: A column, a file or an answer is missing (with the line), or there are too
            few items or only one answer.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OwnDataError(f"{table}: cannot be read as a CSV file in UTF-8 ({error})") from error
    missing = [c for c in COLUMNS if c not in columns]
    if missing:
        raise OwnDataError(
            f"{table}: no column {' and '.join(map(repr, missing))}; it has: "
            f"{', '.join(columns) or 'none'}; needed are {' and '.join(COLUMNS)}, "
            f"{' and '.join(OPTIONAL)} are optional"
        )
    items, wrong = [], []
    for line, row in rows:
        cells = {c: (row.get(c) or "").strip() for c in (*COLUMNS, *OPTIONAL)}
        try:
            if not cells["path"] or not cells["answer"]:
                empty = "path" if not cells["path"] else "answer"
                raise OwnDataError(f"the {empty} is empty")
            items.append(item(folder=table.parent, by_id=by_id, **cells))
        except OwnDataError as error:
            wrong.append(f"line {line}: {error}")
    if wrong:
        more = f"\n… and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise OwnDataError("\n".join([f"{table}:", *wrong[:SHOWN]]) + more)
    if len(items) < MIN_ITEMS:
        raise OwnDataError(f"{table}: {len(items)} items; at least {MIN_ITEMS} are needed")
    answers = {metrics.normalise(i.answer) for i in items}
    if len(answers) < 2:
        raise OwnDataError(
            f"{table}: every answer is {items[0].answer!r}; there is nothing to be learnt from one"
        )
    return items


def split(items: Sequence[Item], seed: int = 0) -> Fold:
    """A fifth of the groups for testing, a fifth of the rest for validation, like in answers.

    Items without a group are grouped by their content: a file that is asked several things, or
    that lies there twice, is never in training and test at once.

    Raises:
        OwnDataError: There are fewer than three groups, or one answer is left to train on.
    """
    groups: dict[str, list[Item]] = defaultdict(list)
    for i in items:
        groups[i.group or i.media.key].append(i)
    if len(groups) < 3:
        raise OwnDataError(
            f"{len(groups)} groups: training, validation and test need one each at least"
        )
    shuffled = [str(g) for g in np.random.default_rng(seed).permutation(sorted(groups))]
    # every fifth of a list in the order of answers has these in proportion
    rest = sorted(shuffled, key=lambda g: Counter(i.answer for i in groups[g]).most_common(1)[0][0])
    parts = []
    for _ in ("test", "val"):
        held = rest[min(2, len(rest) - 1) :: 5]
        parts.append(held)
        rest = [g for g in rest if g not in set(held)]
    test, val, train = (tuple(i for g in part for i in groups[g]) for part in (*parts, rest))
    if len({metrics.normalise(i.answer) for i in train}) < 2:
        raise OwnDataError(
            "the groups leave one answer alone to train on: each answer should be in several groups"
        )
    return Fold(train, val, test)


@dataclass
class Report:
    """What a training gave, on test items that it never saw."""

    sizes: dict[str, int]
    groups: int
    answers: dict[str, int]
    unseen: int
    adaptor: Interval
    macro: Interval
    regression: Interval
    difference: Interval
    majority: float
    blind: float
    noise: float
    best_epoch: int
    seconds: float
    given: list[Answer]
    test: tuple[Item, ...]
    failures: list[Failure] = field(default_factory=list)


def train(
    table: Path,
    encoder: str,
    llm: str,
    prompt: str,
    out: Path,
    *,
    num_virtual_tokens: int = 1,
    epochs: int | None = None,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> Report:
    """Train an adaptor on a table of files and write it, with its model card, to ``out``.

    Under ``accelerate launch`` all processes share the work, and the main one writes.

    Args:
        table: As :func:`read` wants it.
        encoder: Spec of the encoder.
        llm: Manifest, folder or hub id of the language model.
        prompt: Asked of every item that has none of its own in the table.
        out: Folder, made if it is not there; one that holds something else is refused.
        num_virtual_tokens: k.
        epochs: Passes over the training items; the best on validation items is kept. More of
            them the fewer the items, unless given.
        seed: Of the split, the initialisation and the order.
        say: Told how far it is.

    Raises:
        UserError: Whatever in table, files, encoder or language model cannot be used.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not _is_adaptor(out))):
        raise OwnDataError(f"{out} holds something else than an adaptor: give another folder")
    process = this_process()
    if not process.is_main_process:
        say = _unsaid
    maker = encoders.load(encoder)
    items = read(table, encoders.card(encoder).by_id)
    say(f"{len(items)} items, {len({i.answer for i in items})} answers; encoder {encoder}")
    with process.main_process_first():
        done = embed(items, maker, Store(cache_dir() / "vectors"))
    items = _embedded(items, done)
    fold = split(items, seed)
    sizes = ", ".join(f"{len(getattr(fold, p))} {name}" for p, name in PARTS.items())
    say(sizes)
    model = FrozenLLM.load(llm)
    parts = [_examples(p, done.vectors, model, prompt) for p in (fold.train, fold.val, fold.test)]
    epochs = epochs or max(3, round(PASSES / len(fold.train)))
    best: Fit | None = None
    for noise in NOISES:
        fitted = fit(
            model,
            parts[0],
            parts[1],
            Training(noise=noise, epochs=epochs, patience=max(3, epochs // 3)),
            encoder=maker.identity().slug,
            num_virtual_tokens=num_virtual_tokens,
            seed=seed,
            about={"encoder": encoder, "llm": llm, "prompt": prompt},
            progress=_told(noise, say),
        )
        if best is None or _score(fitted) > _score(best):
            best = fitted
    assert best is not None
    report = _report(best, fold, parts, model, done, prompt)
    card = model_card(report, encoder, llm, prompt, table.name)
    if process.is_main_process:
        for name in ("README.md", "config.json"):  # an earlier training's
            (out / name).unlink(missing_ok=True)
        best.adaptor.save_pretrained(out, model_card_kwargs={"report": card})
        _write_answers(report, out / "test_answers.csv")
    say(f"\n{card}\n\nwritten to {out}")
    return report


def _unsaid(text: str) -> None:
    """Of several processes one speaks."""


def _told(noise: float, say: Callable[[str], None]) -> Callable[[Epoch], None]:
    return lambda e: say(
        f"noise {noise}, epoch {e.epoch}: loss {e.train_loss:.2f}, validation {e.val_accuracy:.1%}"
    )


def _embedded(items: Sequence[Item], done: Embedded) -> list[Item]:
    for failure in done.failures[:SHOWN]:
        log.warning("left out: %s", failure.reason)
    if len(done.failures) > SHOWN:
        log.warning("… and %d more left out", len(done.failures) - SHOWN)
    kept = [i for i in items if i.media.key in done.vectors]
    if len(kept) < MIN_ITEMS:
        raise OwnDataError(
            f"{len(kept)} of {len(items)} items could be embedded, at least {MIN_ITEMS} are "
            f"needed; the first failure: {done.failures[0].reason}"
        )
    return kept


def _examples(
    items: Sequence[Item], vectors: dict[str, np.ndarray], llm: FrozenLLM, prompt: str
) -> Examples:
    texts = [i.meta.get("prompt", prompt) for i in items]
    rendered = {text: llm.prompt(text) for text in set(texts)}
    several = [text for text, p in rendered.items() if p.places > 1]
    if several:
        raise OwnDataError(f"prompt {several[0]!r}: one file is asked about, so one {PLACEHOLDER}")
    x = np.concatenate([vectors[i.media.key] for i in items])
    return Examples(x, [rendered[t] for t in texts], [i.answer for i in items])


def _score(fitted: Fit) -> tuple[float, float]:
    best = fitted.history[fitted.best_epoch - 1]
    return best.val_accuracy or 0.0, best.val_logprob


def _report(
    fitted: Fit,
    fold: Fold,
    parts: Sequence[Examples],
    llm: FrozenLLM,
    done: Embedded,
    prompt: str,
) -> Report:
    test = fold.test
    longest = max(llm.count_labels([a]) for p in parts for a in set(p.answers))
    given = predict(fitted.adaptor, llm, parts[2], max_new_tokens=longest)
    blind = predict(None, llm, parts[2], max_new_tokens=longest)

    def correct(texts: Sequence[str]) -> np.ndarray:
        pairs = zip(texts, test, strict=True)
        return np.array([metrics.exact_match(t, i.answer) for t, i in pairs], float)

    right = correct([a.text for a in given])
    simple = _simple(fold, parts, prompt)
    linear = correct(simple["logistic regression"])
    bootstrap = Bootstrap([i.answer for i in test], [i.group or i.media.key for i in test])
    known = {metrics.normalise(i.answer) for i in fold.train}
    return Report(
        sizes={p: len(getattr(fold, p)) for p in PARTS},
        groups=len({i.group for p in (fold.train, fold.val, test) for i in p if i.group}),
        answers=dict(Counter(i.answer for i in (*fold.train, *fold.val, *test)).most_common()),
        unseen=sum(metrics.normalise(i.answer) not in known for i in test),
        adaptor=bootstrap.interval(right),
        macro=bootstrap.interval(right, macro=True),
        regression=bootstrap.interval(linear),
        difference=bootstrap.interval(right - linear),
        majority=float(correct(simple["majority"]).mean()),
        blind=float(correct([a.text for a in blind]).mean()),
        noise=fitted.adaptor.noise,
        best_epoch=fitted.best_epoch,
        seconds=fitted.seconds,
        given=given,
        test=test,
        failures=done.failures,
    )


def _simple(fold: Fold, parts: Sequence[Examples], prompt: str) -> dict[str, list[str]]:
    """Answers of logistic regression and of the majority: one of each for every prompt.

    They do not read prompts, so that one of all would be asked more than it is told. A prompt
    without training or validation items gets the most frequent training answer.
    """
    places: dict[str, list[list[int]]] = defaultdict(lambda: [[], [], []])
    for number, items in enumerate((fold.train, fold.val, fold.test)):
        for k, i in enumerate(items):
            places[i.meta.get("prompt", prompt)][number].append(k)
    usual = baselines.majority(parts[0].answers, len(fold.test))
    out = {"majority": list(usual), "logistic regression": list(usual)}
    for train_at, val_at, test_at in places.values():
        if not train_at or not val_at or not test_at:
            continue
        a, b, c = (p.take(at) for p, at in zip(parts, (train_at, val_at, test_at), strict=True))
        found = baselines.predictions(
            a.rows, a.answers, b.rows, b.answers, c.rows, methods=("logistic regression",)
        )
        for method, texts in found.items():
            for k, text in zip(test_at, texts, strict=True):
                out[method][k] = text
    return out


def model_card(report: Report, encoder: str, llm: str, prompt: str, table: str) -> str:
    """What a training has to say of itself, in Markdown."""

    def shown(x: Interval) -> str:
        return f"{100 * x.value:.1f}% ({100 * x.low:.1f} to {100 * x.high:.1f})"

    n = report.sizes
    split_by = f"by group ({report.groups} groups)" if report.groups else "at random, by file"
    answers = ", ".join(f"{a} ({c})" for a, c in list(report.answers.items())[:20])
    more = f" and {len(report.answers) - 20} more" if len(report.answers) > 20 else ""
    gap = 100 * report.difference.value
    low, high = 100 * report.difference.low, 100 * report.difference.high
    rows = [
        ("adaptor", shown(report.adaptor)),
        ("adaptor, mean over answers (macro)", shown(report.macro)),
        ("logistic regression on the same vectors", shown(report.regression)),
        ("the most frequent training answer, always", f"{report.majority:.1%}"),
        ("the language model without virtual tokens", f"{report.blind:.1%}"),
    ]
    lines = [
        "# An adaptor of gemb",
        "",
        "## What it was trained on",
        "",
        f"- `{table}`: {sum(n.values())} items; {n['train']} to train on, {n['val']} to choose "
        f"epoch and noise by, {n['test']} to test. Split {split_by}.",
        f"- Answers: {answers}{more}.",
        f"- Prompt: “{prompt}”",
        f"- Encoder `{encoder}`, language model `{llm}`, both frozen.",
        f"- {report.seconds:.0f} s of training; epoch {report.best_epoch}, noise {report.noise:g}.",
        "",
        "## How often it is exactly right on the test items",
        "",
        "| method | exact match (95% interval) |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        f"Adaptor less logistic regression: {gap:+.1f} points ({low:+.1f} to {high:+.1f}).",
        "",
        "## Limits",
        "",
        "- The intervals count the luck of the test items"
        + (" (whole groups are drawn)" if report.groups else "")
        + ". They do not count that of the one split and seed.",
    ]
    if report.adaptor.value in (0.0, 1.0):
        drawn = len({i.group or i.media.key for i in report.test})
        lines.append(
            "- All test items came out alike, which resampling cannot doubt: with so few, up to "
            f"about {min(100, 300 / drawn):.0f}% could still come out otherwise (rule of three)."
        )
    if not report.groups:
        lines.append(
            "- The table names no groups: if recordings of one speaker, or pictures of one object, "
            "are in training and test alike, the figures are too good."
        )
    if report.unseen:
        lines.append(
            f"- {report.unseen} test items have an answer that no training item has: nothing "
            "can be expected of these."
        )
    if report.failures:
        lines.append(f"- {len(report.failures)} items could not be embedded and are left out.")
    lines.append("- It answers about anything, also about what is like nothing it was trained on.")
    return "\n".join(lines)


def _write_answers(report: Report, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "answer", "given", "confidence"])
        for i, a in zip(report.test, report.given, strict=True):
            writer.writerow([i.id, i.answer, a.text, f"{confidence(a):.3f}"])


def confidence(answer: Answer) -> float:
    """The probability that the language model gives to exactly this answer, not calibrated."""
    return math.exp(answer.logprob * answer.tokens)


def _is_adaptor(folder: Path) -> bool:
    return (folder / "config.json").is_file()


def load(source: str) -> Adaptor:
    """An adaptor from a folder or from the hub.

    Raises:
        OwnDataError: It is neither.
    """
    if Path(source).is_dir() and not _is_adaptor(Path(source)):
        raise OwnDataError(f"{source}: a folder without config.json, so no adaptor")
    try:
        return Adaptor.from_pretrained(source, local_files_only=offline())
    except (OSError, ValueError, TypeError) as error:  # TypeError: another kind of model
        hub = " (OFFLINE keeps from the hub)" if offline() else ""
        raise OwnDataError(
            f"{source}: neither a folder nor a hub id of an adaptor{hub}: {error}"
        ) from error


def ask(
    source: str,
    files: Sequence[str],
    prompt: str = "",
    *,
    encoder: str = "",
    llm: str = "",
    max_new_tokens: int = 32,
) -> Iterator[tuple[str, Answer | Failure]]:
    """Answers about files: one a file, or, where the prompt says ``{media}``, one about them all.

    With one ``{media}`` all files stand there, one after the other; with as many as there are
    files, each stands at its own.

    Args:
        source: Folder or hub id of an adaptor.
        files: Paths; ids, where the encoder looks vectors up.
        prompt: The one it was trained with, if it is not given.
        encoder, llm: How to load both, where it is not as when the adaptor was trained; they
            must still be the same.
        max_new_tokens: Where an answer that does not end is cut.

    Raises:
        OwnDataError: No adaptor, no such file, or no prompt.
        AdaptorMismatch: Another encoder or language model than it was trained for.
    """
    adaptor = load(source)
    text = prompt or adaptor.about.get("prompt", "")
    if not files or not text:
        raise OwnDataError(
            "give one file at least" if text else f"{source} needs a prompt: give one"
        )
    together = PLACEHOLDER in text
    if together and text.count(PLACEHOLDER) not in (1, len(files)):
        raise OwnDataError(
            f"{text.count(PLACEHOLDER)} {PLACEHOLDER} for {len(files)} files: give one for all, "
            "or one a file"
        )
    # an adaptor that does not say how: its slugs begin with the names
    spec = encoder or adaptor.about.get("encoder") or adaptor.encoder.rpartition("-")[0]
    card = encoders.card(spec)
    if card.server and not encoder:  # who made the adaptor does not say where files and keys go
        raise OwnDataError(
            f"{source} wants your files, and your key if one is set, sent to {spec}: if you trust "
            f"that address, say so by --encoder {spec}"
        )
    items = [item(f, Path(), by_id=card.by_id) for f in files]
    maker = encoders.load(spec)
    slug = maker.identity().slug
    adaptor.require(slug, adaptor.llm)
    model = FrozenLLM.load(llm or adaptor.about.get("llm") or adaptor.llm.rpartition("-")[0])
    adaptor.require(slug, model.identity().slug).to(model.device)
    vectors = maker.encode(items)
    failed = [v for v in vectors if isinstance(v, Failure)]
    good = [(i.id, v) for i, v in zip(items, vectors, strict=True) if not isinstance(v, Failure)]
    yield from ((f.item_id, f) for f in failed)
    if together and good:
        if failed:
            return
        good = [(" ".join(files), np.concatenate([v for _, v in good]))]
    if good:
        examples = Examples(
            [v for _, v in good], [model.prompt(text)] * len(good), [""] * len(good)
        )
        answers = predict(adaptor, model, examples, max_new_tokens=max_new_tokens)
        yield from zip((name for name, _ in good), answers, strict=True)
