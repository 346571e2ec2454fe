"""Whether a log holds what nobody may read there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

# How every JWT begins: the base64 of `{"`, twice.
TOKEN = re.compile(r"eyJ[\w-]{6,}\.eyJ[\w-]{6,}")
# A ticket looks like chance: by the name it has in a URL, in JSON or in a dictionary.
TICKET = re.compile(r"ticket\W{1,4}[\w-]{32}(?![\w-])")
# Of e-mail; each run of letters is looked at once, however long.
ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}", re.IGNORECASE)
# The first start tells the terminal, beside its password, whose account it has made.
TERMINAL = "  First start: the admin is "
KEPT = ("secret_key", "jwt_secret_key")  # files of an instance

# Those that clients of this process were given: found without their name, too.
tickets: list[str] = []


def leaks(log: str, secrets: Iterable[str] = ()) -> list[str]:
    """The lines with a token, a ticket, an e-mail address or one of the secrets in them."""
    given = [one.strip() for one in secrets] + tickets
    assert all(len(one) >= 8 for one in given)
    return [
        line
        for line in log.splitlines()
        if TOKEN.search(line)
        or TICKET.search(line)
        or (ADDRESS.search(line) and not line.startswith(TERMINAL))
        or any(one in line for one in given)
    ]


def secrets_of(instance: Path) -> list[str]:
    """What a server has made for itself and tells nobody."""
    return [(instance / name).read_text() for name in KEPT if (instance / name).exists()]
