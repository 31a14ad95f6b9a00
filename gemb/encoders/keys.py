"""Keys to paid encoders and servers: from the environment alone, and never sent in the clear."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from gemb.errors import UserError


def from_environment(name: str) -> str:
    """The key in the environment variable ``name``, without blanks around it; empty if none is.

    Raises:
        UserError: It holds what no header can carry. HTTP clients complain of that by showing the
            whole header, so it never gets there.
    """
    key = os.environ.get(name, "").strip()
    if not re.fullmatch(r"[!-~]*", key):
        raise UserError(
            f"{name} holds a blank, a line break or a character outside ASCII, which no key does: "
            "copy the key again, and nothing beside it"
        )
    return key


def is_this_machine(address: str) -> bool:
    """Whether a server's address is one of the loopback's."""
    return urlsplit(address).hostname in ("localhost", "127.0.0.1", "::1")


def refuse_in_the_clear(key: str, name: str, address: str) -> None:
    """Check that a key, which ``name`` holds, may be sent to ``address``.

    Raises:
        UserError: Plain HTTP would carry it to another machine.
    """
    if key and urlsplit(address).scheme == "http" and not is_this_machine(address):
        raise UserError(f"{address}: a key is not sent unencrypted; use https, or unset {name}")
