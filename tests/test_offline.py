"""OFFLINE=1 touches no network: proved by a whole run that could not."""

import os
import subprocess
import sys

import pytest

# Whatever the run does, in this process, ends at the first address that is not this machine.
GUARDED = """
import sys

def guard(event, arguments):
    if event == "socket.getaddrinfo" and arguments[0] not in (None, "localhost", "127.0.0.1"):
        raise SystemExit(f"looked up {arguments[0]}")
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        if arguments[1][0] not in ("127.0.0.1", "::1"):
            raise SystemExit(f"connected to {arguments[1][0]}")
    if event == "subprocess.Popen" and str(arguments[0]).rpartition("/")[2] in ("pip", "apt-get"):
        raise SystemExit(f"called {arguments[0]}")

sys.addaudithook(guard)
from gemb import profiles
from gemb.experiments import single_task
record = single_task.run(profiles.get("smoke"), say=lambda text: None)
print("answered", len(record.results))
"""


@pytest.mark.slow
def test_a_whole_run_touches_no_network():
    done = subprocess.run(
        [sys.executable, "-c", GUARDED],
        env={**os.environ, "OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "answered 2" in done.stdout
    # and the guard would have seen it
    seen = subprocess.run(
        [sys.executable, "-c", GUARDED.partition("from gemb")[0]
         + "import socket; socket.create_connection(('192.0.2.1', 80), 0.1)"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "192.0.2.1" in seen.stderr
