"""OFFLINE=1 touches no network: proved by a whole run that could not."""

import os
import subprocess
import sys

import pytest

# Whatever the run does, in this process, ends at the first address that is not this machine.
GUARDED = """
import os
import sys

def guard(event, arguments):
    if event == "socket.getaddrinfo" and arguments[0] not in (None, "localhost", "127.0.0.1"):
        raise SystemExit(f"looked up {arguments[0]}")
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        if arguments[1][0] not in ("127.0.0.1", "::1"):
            raise SystemExit(f"connected to {arguments[1][0]}")
    if event == "subprocess.Popen":
        program, words = arguments[0], arguments[1]
        named = [program, *([words] if isinstance(words, (str, bytes)) else words)]
        if {os.path.basename(os.fsdecode(n)) for n in named} & {"pip", "apt-get"}:  # or -m pip
            raise SystemExit(f"called {words}")

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


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        ("import socket; socket.create_connection(('192.0.2.1', 80), 0.1)", "192.0.2.1"),
        ("import subprocess; subprocess.run([sys.executable, '-m', 'pip', 'list'])", "called"),
        ("import subprocess; subprocess.run(['/usr/bin/apt-get', 'update'])", "called"),
    ],
)
def test_the_guard_would_have_seen_it(attempt, said):
    guard = GUARDED.partition("from gemb")[0]
    seen = subprocess.run(
        [sys.executable, "-c", guard + attempt], capture_output=True, text=True, check=False
    )
    assert said in seen.stderr and seen.returncode == 1
