"""How the text of a setting becomes its value.

Each takes the text and raises ValueError, whose words go on from "… cannot be used: ".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

SECRET_BYTES = 32
# Values printed in documents and tutorials: they protect nothing.
EXAMPLE_SECRET = re.compile(
    r"your[-_ ].*(secret|key)|change[-_ ]?(me|this|in)|example|^(?P<one>.)(?P=one)*$", re.I
)
# Host and port in what follows `postgresql://` and perhaps a login.
_PLACE = re.compile(r"(\[[^]]*\]|[^:/?]*)(:\d*)?([/?]|$)")


def text(value: str) -> str:
    return value


def choice(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.lower() not in allowed:
            raise ValueError(f"use one of {', '.join(allowed)}")
        return value.lower()

    return parse


def integer(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        number = int(value) if re.fullmatch(r"-?\d{1,9}", value) else None
        if number is None or not low <= number <= high:
            raise ValueError(f"use a whole number from {low} to {high}")
        return number

    return parse


def flag(value: str) -> bool:
    if value.lower() in ("1", "true", "yes", "on"):
        return True
    if value.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError("use 1 or 0")


def words(*allowed: str) -> Callable[[str], tuple[str, ...]]:
    def parse(value: str) -> tuple[str, ...]:
        found = tuple(word.strip() for word in value.split(",") if word.strip())
        unknown = [word for word in found if allowed and word not in allowed]
        if unknown:
            raise ValueError(f"use a comma-separated list of {', '.join(allowed)}")
        return found

    return parse


def networks(value: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(word) for word in words()(value))
    except ValueError as error:
        raise ValueError("use addresses or networks like 10.0.0.0/8, comma-separated") from error


def secret(value: str) -> str:
    if len(value.encode()) < SECRET_BYTES:
        raise ValueError(
            f"it is shorter than {SECRET_BYTES} bytes; make one with "
            '`python -c "import secrets; print(secrets.token_urlsafe(48))"`, or leave it out '
            "and one is generated"
        )
    if EXAMPLE_SECRET.search(value):
        raise ValueError("it is an example from a document; make one of your own")
    return value


def password(value: str) -> str:
    if not 8 <= len(value) <= 128:
        raise ValueError("use 8 to 128 characters")
    return value


def email(value: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", value) or len(value) > 254:
        raise ValueError("use an address like admin@example.com")
    return value


def key_set(value: str) -> str:
    if not value.startswith(("http://", "https://")) and not Path(value).is_file():
        raise ValueError("it is neither a URL nor a file that is there")
    return value


def endpoint(value: str) -> str:
    if not re.match(r"https?://[^/]", value):
        raise ValueError("write it like http://localhost:4318")
    return value


def sqlite_file(rest: str) -> str:
    """The path in what follows `sqlite://`: three slashes before a relative one, four before an
    absolute one."""
    return rest[1:] if rest.startswith("//") else rest.lstrip("/")


def database(value: str) -> str:
    scheme, _, rest = value.partition("://")
    if scheme.startswith("sqlite"):
        if sqlite_file(rest) in ("", ":memory:"):
            raise ValueError("it names no SQLite file; write sqlite:///tasks.db")
    elif scheme not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise ValueError(f"it starts with {scheme!r}; use sqlite:///… or postgresql://…")
    elif not _PLACE.match(rest.rpartition("@")[2]):
        raise ValueError(
            "its host or port cannot be read; write it like postgresql://me:password@db:5432/tasks"
        )
    return value


def redis(value: str) -> str:
    parts = urlsplit(value)
    with suppress(ValueError):  # of the port
        if parts.scheme in ("redis", "rediss") and parts.hostname and parts.port != 0:
            return value
    raise ValueError("write it like redis://localhost:6379/0")


def origins(value: str) -> tuple[str, ...]:
    origins = words()(value)
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/"):
            raise ValueError(f"{origin!r} is not an origin; write it like https://app.example.com")
    return tuple(origin.rstrip("/") for origin in origins)
