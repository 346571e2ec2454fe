"""JSON in and out: fast when writing, strict when reading.

Reading refuses what two parsers could take for different things, or what a database could not
keep: duplicate keys, NaN and infinities, lone surrogates, bad UTF-8, and nesting deep enough to
exhaust a stack (orjson's bound is 1024).
"""

from __future__ import annotations

import json
from typing import Any

import orjson

DEPTH = 100


class JsonError(ValueError):
    """Text that is not JSON, or not JSON this server takes."""


def dumps_bytes(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)


def dumps(value: Any, **_: Any) -> str:
    """Compact text; takes and ignores the keywords that python-socketio passes to `json`."""
    return dumps_bytes(value).decode()


def loads(text: str | bytes, **_: Any) -> Any:
    """The value of `text`.  Raises `JsonError` (a ValueError)."""
    try:
        orjson.loads(text)
        # A second reading, because orjson silently keeps the last of two equal keys.
        value = _strict.decode(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError) as error:
        raise JsonError(str(error) or "nested too deep") from error
    if (text.count("[") + text.count("{") if isinstance(text, str) else _openings(text)) > DEPTH:
        _check_depth(value, 0)
    return value


def _openings(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _check_depth(value: Any, depth: int) -> None:
    """What comes in must be able to go out again inside an envelope (orjson writes 254 levels)."""
    if depth > DEPTH:
        raise JsonError(f"nested deeper than {DEPTH}")
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        _check_depth(part, depth + 1)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise JsonError("an object names the same key twice")
    return found


_strict = json.JSONDecoder(object_pairs_hook=_unique)
loads_trusted = orjson.loads  # for what this server wrote itself
