"""What is committed below data_manifests/released/: whole, small, and with its sources named."""

import base64
import hashlib
import io
import re

import numpy as np
import pytest
from PIL import Image

from gemb import encoders, release, tasks
from gemb.adaptor import Adaptor
from gemb.data import fetch, manifests, released
from gemb.data.splits import sample
from gemb.evaluate import Examples, predict
from gemb.experiments import esc50_transfer, own_data
from gemb.llm import FrozenLLM
from gemb.metrics import exact_match


@pytest.fixture(scope="module")
def llm():
    return FrozenLLM.load()


def test_every_task_is_released_with_a_vector_for_each_item():
    for task in tasks.TASKS:
        items = released.items(task)
        known = released.vectors(encoders.load("open-concat").identity().slug)(
            [i.media.key for i in items]
        )
        assert len(items) >= 250
        assert set(known) == {i.media.key for i in items}


def test_objects_and_sounds_are_released_in_the_spaces_that_transfer_is_tried_in():
    for name in (*esc50_transfer.SHARED, esc50_transfer.DISJOINT):
        known = released.vectors(encoders.load(name).identity().slug)
        for filed in (esc50_transfer.PICTURES, esc50_transfer.SOUNDS):
            items = released.items(filed)
            assert set(known([i.media.key for i in items])) == {i.media.key for i in items}


def test_two_tasks_share_sounds_so_that_the_prompt_alone_tells_them_apart():
    words = {i.media.key: i for i in released.items("words")}
    shared = [i for i in released.items("gender") if i.media.key in words]
    assert len(shared) >= 40
    assert all(i.answer in ("male", "female") for i in shared)
    assert tasks.get("words").prompt != tasks.get("gender").prompt


def test_the_released_files_are_small_and_name_their_sources():
    sizes = {p: p.stat().st_size for p in released.FOLDER.rglob("*") if p.is_file()}
    assert sum(s for p, s in sizes.items() if p.suffix == ".parquet") <= 20e6
    assert sum(s for p, s in sizes.items() if "adaptors" in p.parts) <= 10e6
    text = (manifests.MANIFESTS / "LICENSES.md").read_text(encoding="utf-8")
    assert text == release.licences(), "run `gemb release`: the page is older than the manifests"
    for path in released.samples().values():
        assert path.name in text and path.exists()


def test_the_vectors_are_of_the_manifests_as_they_are():
    """A manifest that has changed since means that the released files must be made again."""
    for about in released.headers().values():
        for name, known in about["manifests"].items():
            assert manifests.get(name).content_hash.startswith(known), name


@pytest.mark.parametrize("task", release.ADAPTORS)
def test_released_adaptors_answer_the_released_test_items(task, llm):
    slug = encoders.load("open-concat").identity().slug
    adaptor = Adaptor.from_pretrained(
        released.FOLDER / "adaptors" / task, encoder=slug, llm=llm.identity().slug
    )
    known = [i for i in released.items(task) if i.split == "test" and i.subset == "main"]
    items = sample(known, 40)
    found = released.vectors(slug)([i.media.key for i in items])
    vectors = np.concatenate([found[i.media.key] for i in items])
    prompt = llm.prompt(tasks.get(task).prompt)
    asked = Examples(vectors, [prompt] * len(items), [i.answer for i in items])
    given = predict(adaptor.float(), llm, asked)
    right = np.mean([exact_match(a.text, i.answer) for a, i in zip(given, items, strict=True)])
    majority = 1 / len({i.answer for i in released.items(task)})
    assert right > min(0.5, 10 * majority), "far above chance: it was trained on such vectors"


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_the_vectors_are_made_again_from_raw_data():
    wanted = [*(t.dataset for t in tasks.TASKS.values()), esc50_transfer.SOUNDS]
    wanted += ["minilm", "imagenet-names"]
    absent = [name for name in wanted if not fetch.is_present(name)]
    if absent:
        pytest.skip(f"not in the cache: {', '.join(absent)}")
    lines = list(release.rebuild())
    # the tasks', and in three spaces section 3's sounds, in two of them its pictures
    assert len(lines) == len(tasks.TASKS) + 3 + 2
    for line in lines:
        assert ": 0 of" not in line, line


def test_a_released_adaptor_says_what_it_is_and_is_asked_without_more(llm):
    shown = {
        item.partition("/")[0]: path
        for item, path in released.samples().items()
        if item.startswith(("spoken-words", "fashion-mnist"))
    }
    for task, dataset in (("words", "spoken-words"), ("clothing", "fashion-mnist")):
        folder = released.FOLDER / "adaptors" / task
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert tasks.get(task).title in card and "test items" in card and "licence" in card
        ((_, answer),) = own_data.ask(str(folder), [str(shown[dataset])])
        assert answer.text.strip(". ").casefold() in manifests.get(dataset).classes


def test_every_medium_in_a_committed_notebook_is_a_released_sample():
    """Whose licences LICENSES.md names. Of pictures those of a sample's size: figures are wider."""
    known = {hashlib.sha256(p.read_bytes()).hexdigest() for p in released.samples().values()}
    found = 0
    for path in sorted((manifests.MANIFESTS.parent / "notebooks").glob("*.ipynb")):
        text = path.read_text(encoding="utf-8")
        for kind, data in re.findall(r"data:(audio/[a-z]+|image/[a-z]+);base64,([\w+/=]+)", text):
            medium = base64.b64decode(data)
            if kind.startswith("image") and not _small(medium):
                continue  # a figure
            assert hashlib.sha256(medium).hexdigest() in known, (path.name, kind)
            found += 1
    assert found >= 15


def _small(image: bytes) -> bool:
    return max(Image.open(io.BytesIO(image)).size) <= 112
