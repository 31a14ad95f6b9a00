"""What a profile may be, and what the profile `paper` may cost."""

import nbformat
import pytest
from nbformat import v4

from gemb import paper, profiles, tasks
from gemb.data import manifests
from gemb.encoders import prices
from gemb.errors import UserError

MODEL = "gemini-embedding-2"


def dollars(dataset: str, items: int) -> float:
    """Of so many items of a dataset."""
    seconds = manifests.get(dataset).mean_seconds
    of = prices.Amount(images=items) if seconds is None else prices.Amount(seconds=items * seconds)
    price = prices.dollars(MODEL, of)
    assert price
    return price


def test_paper_stays_below_its_price() -> None:
    """At most: the random split may sample none of the fixed split's items, nothing is shared."""
    paper = profiles.get("paper")
    counts: dict[str, int] = {}
    for name in paper.tasks:
        dataset = tasks.get(name, paper.source).dataset
        sizes = paper.sizes_of(name)
        drawn = len(paper.protocols) * (sizes.train + sizes.val + sizes.test)
        # gender and emotion are asked of the same recordings
        source = "ravdess" if dataset.startswith("ravdess") else dataset
        counts[source] = min(drawn, manifests.get(dataset).items or drawn)
    sizes = paper.sentences
    # three views: whole, and in chunks of two seconds and of one
    counts["librispeech"] = 3 * (sizes.train + sizes.val + sizes.test)
    counts["esc-50"] = manifests.get("esc-50").items or 0
    counts["celeba"] = manifests.get("celeba").items or 0
    cost = {name: dollars(name, count) for name, count in counts.items()}
    assert len(cost) == 10 and sum(cost.values()) < profiles.PAPER_DOLLARS, cost


def test_the_studys_adaptor_is_that_of_the_study() -> None:
    training = profiles.get("paper").training
    assert training.hidden == 3072 and not training.standardise
    assert (training.noise, training.output_scale, training.warm_start) == (0, 1, 0)


@pytest.mark.parametrize("name", ["paper", "paper-smoke"])
def test_the_study_as_published_reads_no_stand_in(name: str) -> None:
    profile = profiles.get(name)
    assert profile.source == "official"
    for task in profile.tasks:
        known = tasks.get(task, profile.source)
        assert known.stand_in == ""
        assert manifests.get(known.dataset).official or known.dataset == "fashion-mnist"


def test_a_file_says_what_differs_from_a_profile(tmp_path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "from: smoke\nencoder: open-audio:/models/m\ntasks: [words]\n"
        "training: {epochs: 2}\nsizes_by_task: {words: {train: 9, val: 3, test: 3}}\n"
    )
    found, smoke = profiles.get(str(mine)), profiles.get("smoke")
    assert (found.name, found.encoder, found.tasks) == ("mine", "open-audio:/models/m", ("words",))
    assert found.training == smoke.training.model_copy(update={"epochs": 2})
    assert found.sizes_of("words").train == 9 and found.sizes == smoke.sizes
    assert found.multitask == smoke.multitask and found.purpose == "as mine.yaml says"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("mine.yaml", "encodr: minilm", "mine.yaml is no profile: .*encodr"),
        ("mine.yaml", "training: {epochs: none}", "training.epochs"),
        ("mine.yaml", "from: nonsense", "no profile 'nonsense'; there are: smoke"),
        ("mine.yaml", "- a list", "is no profile"),
        ("mine.yaml", "a: [", "is no profile"),
        ("study.yaml", "from: smoke", "study is a profile already; give the file another name"),
        ("mine.yaml", None, "mine.yaml is no profile: .*No such file"),
    ],
)
def test_a_file_that_is_no_profile_is_refused(name, content, said, tmp_path) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=f"(?s){said}"):
        profiles.get(str(tmp_path / name))


def test_a_notebook_finds_the_file_wherever_it_runs(tmp_path, monkeypatch) -> None:
    (tmp_path / "mine.yaml").write_text("from: smoke\nllm: another")
    cell = "from gemb import profiles; print(profiles.get().name, profiles.get().llm)"
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(cell)]), tmp_path / "n.ipynb")
    monkeypatch.chdir(tmp_path)
    done = paper.execute(tmp_path / "n.ipynb", tmp_path / "out.ipynb", "mine.yaml")
    assert nbformat.read(done, 4).cells[0].outputs[0].text == "mine another\n"
