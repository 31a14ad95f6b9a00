"""Tiny datasets in the formats in which their publishers give them out, made here.

Media are noise, tones and flat colours; what is official is how they are packed, named and
listed. ``write_all`` puts each as its archive, or as loose files, into one folder;
``adopt_all`` brings them from there into the cache, where ``gemb.data.load`` finds them.
"""

from __future__ import annotations

import csv
import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import soundfile
from PIL import Image
from scipy.io import savemat

from gemb.data.fetch import adopt

Files = dict[str, bytes]

WORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
PHRASINGS = (
    "Turn on the lights", "Turn up the heat in the bedroom", "Bring me my shoes",
    "Play the music", "Switch the language to German", "Volume down, please.",
)  # fmt: skip
ESC_CATEGORIES = (
    "airplane", "car_horn", "engine", "chirping_birds", "crow", "rooster", "hen", "cat", "dog",
    "frog", "rain",
)  # fmt: skip
READ_TWICE = "THE SEA WAS CALM AND THE SKY WAS CLEAR"
_SUBJECTS = ("THE OLD MAN", "MY SISTER", "A SMALL DOG", "THE CAPTAIN'S DAUGHTER", "HE")
_VERBS = ("WALKED SLOWLY", "RAN AWAY", "LOOKED BACK", "SANG QUIETLY")
_PLACES = (
    "TO THE HOUSE BY THE SEA", "THROUGH THE LONG DARK NIGHT", "FROM THE CITY WALLS",
    "BEFORE THE MORNING CAME AT LAST",
)  # fmt: skip


def _seed(name: str) -> np.random.Generator:
    return np.random.default_rng(list(name.encode()))


def sound(name: str, rate: int = 16000, seconds: float = 0.4, form: str = "WAV") -> bytes:
    """A chord drawn by ``name``."""
    rng = _seed(name)
    at = np.arange(int(rate * seconds)) / rate
    tones = sum(np.sin(2 * np.pi * f * at) for f in rng.uniform(120, 2000, 3)) / 6
    buffer = io.BytesIO()
    soundfile.write(buffer, tones + 0.01 * rng.standard_normal(len(at)), rate, format=form)
    return buffer.getvalue()


def pixels(name: str, *shape: int) -> np.ndarray:
    """A coloured image with some noise, drawn by ``name``."""
    rng = _seed(name)
    flat = rng.integers(40, 215, shape[2:] or (1,)) * np.ones(shape)
    return (flat.reshape(shape) + rng.integers(-30, 30, shape)).astype(np.uint8)


def image(name: str, width: int, height: int, form: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels(name, height, width, 3)).save(buffer, format=form)
    return buffer.getvalue()


def table(columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([columns, *rows])
    return buffer.getvalue().encode()


# --- the datasets: each as the files below the folder that its archive puts around them ---


def ravdess(actors: int = 24) -> Files:
    """One sentence in eight emotions by each actor."""
    names = [
        f"Actor_{actor:02d}/03-01-{emotion:02d}-01-{1 + actor % 2:02d}-01-{actor:02d}.wav"
        for actor in range(1, actors + 1)
        for emotion in range(1, 9)
    ]
    return {n: sound(n, 48000) for n in names}


def speech_commands(train: int = 6, test: int = 3) -> Files:
    """Ten words by speakers of whom some test, another word, and background noise."""
    out: Files = {}
    tested = []
    for word in (*WORDS, "bed"):
        for speaker in range(train + test):
            name = f"{word}/{0xAB00 + speaker:08x}_nohash_0.wav"
            out[name] = sound(name)
            if speaker >= train:
                tested.append(name)
    out["_background_noise_/pink_noise.wav"] = sound("pink")
    out["testing_list.txt"] = "".join(f"{n}\n" for n in tested).encode()
    return out


def fluent_speech_commands(speakers: Mapping[str, int] | None = None) -> Files:
    """Every phrasing by every speaker; the second is also said in another spelling."""
    counts = speakers or {"train": 6, "valid": 1, "test": 3}
    columns = ("", "path", "speakerId", "transcription", "action", "object", "location")
    out: Files = {}
    for split, count in counts.items():
        rows: list[tuple[object, ...]] = []
        for number in range(count):
            speaker = f"{split}Speaker{number}"
            for k, text in enumerate((*PHRASINGS, PHRASINGS[1].lower() + ".")):
                path = f"wavs/speakers/{speaker}/{split}-{number}-{k}.wav"
                out[path] = sound(path)
                rows.append((len(rows), path, speaker, text, "activate", "lights", "none"))
        out[f"data/{split}_data.csv"] = table(columns, rows)
    return out


def iiit5k(train: int = 40, test: int = 20) -> Files:
    """Two words from each picture, listed in MATLAB tables."""
    out: Files = {}
    for split, count in (("train", train), ("test", test)):
        rows = np.zeros((1, count), dtype=[(f, object) for f in ("ImgName", "chars", "charBB")])
        for number in range(count):
            name = (
                f"{split}/{1000 + number // 2 + (500 if split == 'test' else 0)}_{number % 2}.png"
            )
            out[name] = image(name, 60, 24, "PNG")
            rows[0, number] = (name, f"WORD{number % 10}", np.zeros((5, 4)))
        buffer = io.BytesIO()
        savemat(buffer, {f"{split}CharBound": rows})
        out[f"{split}CharBound.mat"] = buffer.getvalue()
    return out


class _Python2Pickler(pickle._Pickler):  # type: ignore[name-defined,misc]
    """Writes protocol 2 as Python 2 and NumPy 1 do: byte texts, and NumPy's old module names."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_bytes(self, data: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(data)

    def save_text(self, text: str) -> None:
        self.save_bytes(text.encode("latin-1"))

    def save_global(self, obj: object, name: str | None = None) -> None:
        module = getattr(obj, "__module__", "").replace("numpy._core", "numpy.core")
        self.write(pickle.GLOBAL + f"{module}\n{obj.__name__}\n".encode())  # type: ignore[attr-defined]
        self.memoize(obj)

    dispatch[bytes] = save_bytes
    dispatch[str] = save_text
    dispatch[type(pickle.dumps)] = save_global
    dispatch[type] = save_global


def python2_pickle(value: object) -> bytes:
    """``value`` as Python 2 would have pickled it."""
    buffer = io.BytesIO()
    _Python2Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue()


def cifar10(each: int = 20, test: int = 40) -> Files:
    """Five pickled batches and the test batch."""
    out: Files = {}
    for name, count in (*((f"data_batch_{n}", each) for n in range(1, 6)), ("test_batch", test)):
        labels = [k % 10 for k in range(count)]
        rows = [pixels(f"{name}{k}", 32, 32, 3).transpose(2, 0, 1).ravel() for k in range(count)]
        out[name] = python2_pickle(
            {
                b"batch_label": name.encode(),
                b"labels": labels,
                b"data": np.stack(rows),
                b"filenames": [f"{name}_{k}.png".encode() for k in range(count)],
            }
        )
    return out


def svhn(train: int = 100, test: int = 40) -> Files:
    """Two MATLAB files, in which digit 0 is labelled 10."""
    out: Files = {}
    for split, count in (("train", train), ("test", test)):
        images = np.stack([pixels(f"{split}{k}", 32, 32, 3) for k in range(count)], axis=3)
        labels = np.array([[1 + k % 10] for k in range(count)], np.uint8)
        buffer = io.BytesIO()
        savemat(buffer, {"X": images, "y": labels})
        out[f"{split}_32x32.mat"] = buffer.getvalue()
    return out


def librispeech(part: str, speakers: int = 4) -> Files:
    """Some twenty sentences a speaker; the parts share no speaker, and one sentence."""
    first = {"dev-clean": 84, "test-clean": 1089}[part]
    out: Files = {}
    sentences = [f"{s} {v} {p}" for s in _SUBJECTS for v in _VERBS for p in _PLACES]
    for n in range(speakers):
        speaker, chapter = first + n, 121000 + n
        end = "AND AGAIN" if part == "dev-clean" else "OR NEVER"
        mine = [f"{text} {end}" for text in sentences[n::speakers]]
        lines = []
        for k, text in enumerate((READ_TWICE, "GOOD MORNING", *mine)):
            name = f"{speaker}-{chapter}-{k:04d}"
            out[f"{speaker}/{chapter}/{name}.flac"] = sound(name, seconds=2.3, form="FLAC")
            lines.append(f"{name} {text}\n")
        out[f"{speaker}/{chapter}/{speaker}-{chapter}.trans.txt"] = "".join(lines).encode()
    return out


def esc50(each: int = 5) -> Files:
    """Clips of eleven categories in five folds; two takes of one recording share a fold."""
    columns = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
    out: Files = {}
    rows: list[tuple[object, ...]] = []
    for target, category in enumerate(ESC_CATEGORIES):
        for k in range(each):
            recording, take = 100000 + 100 * target + k // 2, "AB"[k % 2]
            fold = 1 + k // 2 % 5
            name = f"{fold}-{recording}-{take}-{target}.wav"
            out[f"audio/{name}"] = sound(name, 44100)
            rows.append((name, fold, target, category, "False", recording, take))
    out["meta/esc50.csv"] = table(columns, rows)
    return out


def celeba(people: int = 8) -> Files:
    """Three photographs a person; of the last half of the people each is in the test part."""
    names, identity, partition, attributes = [], [], [], []
    for k in range(3 * people):
        name = f"{k + 1:06d}.jpg"
        person = k // 3
        names.append(name)
        identity.append(f"{name} {person + 1}\n")
        partition.append(f"{name} {2 if person >= people / 2 else 0}\n")
        attributes.append(f"{name}  {(-1) ** k} {-1 if person % 2 else ' 1'} -1\n")
    header = f"{len(names)}\nBald Male Young \n"
    faces = {f"img_align_celeba/{n}": image(n, 178, 218, "JPEG") for n in names}
    return {
        "img_align_celeba.zip": zipped(faces),
        "identity_CelebA.txt": "".join(identity).encode(),
        "list_eval_partition.txt": "".join(partition).encode(),
        "list_attr_celeba.txt": (header + "".join(attributes)).encode(),
    }


def fashion_mnist(train: int = 100, test: int = 40) -> Files:
    """Four gzipped IDX files."""
    out: Files = {}
    for prefix, count in (("train", train), ("t10k", test)):
        images = b"".join(pixels(f"{prefix}{k}", 28, 28).tobytes() for k in range(count))
        labels = bytes(k % 10 for k in range(count))
        out[f"{prefix}-images-idx3-ubyte.gz"] = gzip.compress(
            struct.pack(">4i", 0x0803, count, 28, 28) + images
        )
        out[f"{prefix}-labels-idx1-ubyte.gz"] = gzip.compress(
            struct.pack(">2i", 0x0801, count) + labels
        )
    return out


# --- how they are given out ---


def zipped(files: Files) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        for name, content in files.items():
            out.writestr(name, content)
    return buffer.getvalue()


def tarred(files: Files) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as out:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _below(folder: str, files: Files) -> Files:
    return {f"{folder}/{name}": content for name, content in files.items()}


_ESC = "33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6"
# By manifest: what lies in the archive, the archive's name and how it is packed; or loose files.
PACKED: dict[str, tuple[Callable[[], Files], str, Callable[[Files], bytes]]] = {
    "ravdess": (ravdess, "Audio_Speech_Actors_01-24.zip", zipped),
    "speech-commands": (
        lambda: {f"./{n}": c for n, c in speech_commands().items()},
        "speech_commands_v0.02.tar.gz",
        tarred,
    ),
    "fluent-speech-commands": (
        lambda: _below("fluent_speech_commands_dataset", fluent_speech_commands()),
        "fluent.tar.gz",
        tarred,
    ),
    "iiit5k": (lambda: _below("IIIT5K", iiit5k()), "IIIT5K-Word_V3.0.tar.gz", tarred),
    "cifar-10": (
        lambda: _below("cifar-10-batches-py", cifar10()),
        "cifar-10-python.tar.gz",
        tarred,
    ),
    "librispeech-dev-clean": (
        lambda: _below("LibriSpeech/dev-clean", librispeech("dev-clean")),
        "dev-clean.tar.gz",
        tarred,
    ),
    "librispeech-test-clean": (
        lambda: _below("LibriSpeech/test-clean", librispeech("test-clean")),
        "test-clean.tar.gz",
        tarred,
    ),
    "esc-50": (lambda: _below(f"ESC-50-{_ESC}", esc50()), f"{_ESC}.zip", zipped),
}
LOOSE: dict[str, Callable[[], Files]] = {
    "svhn": svhn,
    "celeba": celeba,
    "fashion-mnist": fashion_mnist,
}


def put(folder: Path, files: Files) -> Path:
    """Write files below ``folder``."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_all(folder: Path) -> Path:
    """Every dataset as it is given out, in one folder."""
    for make, archive, pack in PACKED.values():
        put(folder, {archive: pack(make())})
    for loose in LOOSE.values():
        put(folder, loose())
    return folder


def adopt_all(folder: Path) -> None:
    """Bring what :func:`write_all` wrote into the cache, whose checksums it cannot have."""
    for name in (*PACKED, *LOOSE):
        adopt(name, folder, verify=False)
