"""Keys to paid encoders and servers: from the environment alone."""

from __future__ import annotations

import os
import re

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
