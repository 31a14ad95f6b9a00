"""Embedding by an encoder that has many requests under way: what is kept when things go wrong."""

import itertools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from faults import KINDS, Faults, embed_texts, quick, server, texts, vector
from typer.testing import CliRunner

from gemb import profiles
from gemb.cli import app
from gemb.data.items import Item, Media
from gemb.data.load import Loaded
from gemb.embed import embed
from gemb.encoders.gemini import Gemini
from gemb.errors import UserError
from gemb.experiments import needs, single_task
from gemb.store import Store

runner = CliRunner()


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def check(store, items):
    """Every vector that is there is its own item's; returns the texts that have one."""
    got = store.get(quick().identity(), [i.media.key for i in items])
    found = set()
    for item in items:
        if item.media.key in got:
            data = item.media.bytes()
            np.testing.assert_allclose(got[item.media.key], vector(data)[None], atol=1e-6)
            found.add(data)
    return found


@pytest.mark.slow
def test_a_thousand_items_through_a_fifth_of_faults(tmp_path, monkeypatch):
    faults = Faults(0.2, largest=5, slow=1.5, late=0.02)
    bad = random.Random(0).sample(range(1000), 20)
    items, store = texts(1000, bad=bad), Store(tmp_path)
    with server(faults) as url:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", url)
        done = embed(items, quick(timeout=1.0, concurrency=8), store)
    assert sorted(f.item_id for f in done.failures) == sorted(f"text/{n}" for n in bad)
    assert check(store, items) == {i.media.bytes() for n, i in enumerate(items) if n not in bad}
    assert done.computed == 980 and store.count(quick().identity()) == 980
    assert all(faults.drawn[kind] for kind in KINDS)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are started by forking")
def test_kills_at_random_points_lose_and_repeat_nothing_stored(tmp_path, monkeypatch):
    """Killed fifty times while it embeds, of which each time there is more to do."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["faults"])  # imports LanceDB, and opens nothing
    faults, draw, kills, stop = Faults(late=0.05), random.Random(0), 0, 300
    under_way = 4 * 32  # requests at a time, contents each
    with server(faults) as url:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", url)
        while kills < 50 and stop < 300 * 70:  # rarely, a forked process does not start
            # what was killed last time is there again
            stop += 300
            span = (stop, stop - 600)
            before = check(Store(tmp_path), texts(*span))
            asked, known = faults.answered.copy(), len(faults.sizes)
            process = context.Process(target=embed_texts, args=(tmp_path, url, span))
            process.start()
            deadline = time.monotonic() + 30
            while len(faults.sizes) == known and time.monotonic() < deadline:
                time.sleep(0.002)
            time.sleep(draw.random() * 0.25)
            kills += process.is_alive() and len(faults.sizes) > known
            process.kill()
            process.join()
            time.sleep(0.1)  # what the server was about to answer
            paid = set(faults.answered - asked)
            after = check(Store(tmp_path), texts(*span))
            assert before <= after, "something stored is lost"
            assert not paid & before, "something stored was asked for again"
            assert len(paid - after) <= under_way, "more is lost than was under way"
        last = Store(tmp_path)
        embed(texts(stop), quick(), last)
    assert kills >= 50
    assert len(check(last, texts(stop))) == stop == last.count(quick().identity())
    assert sum(faults.answered.values()) - stop <= kills * under_way


def test_ctrl_c_keeps_what_is_under_way_and_asks_for_no_more(tmp_path):
    script = """
import sys
from pathlib import Path
from faults import quick, texts
from gemb.embed import embed
from gemb.store import Store
print("ready", flush=True)
embed(texts(1000), quick(timeout=20), Store(Path(sys.argv[1])))
"""
    faults = Faults(1.0, ["slow"], slow=2.0)  # slow, and within the client's patience
    with server(faults) as url:
        environment = os.environ | {
            "GOOGLE_GEMINI_BASE_URL": url,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        with subprocess.Popen(
            [sys.executable, "-c", script, tmp_path],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            while len(faults.sizes) < 4:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
    assert process.returncode not in (0, None) and "KeyboardInterrupt" in said
    assert "waiting for the requests under way" in said
    assert sum(faults.sizes) == 4 * 32 == len(check_folder(tmp_path, url, 1000))


def check_folder(folder, url, count):
    os.environ["GOOGLE_GEMINI_BASE_URL"] = url
    try:
        return check(Store(folder), texts(count))
    finally:
        del os.environ["GOOGLE_GEMINI_BASE_URL"]


def test_a_store_that_fails_ends_the_run_and_is_said(tmp_path, monkeypatch):
    faults, store = Faults(), Store(tmp_path)
    monkeypatch.setattr(store, "put", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    with server(faults) as url:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", url)
        with pytest.raises(OSError, match="disk full"):
            embed(texts(1000), quick(), store)
    assert sum(faults.sizes) <= 2 * 4 * 32


# --- the commands --------------------------------------------------------------------------


@pytest.fixture
def words(monkeypatch, tmp_path):
    """A task of the local profile on items that are texts, of which one is refused."""
    items = [
        Item(f"w/{n}", "text", Media.from_text(f"word {n}"), f"answer {n % 4}", split=split)
        for n, split in zip(range(60), itertools.cycle(["train", "test"]), strict=False)
    ]
    items[4] = Item("w/4", "text", Media.from_text("[bad] word"), "answer 0", split="train")
    monkeypatch.setattr(single_task, "load", lambda task, source: Loaded(items, "raw"))
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    monkeypatch.setattr(Gemini, "price", lambda self, amount: 0.25 * amount.contents)
    return items


def row(name, items, stored, missing):
    return f"{name:22} {items:7} {stored:7} {missing:8}"


def run(command, *arguments, **options):
    return runner.invoke(
        app,
        [command, "--profile", "local", "--task", "clothing", *arguments],
        **options,
    )


def test_estimate_then_embed_then_nothing_left(words, monkeypatch):
    faults = Faults()
    with server(faults) as url:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", url)
        monkeypatch.setattr(needs.fetch, "status", _all_present)
        fast = ("--requests-per-minute", "1e6", "--tokens-per-minute", "1e9")
        encoder = ("--encoder", "gemini:gemini-embedding-2:16")
        said = run("estimate", *encoder, "--requests-per-minute", "10").output
        assert row("clothing", 60, 0, 60) in said
        assert "$15.0000" in said and "prices of 2026-09-20" in said and "6.7 min" in said
        assert not faults.sizes
        refused = run("embed", *encoder, *fast)
        assert isinstance(refused.exception, UserError)
        assert "about $15.00 is above the ceiling of $1.00" in str(refused.exception)
        assert not faults.sizes
        stopped = run("embed", *encoder, *fast, "--yes", "--max-dollars", "0.1")
        assert "would pass the limit of $0.10" in str(stopped.exception)
        assert not faults.sizes
        done = run("embed", *encoder, *fast, "--ceiling", "20")
        assert "clothing: 59 embedded" in done.output
        assert "1 items have no vector" in str(done.exception)
        assert "w/4" in done.output + done.stderr
        assert "spent about $14.75" in done.output
        again = run("estimate", *encoder).output
        assert row("clothing", 60, 59, 1) in again


def _all_present():
    from types import SimpleNamespace

    from gemb.data import manifests

    return [SimpleNamespace(manifest=m, present=True) for m in manifests.load_all().values()]


def test_data_that_are_not_here_are_guessed_from_the_sizes(monkeypatch, tmp_path):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    monkeypatch.setattr(single_task, "load", lambda *a: pytest.fail("nothing is to be loaded"))
    said = run("estimate", "--encoder", "gemini").output
    assert row("clothing", 340, 0, 340) in said and "guessed" in said
    assert f"${340 * 258 * 0.45 / 1e6:.4f}" in said


def test_the_study_as_published_is_estimated_before_any_download(monkeypatch, tmp_path):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    said = runner.invoke(app, ["estimate", "--profile", "paper"]).output
    rows = {line[:22].strip(): line[22:].split() for line in said.splitlines()}
    paper = profiles.get("paper")
    views = [f"sentences, {view}" for view in ("whole", "chunks:2", "chunks:1")]
    others = {*views, "sentences' texts", "esc-50", "celeba"}
    assert {*paper.tasks, *others, "all"} <= rows.keys()
    assert rows["esc-50"][:3] == ["400", "0", "400"] and rows["celeba"][3] == "1000"
    assert rows["gender"][:3] == ["1440", "0", "1440"]
    assert rows["emotion"][:3] == ["1440", "0", "0"]  # the same recordings
    assert rows["sentences, chunks:1"][0] == "1000"
    prices = {
        name: float(r[7].lstrip("$")) for name, r in rows.items() if len(r) > 7 and "$" in r[7]
    }
    assert prices["gender"] == pytest.approx(0.92, abs=0.1)
    assert prices["all"] < profiles.PAPER_DOLLARS


def test_an_encoder_of_this_machine_is_free(monkeypatch, tmp_path):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    said = run("estimate").output
    assert "free: it runs on this machine" in said and "at most 340 items" in said


def test_wrong_names_and_numbers_are_said(monkeypatch):
    assert "no encoder 'gemni'" in str(run("estimate", "--encoder", "gemni").exception)
    wrong = runner.invoke(app, ["estimate", "--profile", "smoke", "--task", "objects"])
    assert "no task 'objects' in profile smoke" in str(wrong.exception)
    monkeypatch.setenv("GEMB_TOKENS_PER_MINUTE", "many")
    assert "GEMB_TOKENS_PER_MINUTE=many" in str(run("estimate", "--encoder", "gemini").exception)
    wrong = runner.invoke(app, ["serve", "--require-key"])
    assert "GEMB_SERVE_KEY" in str(wrong.exception)
