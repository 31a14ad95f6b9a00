"""Tiny copies of the field's captioned sounds and of pairs of texts, laid out as published.

Sounds are tones and captions are made up; what is official is how files are named and listed.
Each function writes one dataset into a folder, as it lies there once unpacked.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml


def tone(path: Path, pitch: float = 440.0, rate: int = 16_000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.3 * np.sin(2 * np.pi * pitch * np.arange(rate // 4) / rate)
    soundfile.write(path, np.repeat(wave[:, None], channels, axis=1), rate)


def table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]], by: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=by)
        writer.writerow(header)
        writer.writerows(rows)


def json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")


def audiocaps(folder: Path) -> None:
    """Three clips, of which one has vanished; five captions each in test, one in training."""
    header = ("audiocap_id", "youtube_id", "start_time", "caption")
    clips = [("--aB_c1", 30), ("dEfGhIjKlMn", 0), ("vanished000", 120)]
    table(folder / "dataset/test.csv", header, [
        (100 * n + k, video, start, f"a man speaks, take {n}.{k}")
        for n, (video, start) in enumerate(clips) for k in range(5)
    ])  # fmt: skip
    table(folder / "dataset/train.csv", header, [(7, "trained0000", 10, "Rain, then thunder")])
    table(folder / "dataset/val.csv", header, [])
    tone(folder / "audio/--aB_c1_30.flac", 300)
    tone(folder / "audio/YdEfGhIjKlMn.wav", 500)
    tone(folder / "audio/7.wav", 600)


def audioset_strong(folder: Path) -> None:
    """Two evaluation segments of the same video, in which several events overlap."""
    header = ("segment_id", "start_time_seconds", "end_time_seconds", "label")
    (folder / "mid_to_display_name.tsv").parent.mkdir(parents=True, exist_ok=True)
    (folder / "mid_to_display_name.tsv").write_text("/m/09x0r\tSpeech\n/m/05tny_\tBark\n")
    table(folder / "audioset_eval_strong.tsv", header, [
        ("b0RFKhbpFJA_30000", "2.627", "7.237", "/m/05tny_"),
        ("b0RFKhbpFJA_30000", "0.000", "10.000", "/m/09x0r"),
        ("b0RFKhbpFJA_30000", "8.000", "9.000", "/m/05tny_"),
        ("x_y-z000000_0", "0.000", "1.000", "/m/09x0r"),
    ], "\t")  # fmt: skip
    table(folder / "audioset_train_strong.tsv", header, [], "\t")
    tone(folder / "audio/b0RFKhbpFJA_30000.wav")
    tone(folder / "audio/x_y-z000000.ogg")


def clotho(folder: Path) -> None:
    """Names with blanks and commas, as Freesound's users give them."""
    header = ("file_name", *(f"caption_{n}" for n in range(1, 6)))
    for part, names in {
        "development": ["Distorted AM Radio noise.wav"],
        "validation": ["Waves, Salinas.wav"],
        "evaluation": ["Santa Motor.wav", "Radio Garble.wav"],
    }.items():
        rows = [(n, *(f"Caption {k} of {n}, quietly." for k in range(1, 6))) for n in names]
        table(folder / f"clotho_captions_{part}.csv", header, rows)
        for number, name in enumerate(names):
            tone(folder / part / name, 200 + 100 * number, 44_100)


def fsd50k(folder: Path) -> None:
    truth = folder / "FSD50K.ground_truth"
    table(truth / "dev.csv", ("fname", "labels", "mids", "split"), [
        (64760, "Electric_guitar,Guitar,Music", "/m/02sgy,/m/0342h,/m/04rlf", "train"),
        (16399, "Chewing_and_mastication", "/m/03cczk", "val"),
    ])  # fmt: skip
    table(truth / "eval.csv", ("fname", "labels", "mids"), [(37199, "Bark,Dog,Animal", "/m/0")])
    for name in ("dev_audio/64760", "dev_audio/16399", "eval_audio/37199"):
        tone(folder / f"FSD50K.{name}.wav", 250, 44_100)


def urbansound8k(folder: Path) -> None:
    header = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
    rows = [
        ("100032-3-0-0.wav", 100032, 0.0, 0.31, 1, 5, 3, "dog_bark"),
        ("100263-2-0-117.wav", 100263, 58.5, 62.5, 1, 9, 2, "children_playing"),
        ("99812-1-0-0.wav", 99812, 0.0, 4.0, 2, 10, 1, "car_horn"),
        ("99812-1-1-0.wav", 99812, 4.0, 8.0, 2, 10, 1, "car_horn"),
    ]
    table(folder / "metadata/UrbanSound8K.csv", header, rows)
    for row in rows:
        tone(folder / f"audio/fold{row[5]}/{row[0]}", 350, 48_000, channels=2)


def macs(folder: Path) -> None:
    """Twenty places of two cities, each recorded twice; two captions a clip."""
    names = [
        f"airport-{city}-{place}-{segment}-a.wav"
        for city in ("barcelona", "helsinki") for place in range(10) for segment in range(2)
    ]  # fmt: skip
    entries = [
        {
            "filename": name,
            "annotations": [
                {"annotator_id": k, "sentence": f"people talk, {name}, {k}", "tags": ["speech"]}
                for k in (7, 26)
            ],
        }
        for name in names
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MACS.yaml").write_text(yaml.safe_dump({"files": entries}))
    for name in names:
        tone(folder / "audio" / name, 220, 48_000, channels=2)


def nli(folder: Path, prefix: str, *names: str) -> None:
    """SNLI and MultiNLI: one JSON object a line; ``-`` where annotators did not agree."""
    labels = ("entailment", "neutral", "contradiction", "-")
    rows = [
        {
            "gold_label": label,
            "sentence1": "A man plays a guitar on stage.",
            "sentence2": f"Somebody makes music ({label}).",
            "pairID": f"1.{label}",
        }
        for label in labels
    ]
    for name in names:
        json_lines(folder / f"{prefix}_{name}.jsonl", rows)


def fever(folder: Path) -> None:
    """A claim that one sentence supports, one that two do, one refuted, one about a page whose
    name has brackets and accents, and one whose page is not there."""

    def evidence(*sentences: tuple[str, int]) -> list[list[Any]]:
        return [[1, 2, page, line] for page, line in sentences]

    rows = [
        ("SUPPORTS", "Fox aired a show.", [evidence(("Fox", 0)), evidence(("Fox", 1))]),
        ("SUPPORTS", "Two are needed.", [evidence(("Fox", 1), ("Beyonce\u0301_-LRB-x-RRB-", 0))]),
        ("REFUTES", "Foxes fly.", [evidence(("Fox", 0))]),
        ("NOT ENOUGH INFO", "Foxes sing.", [[[1, None, None, None]]]),
        ("SUPPORTS", "Nobody knows.", [evidence(("Absent", 0))]),
    ]
    json_lines(folder / "train.jsonl", [
        {"id": n, "verifiable": "VERIFIABLE", "label": label, "claim": claim, "evidence": shown}
        for n, (label, claim, shown) in enumerate(rows)
    ])  # fmt: skip
    json_lines(folder / "shared_task_dev.jsonl", [])
    json_lines(folder / "wiki-pages/wiki-001.jsonl", [
        {"id": "", "text": "", "lines": ""},
        {"id": "Fox", "text": "", "lines": "0\tFox is a network -LRB- US -RRB- .\tUS\tUS\n"
         "1\tIt aired.\n2\t"},
        {"id": "Beyonc\u00e9_-LRB-x-RRB-", "text": "", "lines": "0\tShe sings ."},
    ])  # fmt: skip


def scifact(folder: Path) -> None:
    json_lines(folder / "corpus.jsonl", [
        {"doc_id": 4983, "title": "T", "abstract": ["First.", "Second. "], "structured": False}
    ])  # fmt: skip
    both = [
        {"sentences": [0, 1], "label": "SUPPORT"},
        {"sentences": [1], "label": "CONTRADICT"},
    ]
    json_lines(folder / "claims_train.jsonl", [
        {"id": 0, "claim": "It is so.", "evidence": {"4983": both}, "cited_doc_ids": [4983]},
        {"id": 1, "claim": "Nobody knows.", "evidence": {}, "cited_doc_ids": [4983]},
    ])  # fmt: skip
    json_lines(folder / "claims_dev.jsonl", [])


def multinli(folder: Path) -> None:
    nli(folder, "multinli_1.0", "train", "dev_matched")


def snli(folder: Path) -> None:
    nli(folder, "snli_1.0", "train", "test")
