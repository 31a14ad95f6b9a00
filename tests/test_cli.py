import pytest
from typer.testing import CliRunner

from gemb import tasks
from gemb.cli import app, main

runner = CliRunner()


def test_tasks_are_printed_with_prompts_data_and_stand_ins():
    done = runner.invoke(app, ["tasks"])
    assert done.exit_code == 0, done.output
    for task in tasks.TASKS.values():
        assert task.prompt in done.output and task.paper_dataset in done.output
    assert "classes 200;" in done.output and "classes 169;" in done.output
    assert "turn on the lights" in done.output and "classes 0" not in done.output
    assert done.output.count("stand-in:") == 7 and "the study's own dataset" in done.output
    assert "groups: stamp, 138 in the profile local" in done.output


def test_fetch_lists_every_manifest_without_the_network(monkeypatch, tmp_path):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    monkeypatch.setenv("OFFLINE", "1")
    done = runner.invoke(app, ["fetch", "--list"])
    assert done.exit_code == 0, done.output
    (line,) = [r for r in done.output.splitlines() if r.startswith("smollm2-135m")]
    assert "92.9 MB" in line and "absent" in line and "Apache-2.0" in line


def test_the_studys_own_datasets_are_fetched_only_when_named(monkeypatch, tmp_path):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    asked = []
    monkeypatch.setattr("gemb.data.fetch.fetch", lambda name: asked.append(name) or tmp_path)
    assert runner.invoke(app, ["fetch"]).exit_code == 0
    assert "fashion-mnist" in asked and not {"ravdess", "celeba", "cifar-10"} & set(asked)
    assert runner.invoke(app, ["fetch", "ravdess"]).exit_code == 0
    assert asked[-1] == "ravdess"


def test_fetching_from_a_folder_wants_a_name_and_says_what_it_lacks(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path / "home"))
    for names, said in (([], "gemb fetch NAME --from FOLDER"), (["celeba"], "does not hold it")):
        monkeypatch.setattr("sys.argv", ["gemb", "fetch", *names, "--from", str(tmp_path)])
        with pytest.raises(SystemExit) as done:
            main()
        assert done.value.code == 1
        error = capsys.readouterr().err
        assert said in error and "Traceback" not in error


def test_doctor_prints_no_key(monkeypatch):
    monkeypatch.setenv("GEMINI_API_KEY", "very-secret-key")
    done = runner.invoke(app, ["doctor"])
    assert done.exit_code == 0, done.output
    assert "torch" in done.output.lower() and "very-secret-key" not in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["paper", "--profile", "nonsense"], "no profile 'nonsense'"),
        (["fetch", "nonsense"], "no manifest 'nonsense'"),
        (["run", "99_nothing"], "no notebook 99_nothing"),
        (
            ["run", "01_single_task", "--profile", "smoke", "-p", "nonsense=1"],
            "has no parameter 'nonsense'; it has: profile",
        ),
    ],
)
def test_a_wrong_name_is_one_clear_line(monkeypatch, capsys, arguments, said):
    monkeypatch.setattr("sys.argv", ["gemb", *arguments])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code in (1, 2)
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error


def test_fetching_all_goes_on_where_one_cannot_be_had(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    monkeypatch.setenv("OFFLINE", "1")
    monkeypatch.delenv("GEMB_SOURCES", raising=False)
    monkeypatch.setattr("sys.argv", ["gemb", "fetch", "yamnet", "rapidocr"])
    with pytest.raises(SystemExit) as done:
        main()
    said = capsys.readouterr()
    assert done.value.code == 1
    assert "to fetch: 2 of 2, 34 MB" in said.out
    assert "not fetched: yamnet, rapidocr" in said.err and "OFFLINE is set" in said.err


def test_cleaning_the_cache_asks_first_and_leaves_other_files(monkeypatch, tmp_path):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    for name in ("runs", "converted"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text("x" * 1000)
    (tmp_path / "mine.txt").write_text("keep")
    assert runner.invoke(app, ["clean-cache"], input="n\n").exit_code == 1
    assert (tmp_path / "runs" / "x").exists()
    assert runner.invoke(app, ["clean-cache", "--yes"]).exit_code == 0
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
