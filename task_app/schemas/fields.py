"""Fields that more than one schema uses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timezone
from functools import cached_property
from typing import Any

from marshmallow import Schema, ValidationError, fields, missing, pre_load, validates_schema

from task_app import jsonio

MAX_ID = 2**31 - 1  # PostgreSQL's integer
MAX_SEQ = 2**63 - 1
_NOT_STORED = re.compile("[\x00\ud800-\udfff]")
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class Text(fields.String):
    """A string of `low` to `high` characters once the white space around it is gone.

    `strip=False` keeps the white space (passwords, descriptions).  NUL is refused because
    PostgreSQL cannot keep it, lone surrogates because nothing can send them on.
    """

    def __init__(self, low: int, high: int, *, strip: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.low, self.high, self.strip = low, high, strip

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        text = value.strip() if self.strip else value
        if not self.low <= len(text) <= self.high:
            raise self.make_error("length", low=self.low, high=self.high)
        if _NOT_STORED.search(text):
            raise self.make_error("characters")
        return text

    default_error_messages = {  # noqa: RUF012 - marshmallow merges these over the class tree
        "length": "Must be {low} to {high} characters long.",
        "characters": "Contains a character that cannot be stored.",
    }


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 7.0 is the whole number 7, however a client writes it."""
    return int(value) if type(value) is float and value.is_integer() else value


class Id(fields.Field[int]):
    """A positive whole number, or its digits (as query strings carry it)."""

    default_error_messages = {"invalid": "Must be a positive whole number."}  # noqa: RUF012

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
            value = int(value)
        value = _whole(value)
        if type(value) is not int or not 1 <= value <= MAX_ID:
            raise self.make_error("invalid")
        return value


def writable(value: Any) -> None:
    """Validator of what is passed on as it came: JSON may hold numbers that cannot be written
    again (orjson has 64 bits)."""
    try:
        jsonio.dumps_bytes(value)
    except TypeError as error:
        raise ValidationError("Holds a number that 64 bits do not.") from error


class Number(fields.Field[int]):
    """A whole number in bounds, or its digits."""

    default_error_messages = {"invalid": "Must be a whole number from {low} to {high}."}  # noqa: RUF012

    def __init__(self, low: int, high: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.low, self.high = low, high

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
            value = int(value)
        value = _whole(value)
        if type(value) is not int or not self.low <= value <= self.high:
            raise self.make_error("invalid", low=self.low, high=self.high)
        return value


class Flag(fields.Boolean):
    """true or false; 1, 0 and the words are understood, nothing else is."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            truthy={True, "true", "True", "1"}, falsy={False, "false", "False", "0"}, **kwargs
        )


class Day(fields.Field[str]):
    """A calendar day as `YYYY-MM-DD`, kept as that text."""

    default_error_messages = {"invalid": "Must be a date as YYYY-MM-DD."}  # noqa: RUF012

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        try:
            if not isinstance(value, str) or not _ISO_DATE.fullmatch(value):
                raise ValueError
            date.fromisoformat(value)
        except ValueError as error:
            raise self.make_error("invalid") from error
        return value


class Moment(fields.Field[str]):
    """A time with its offset (ISO 8601), kept as the tables keep times: UTC text."""

    default_error_messages = {"invalid": "Must be a time like 2026-01-31T09:30:00Z."}  # noqa: RUF012

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        try:
            # A "+" that was not escaped arrives in a query string as a space.
            moment = datetime.fromisoformat(value.replace(" ", "+").replace("Z", "+00:00"))
            if moment.tzinfo is None:
                raise ValueError
            return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        except (ValueError, AttributeError, OverflowError) as error:
            raise self.make_error("invalid") from error


class Word(fields.Field[str]):
    """One of a vocabulary in any of its spellings: case, spaces, dashes and underscores do not
    count.  `spellings` maps folded spellings to the one that is kept."""

    default_error_messages = {"invalid": "Must be one of: {choices}."}  # noqa: RUF012

    def __init__(self, spellings: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spellings = spellings
        self.choices = ", ".join(dict.fromkeys(spellings.values()))

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if isinstance(value, str) and len(value) <= 32:
            folded = re.sub(r"[\s_-]+", "", value).lower()
            if folded in self.spellings:
                return self.spellings[folded]
        raise self.make_error("invalid", choices=self.choices)


# What stands beside a thing in the event that tells of it (`dialects.py`): a client that keeps what
# events bring may send it back.
ENVELOPE = frozenset(
    {"type", "seq", "epoch", "actor_id", "changes", "at", "request_id", "task", "task_id"}
)


class Input(Schema):
    """A schema that knows other names of its fields and what clients send back unasked.

    `ALIASES` maps a name in use by some client family to ours; `READ_ONLY` is dropped.  Any
    other unknown name is an error that names it (marshmallow's default).  `ALSO` is what a JSON
    schema must say beyond the fields.  `REPEATED` inputs are words that clients send again and
    again: what they mean is remembered.
    """

    ALIASES: Mapping[str, str] = {}
    READ_ONLY: frozenset[str] = frozenset()
    ALSO: Mapping[str, Any] = {}
    REPEATED = False

    def load(self, data: Any, **options: Any) -> Any:
        """As marshmallow does it.  What is right needs less than its way of finding all that is
        not, which was a tenth of a `POST /tasks`."""
        if not options:
            try:
                return self._load_right(data)
            except ValidationError:
                pass  # once more, for what to tell
        return super().load(data, **options)

    def _load_right(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Raises `ValidationError` for whatever is wrong."""
        given, found, known = self.translate(data), {}, 0
        for name, field, always in self._plan:
            if name in given:
                found[name] = field.deserialize(given[name], name, given)
                known += 1
            elif always:
                found[name] = field.deserialize(missing, name, given)
        if known < len(given):
            raise ValidationError("Unknown fields.")
        self.check(found)
        return found

    @cached_property
    def _plan(self) -> list[tuple[str, fields.Field[Any], bool]]:
        """The fields by name, and whether something is to be done without a value."""
        return [
            (name, field, field.required or field.load_default is not missing)
            for name, field in self.load_fields.items()
        ]

    def check(self, data: Mapping[str, Any]) -> None:
        """Raises `ValidationError` for fields that do not go together."""

    @validates_schema
    def _check(self, data: Mapping[str, Any], **_: Any) -> None:
        self.check(data)

    @pre_load
    def translate(self, payload: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        aliases, read_only = self.ALIASES, self.READ_ONLY
        known: dict[str, Any] = {}
        for key, value in payload.items():
            if key in read_only:
                continue
            name = aliases.get(key, key)
            if name not in known or key == name:  # our own name wins over another for it
                known[name] = value
        return known
