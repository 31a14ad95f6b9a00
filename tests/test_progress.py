"""Progress where there is no terminal: a line now and then, none if it is quick."""

from gemb import progress as module
from gemb.progress import progress


def test_long_work_says_how_far_it_is(capsys, monkeypatch):
    clock = iter([0.0, 30.0, 90.0, 100.0, 160.0])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    with progress("reading", 8) as bar:
        for _ in range(4):
            bar.update(2)
    assert capsys.readouterr().err.splitlines() == [
        "reading: 50%, about 2 min left",
        "reading: 100%, about 0 min left",
    ]


def test_quick_work_says_nothing(capsys):
    with progress("reading", 3) as bar:
        bar.update(3)
    assert capsys.readouterr().err == ""
