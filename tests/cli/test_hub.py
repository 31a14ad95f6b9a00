"""gemb push and pull through huggingface_hub itself, against a stand-in of the hub's interface.

What the stand-in cannot show: logins, quotas and large-file storage, which the real hub chooses
for some files.
"""

import os
import subprocess
import sys

import pytest
from hub import running_hub

from gemb.data.released import FOLDER

ADAPTOR = FOLDER / "adaptors" / "words"


def gemb(hub, home, *arguments, code="from gemb.cli import main; main()", token="hf_secret"):
    """One ``gemb`` command in a process of its own: the hub's address is read on import."""
    environment = {k: v for k, v in os.environ.items() if k not in ("OFFLINE", "HF_HUB_OFFLINE")}
    environment |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    environment |= {"HF_TOKEN": token} if token else {}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_adaptor_is_published_and_fetched_file_by_file(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for path in ADAPTOR.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "test_answers.csv").write_text("path,answer\nprivate.png,secret\n")
    with running_hub() as hub:
        done = gemb(hub, tmp_path / "hf", "push", folder, "me/words")
        assert done.returncode == 0, done.stderr
        assert "published as me/words" in done.stdout and hub.private["me/words"]
        names = {p.name for p in ADAPTOR.iterdir()}
        assert set(hub.repositories["me/words"]) == names  # and not the test answers
        out = tmp_path / "theirs"
        done = gemb(hub, tmp_path / "hf", "pull", "me/words", "--out", out)
        assert done.returncode == 0, done.stderr
        for name in names:
            assert (out / name).read_bytes() == (ADAPTOR / name).read_bytes()
        done = gemb(hub, tmp_path / "hf", "pull", "me/words", "--out", out)
        assert done.returncode == 1 and "is there already" in done.stderr


@pytest.mark.slow
def test_an_adaptor_is_loaded_by_its_hub_id(tmp_path):
    code = (
        "from gemb.adaptor import Adaptor; a = Adaptor.from_pretrained('me/words'); "
        "print(a.encoder, a.llm)"
    )
    with running_hub() as hub:
        hub.repositories["me/words"] = {p.name: p.read_bytes() for p in ADAPTOR.iterdir()}
        done = gemb(hub, tmp_path / "hf", code=code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["open-concat-161166de1938", "smollm2-135m-8f4e3186f27f"]


def test_what_goes_wrong_is_one_clear_message_without_the_token(tmp_path):
    with running_hub() as hub:
        refused = gemb(hub, tmp_path / "hf", "push", ADAPTOR, "me/words", token="")
        absent = gemb(hub, tmp_path / "hf", "pull", "me/nothing", "--out", tmp_path / "x")
        empty = gemb(hub, tmp_path / "hf", "push", tmp_path, "me/words")
    for done, said in (
        (refused, "hf auth login"),
        (absent, "me/nothing"),
        (empty, "no README.md, config.json"),
    ):
        assert done.returncode == 1 and said in done.stderr, done.stderr
        assert "Traceback" not in done.stderr and "hf_secret" not in done.stderr
