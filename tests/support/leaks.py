"""Whether a log holds what nobody may read there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

# How every JWT begins: the base64 of `{"`, twice.
TOKEN = re.compile(r"eyJ[\w-]{6,}\.eyJ[\w-]{6,}")
KEPT = ("secret_key", "jwt_secret_key")  # files of an instance


def leaks(log: str, secrets: Iterable[str] = ()) -> list[str]:
    """The lines with a token or one of the secrets in them."""
    given = [one.strip() for one in secrets]
    assert all(len(one) >= 8 for one in given)
    return [
        line for line in log.splitlines() if TOKEN.search(line) or any(one in line for one in given)
    ]


def secrets_of(instance: Path) -> list[str]:
    """What a server has made for itself and tells nobody."""
    return [(instance / name).read_text() for name in KEPT if (instance / name).exists()]
