import pytest

from gemb import profiles, records
from gemb.records import SingleTaskRecord


def a_record(**changes):
    about = records.provenance(
        profiles.get("smoke"), "enc", "lm", {"m": "h"}, "released", 1.23456789
    )
    return SingleTaskRecord(provenance=about, results=[]).model_copy(update=changes)


def test_a_record_comes_back_as_it_was_with_rounded_numbers(tmp_path):
    path = tmp_path / "r.json"
    records.write(a_record(), path)
    again = records.read(SingleTaskRecord, path)
    assert again.provenance.seconds == 1.23457
    assert again.provenance.settings["sizes"]["train"] == profiles.get("smoke").sizes.train
    assert path.read_text().endswith("}\n") and not list(tmp_path.glob(".*"))


def test_a_broken_record_is_named(tmp_path):
    path = tmp_path / "r.json"
    path.write_text('{"experiment": "x", "surprise": 1}')
    with pytest.raises(ValueError, match=r"r\.json is no SingleTaskRecord"):
        records.read(SingleTaskRecord, path)


def test_provenance_names_no_host_and_no_user():
    import getpass
    import socket

    text = a_record().model_dump_json()
    assert socket.gethostname() not in text or len(socket.gethostname()) < 4
    assert f"/{getpass.getuser()}/" not in text


def test_the_digest_ignores_the_order_of_keys():
    assert records.digest({"a": 1, "b": [2]}) == records.digest({"b": [2], "a": 1})
    assert records.digest({"a": 1}) != records.digest({"a": 2})


def test_unknown_profiles_and_settings_are_refused():
    with pytest.raises(KeyError, match="there are: smoke, local"):
        profiles.get("nonsense")
    with pytest.raises(ValueError, match="surprise"):
        profiles.Profile(name="x", purpose="y", sizes={"train": 1, "val": 1, "test": 1}, surprise=1)


def test_the_environment_selects_the_profile(monkeypatch):
    monkeypatch.setenv("GEMB_PROFILE", "smoke")
    assert profiles.get().name == "smoke"
    monkeypatch.delenv("GEMB_PROFILE")
    assert profiles.get().name == "local"
