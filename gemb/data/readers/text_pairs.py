"""Pairs of texts that mean the same or follow from each other, for text-only training.

The source's four datasets, as their publishers lay them out, and, from what is packaged, an
offline stand-in of three kinds: what WordNet says of a word, other wordings of commands, and the
two styles of caption of :mod:`~gemb.data.readers.audio_pairs`.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from gemb.data.fetch import fetch
from gemb.data.items import Item
from gemb.data.readers import spoken_commands
from gemb.data.readers.files import DataFileError

TextPair = tuple[str, str]
Split = Literal["train", "test"]

WORDNET = "wordnet"


# --- the source's datasets --------------------------------------------------------------------


def multinli(root: Path | None = None, split: Split = "train") -> list[TextPair]:
    """MultiNLI 1.0: premises and the hypotheses that they entail; of the test side the matched
    development set, since the test's labels are not published."""
    name = "train" if split == "train" else "dev_matched"
    return _entailed(_folder(root, "multinli") / f"multinli_1.0_{name}.jsonl", "multinli")


def snli(root: Path | None = None, split: Split = "train") -> list[TextPair]:
    """SNLI 1.0: premises (captions of photographs) and the hypotheses that they entail."""
    return _entailed(_folder(root, "snli") / f"snli_1.0_{split}.jsonl", "snli")


def _entailed(path: Path, dataset: str) -> list[TextPair]:
    """Pairs with the gold label entailment; ``-`` stands where annotators did not agree."""
    rows = _rows(path, dataset)
    return [
        (r["sentence1"], r["sentence2"]) for r in rows if r["gold_label"] == "entailment"
    ] or _nothing(path, dataset)


def fever(root: Path | None = None, split: Split = "train") -> list[TextPair]:
    """FEVER: claims that Wikipedia supports, each with the first sentences that do so.

    ``wiki-pages/*.jsonl`` are read once; of the test side the shared task's development set.
    """
    folder = _folder(root, "fever")
    name = "train" if split == "train" else "shared_task_dev"
    claims: list[tuple[str, list[tuple[str, int]]]] = []
    for row in _rows(folder / f"{name}.jsonl", "fever"):
        if row["label"] == "SUPPORTS":
            # the first of several sets of sentences, each of which is enough
            sentences = [(_page(page), line) for _, _, page, line in row["evidence"][0]]
            claims.append((row["claim"], sentences))
    wanted = {page for _, sentences in claims for page, _ in sentences}
    lines: dict[tuple[str, int], str] = {}
    for path in sorted((folder / "wiki-pages").glob("wiki-*.jsonl")):
        for row in _rows(path, "fever"):
            if (page := _page(row["id"])) in wanted:
                for line in row["lines"].split("\n"):
                    number, _, rest = line.partition("\t")
                    if number.isdigit():
                        lines[page, int(number)] = _brackets(rest.split("\t")[0])
    out = [
        (claim, " ".join(lines[s] for s in sentences))
        for claim, sentences in claims
        if all(lines.get(s) for s in sentences)
    ]
    return out or _nothing(folder, "fever")


def _page(name: str) -> str:
    """Claims and pages spell accented names in different normal forms."""
    return unicodedata.normalize("NFC", name)


def _brackets(text: str) -> str:
    """FEVER spells brackets as the Penn Treebank does."""
    for mark, sign in (("-LRB-", "("), ("-RRB-", ")"), ("-LSB-", "["), ("-RSB-", "]")):
        text = text.replace(mark, sign)
    return text.replace("-COLON-", ":")


def scifact(root: Path | None = None, split: Split = "train") -> list[TextPair]:
    """SciFact: claims and the sentences of abstracts that support them; its development set
    stands for the test, whose labels are not published."""
    folder = _folder(root, "scifact")
    abstracts = {str(r["doc_id"]): r["abstract"] for r in _rows(folder / "corpus.jsonl", "scifact")}
    out = []
    path = folder / f"claims_{'train' if split == 'train' else 'dev'}.jsonl"
    for row in _rows(path, "scifact"):
        for document, rationales in row["evidence"].items():
            for rationale in rationales:
                if rationale["label"] == "SUPPORT":
                    said = [abstracts[document][n].strip() for n in rationale["sentences"]]
                    out.append((row["claim"], " ".join(said)))
    return out or _nothing(path, "scifact")


def _folder(root: Path | None, dataset: str) -> Path:
    return root or fetch(dataset)


def _rows(path: Path, dataset: str) -> Iterator[Any]:
    """The objects of a file with one JSON object a line."""
    number = 0
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                number += 1
                if line.strip():
                    yield json.loads(line)
    except FileNotFoundError:
        raise DataFileError(path, "the file is missing", dataset) from None
    except (OSError, ValueError) as error:
        raise DataFileError(path, f"line {number} cannot be read ({error})", dataset) from error


def _nothing(path: Path, dataset: str) -> list[TextPair]:
    raise DataFileError(path, "no pair in it", dataset)


# --- offline ----------------------------------------------------------------------------------

# A synset of data.*: its number, file, kind, how many words in hexadecimal, each with an id;
# then, after the bar, definitions and quoted examples.
_SYNSET = re.compile(r"^\d{8} \d\d [nvasr] ([0-9a-f]{2}) (.*?) \| (.*)$")
_EXAMPLE = re.compile(r'"([^"]+)"')


def wordnet(root: Path | None = None) -> list[TextPair]:
    """What WordNet says of its words: a word and its definition, two words of one meaning, and
    an example and the definition of the word that it is for."""
    folder = root or fetch(WORDNET)
    out: list[TextPair] = []
    for kind in ("adj", "adv", "noun", "verb"):
        path = folder / f"data.{kind}"
        try:
            text = path.read_text(encoding="latin-1")
        except OSError as error:
            raise DataFileError(path, str(error), WORDNET) from error
        found = [m for line in text.splitlines() if (m := _SYNSET.match(line))]
        if not found:
            raise DataFileError(path, "no synset in it", WORDNET)
        for match in found:
            count, rest, gloss = int(match[1], 16), match[2].split(), match[3]
            # adjectives carry their place in brackets, such as `galore(ip)`
            words = [re.sub(r"\(\w+\)$", "", w).replace("_", " ") for w in rest[: 2 * count : 2]]
            definition = _EXAMPLE.sub("", gloss).strip(" ;")
            if not definition:
                continue
            out.append((words[0], definition))
            out += [(words[0], w) for w in words[1:] if w.casefold() != words[0].casefold()]
            out += [(e, f"{words[0]}: {definition}") for e in _EXAMPLE.findall(gloss)]
    return out


# Other words for the beginnings of commands; this project's own.
_OTHERWISE = (
    ("turn on", "put {} on, please"),
    ("turn off", "I don't need {} any more, switch it off"),
    ("switch on", "could you start {}"),
    ("switch off", "could you put {} out"),
    ("turn up", "I want more of {}"),
    ("turn down", "I want less of {}"),
    ("open", "I would like {} to be open"),
    ("close", "please shut {}"),
    ("play", "let me hear {}"),
    ("pause", "hold {} for a moment"),
    ("stop", "that is enough of {}"),
    ("start", "set {} going"),
    ("bring me", "I need {}, fetch it for me"),
    ("get me", "could I have {}"),
    ("make it", "I would like it {}"),
    ("change the language to", "speak {} from now on"),
    ("set the language to", "I prefer to be spoken to in {}"),
)


def commands() -> list[TextPair]:
    """The commands of ``spoken-commands`` and the same in other words."""
    return [
        (command, other.format(command.removeprefix(begin + " ")))
        for command in spoken_commands.COMMANDS
        for begin, other in _OTHERWISE
        if command.startswith(begin + " ")
    ]


def captions(items: Sequence[Item]) -> list[TextPair]:
    """The two styles of caption of audio items, and where captions are in another language the
    English one; give training items alone."""
    out = [(i.answer, i.meta["sentence"]) for i in items]
    out += [(i.answer, i.meta["english"]) for i in items if i.meta.get("english")]
    return list(dict.fromkeys(out))


def offline(
    items: Sequence[Item],
    exclude: Collection[str] = (),
    count: int | None = None,
    dictionary: bool = True,
) -> list[TextPair]:
    """All of the above that needs no official dataset, in an order that a hash decides.

    Args:
        items: Training items of ``audio-pairs``, whose captions are paired.
        exclude: Captions to be tested on: no text of a pair is one of them.
        count: At most that many pairs.
        dictionary: Whether WordNet's are among them.

    Raises:
        SourceUnavailable: WordNet cannot be had.
    """
    tested = {_plain(t) for t in exclude}
    defined = wordnet() if dictionary else []
    found = [
        p
        for p in dict.fromkeys([*defined, *commands(), *captions(items)])
        if not {_plain(p[0]), _plain(p[1])} & tested
    ]
    found.sort(key=lambda p: hashlib.sha256("|".join(p).encode()).hexdigest())
    return found[:count]


def _plain(text: str) -> str:
    """A text as it is compared: without case and punctuation."""
    return " ".join(re.findall(r"\w+", text.casefold()))
