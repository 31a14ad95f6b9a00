"""A reader's own table: what is wrong with it is told by line, and what is right is learnt."""

import csv
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from gemb.adaptor import Adaptor, AdaptorMismatch
from gemb.cli import app
from gemb.data.items import Item, Media
from gemb.encoders import Failure
from gemb.experiments import own_data
from gemb.experiments.own_data import OwnDataError
from gemb.llm import FrozenLLM

runner = CliRunner()


def table(folder, rows, header=("path", "answer")):
    path = folder / "my.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def pictures(folder, count=24):
    """``count`` small pictures of one colour each, and their rows."""
    for n in range(count):
        Image.new("RGB", (8, 8), (10 * n, 0, 0)).save(folder / f"{n}.png")
    return [(f"{n}.png", "dark" if n < count / 2 else "light") for n in range(count)]


def test_a_table_is_read_with_groups_prompts_and_other_columns(tmp_path):
    rows = [(p, a, f"g{n % 4}", "What?" if n else "", "x") for n, (p, a) in
            enumerate(pictures(tmp_path))]  # fmt: skip
    path = table(tmp_path, rows, ("path", "answer", "group", "prompt", "remark"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as spreadsheets write it
    items = own_data.read(path)
    assert [i.id for i in items] == [r[0] for r in rows]
    assert {i.group for i in items} == {"g0", "g1", "g2", "g3"}
    assert items[0].meta == {} and items[1].meta == {"prompt": "What?"}
    assert all(i.modality == "image" and i.media.bytes() for i in items)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: [*rows, ("gone.png", "x")], r"line 26: gone\.png: there is no such file"),
        (lambda rows: [*rows, ("", "x")], "line 26: the path is empty"),
        (lambda rows: [*rows, ("1.png", " ")], "line 26: the answer is empty"),
        (lambda rows: [*rows, ("1.xyz", "x")], r"line 26: 1\.xyz: its suffix does not say"),
        (lambda rows: rows[:7], "7 items; at least 20 are needed"),
        (lambda rows: [(p, "Dark.") for p, _ in rows], "every answer is 'Dark.'"),
        (lambda rows: [(f"no{n}.png", "x") for n in range(9)], "… and 4 more"),
    ],
)
def test_what_is_wrong_with_a_table_is_told_by_file_and_line(tmp_path, change, said):
    path = table(tmp_path, change(pictures(tmp_path)))
    with pytest.raises(OwnDataError, match=said) as raised:
        own_data.read(path)
    assert str(raised.value).startswith(str(path))


def test_a_missing_column_names_those_there_are(tmp_path):
    path = table(tmp_path, [("a.png", "x")], ("file", "answer"))
    with pytest.raises(OwnDataError, match="no column 'path'; it has: file, answer"):
        own_data.read(path)
    (tmp_path / "my.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OwnDataError, match="cannot be read as a CSV file in UTF-8"):
        own_data.read(path)
    with pytest.raises(OwnDataError, match="cannot be read"):
        own_data.read(tmp_path / "none.csv")


def item(n, answer, group=None, key=None):
    return Item(f"i{n}", "image", Media.absent(key or f"k{n}", ""), answer, group=group)


@settings(max_examples=40, deadline=None)
@given(
    groups=st.lists(st.integers(0, 7), min_size=20, max_size=60),
    seed=st.integers(0, 3),
    named=st.booleans(),
)
def test_no_group_and_no_file_is_in_two_parts(groups, seed, named):
    items = [
        item(n, "ab"[n % 2], f"g{g}" if named else None, f"k{g}") for n, g in enumerate(groups)
    ]
    if len(set(groups)) < 3:
        with pytest.raises(OwnDataError, match="need one each"):
            own_data.split(items, seed)
        return
    try:
        fold = own_data.split(items, seed)
    except OwnDataError as error:
        if "one answer alone" not in str(error):
            raise
        return
    parts = [fold.train, fold.val, fold.test]
    assert all(parts) and sorted(i.id for p in parts for i in p) == sorted(i.id for i in items)
    of = [{i.group or i.media.key for i in p} for p in parts]
    assert not (of[0] & of[1] or of[0] & of[2] or of[1] & of[2])
    assert own_data.split(items, seed) == fold


def test_without_groups_a_fifth_is_tested_and_answers_stay_in_proportion():
    items = [item(n, "yes" if n % 4 else "no") for n in range(100)]
    fold = own_data.split(items)
    assert [len(p) for p in (fold.train, fold.val, fold.test)] == [64, 16, 20]
    assert sum(i.answer == "no" for i in fold.test) == 5
    assert own_data.split(items, seed=1) != fold


def test_suffixes_say_what_a_file_is():
    assert [own_data.modality(p) for p in ("a.JPG", "b.flac", "c.txt", "d.parquet", "e")] == [
        "image",
        "audio",
        "text",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere/none", "{f}", "What?"], "neither a folder nor a hub id of an adaptor"),
        (["{d}", "{f}", "What?"], "a folder without config.json"),
        (["{a}", "What?"], "What? is no file, so it was taken as the prompt"),
        (["{a}", "{f}"], "needs a prompt"),
        (["{a}", "gone.png", "What?"], "gone.png: there is no such file"),
        (["{a}", "{f}", "Is {media} like {media}?"], "2 {media} for 1 files"),
        (["{a}", "{f}", "What?", "--encoder", "nonsense"], "no encoder 'nonsense'"),
        (["{a}", "{f}", "What?", "--encoder", "minilm"], "trained for the encoder 'some-12'"),
    ],
)
def test_what_is_wrong_with_a_question_is_one_clear_message(tmp_path, monkeypatch, arguments, said):
    monkeypatch.setenv("OFFLINE", "1")
    Image.new("RGB", (8, 8)).save(tmp_path / "f.png")
    Adaptor(4, 8, encoder="some-12", llm="other-34", about={"encoder": "open-concat"}
            ).save_pretrained(tmp_path / "a")  # fmt: skip
    places = {"{f}": "f.png", "{d}": ".", "{a}": "a"}
    monkeypatch.chdir(tmp_path)
    done = runner.invoke(app, ["ask", *(places.get(a, a) for a in arguments)])
    assert done.exit_code == 1 and said in str(done.exception)


def test_an_adaptor_does_not_decide_where_files_and_keys_are_sent(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    spec = "openai-compatible:http://127.0.0.1:1/v1#m"
    Adaptor(4, 8, encoder="x", llm="y", about={"encoder": spec}).save_pretrained(tmp_path / "a")
    (tmp_path / "f.txt").write_text("private")
    asked = ["ask", str(tmp_path / "a"), str(tmp_path / "f.txt"), "What?"]
    refused = runner.invoke(app, asked)
    assert f"if you trust that address, say so by --encoder {spec}" in str(refused.exception)
    monkeypatch.setattr("gemb.encoders.openai_compatible.ATTEMPTS", 1)
    assert "no answer" in str(runner.invoke(app, [*asked, "--encoder", spec]).exception)


def test_a_folder_that_holds_something_else_is_not_written_to(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OwnDataError, match="something else than an adaptor"):
        own_data.train(tmp_path / "my.csv", "open-concat", "smollm2-135m", "?", tmp_path)


def vectors_and_table(folder, count=60):
    """Vectors in three clusters, and a table of their ids: of nothing that lies on a disk."""
    rng = np.random.default_rng(0)
    answers = ["bird", "dog", "up"]
    label = np.arange(count) % 3
    vectors = (rng.normal(size=(3, 256)) * 3)[label] + rng.normal(size=(count, 256))
    ids = [f"thing {n}" for n in range(count)]
    file = folder / "v.parquet"
    pq.write_table(pa.table({"id": ids, "vector": list(vectors.astype(np.float32))}), file)
    rows = [(i, answers[k], f"g{n % 12}") for n, (i, k) in enumerate(zip(ids, label, strict=True))]
    return file, table(folder, [*rows, ("thing 999", "dog", "g1")], ("path", "answer", "group"))


@pytest.mark.slow
def test_trained_tested_described_and_asked(tmp_path, monkeypatch, caplog):
    llm = FrozenLLM.load()
    monkeypatch.setattr(FrozenLLM, "load", classmethod(lambda cls, name: llm))
    monkeypatch.setenv("GEMB_HOME", str(tmp_path / "home"))
    file, path = vectors_and_table(tmp_path)
    out = tmp_path / "adaptor"
    said = []
    options = {"epochs": 4, "say": said.append}
    report = own_data.train(path, f"precomputed:{file}", "smollm2-135m", "What?", out, **options)
    assert "left out: thing 999: no row of v.parquet has this id" in caplog.text
    assert sum(report.sizes.values()) == 60 and report.groups == 12
    assert report.adaptor.value >= 0.8 and report.regression.value >= 0.8
    assert report.adaptor.low <= report.adaptor.value <= report.adaptor.high
    assert report.blind == 0 and report.majority < 0.6
    card = (out / "README.md").read_text(encoding="utf-8")
    for text in ("12 groups", "“What?”", f"{100 * report.adaptor.value:.1f}%", "1 items could not",
                 "library_name: gemb", "logistic regression on the same vectors"):  # fmt: skip
        assert text in card, text
    with (out / "test_answers.csv").open(encoding="utf-8") as rows:
        listed = list(csv.DictReader(rows))
    assert len(listed) == report.sizes["test"]
    right = np.mean([r["answer"] == r["given"] for r in listed])
    assert right == pytest.approx(report.adaptor.value)

    # asked without a word about encoder, language model and prompt: the folder knows
    answers = dict(own_data.ask(str(out), ["thing 0", "thing 1", "thing 2"]))
    assert [answers[f"thing {n}"].text for n in range(3)] == ["bird", "dog", "up"]
    assert all(0 < own_data.confidence(a) <= 1 for a in answers.values())
    # one answer about two, each at its place or both at one
    for prompt in ("Is {media} like {media}?", "What are {media}?"):
        (row,) = own_data.ask(str(out), ["thing 0", "thing 1"], prompt)
        assert row[0] == "thing 0 thing 1" and row[1].tokens
    done = runner.invoke(app, ["ask", str(out), "thing 0", "thing 999", "What?"])
    assert done.exit_code == 1 and re.match(r"thing 0\tbird\t[01]\.\d\d\n", done.stdout)
    assert "thing 999: no row" in done.stderr
    (row,) = own_data.ask(str(out), ["thing 999"])
    assert isinstance(row[1], Failure)
    # the same vectors in another file are another encoder
    changed = pq.read_table(file).slice(1)
    pq.write_table(changed, tmp_path / "w.parquet")
    with pytest.raises(AdaptorMismatch, match="was trained for the encoder 'precomputed-"):
        list(own_data.ask(str(out), ["thing 1"], encoder=f"precomputed:{tmp_path / 'w.parquet'}"))
    # trained again into the same folder, all is new
    own_data.train(path, f"precomputed:{file}", "smollm2-135m", "Which?", out, epochs=1, say=print)
    assert "“Which?”" in (out / "README.md").read_text(encoding="utf-8")
