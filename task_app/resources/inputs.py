"""JSON schemas of what may come in, made by apispec from the marshmallow schemas.

Each of our own fields says exactly what it takes.  Vocabularies list their canonical words only:
the other spellings are named in the description, so that readers and generated clients see one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apispec.ext.marshmallow import MarshmallowPlugin, OpenAPIConverter
from apispec.ext.marshmallow.common import resolve_schema_instance
from marshmallow import Schema, fields
from marshmallow.validate import Email, Regexp

from task_app.schemas.fields import MAX_ID, Day, Flag, Id, Input, Moment, Number, Text, Word
from task_app.schemas.task import Bulk, BulkOperation, NewTask, TaskChange

# Strings that stand for a boolean; JSON's own 0 and 1 do too.
_FLAG_WORDS = ["true", "false", "True", "False", "1", "0", 1, 0]
_NO_NUL = "[^\\u0000]"


def _text(field: Text) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "string", "minLength": field.low, "maxLength": field.high}
    # White space around a text does not count, so there must be more than that.
    found["pattern"] = f"^{_NO_NUL}*[^\\u0000\\s]{_NO_NUL}*$" if field.strip else f"^{_NO_NUL}*$"
    for validator in field.validators:
        if isinstance(validator, Regexp) and not isinstance(validator, Email):
            found["allOf"] = [{"pattern": validator.regex.pattern}]
        if isinstance(validator, Email):
            found["format"] = "email"
    return found


def _id(field: Id) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": MAX_ID}


def _number(field: Number) -> dict[str, Any]:
    return {"type": "integer", "minimum": field.low, "maximum": field.high}


def _flag(field: Flag) -> dict[str, Any]:
    return {"anyOf": [{"type": "boolean"}, {"enum": _FLAG_WORDS}]}


def _day(field: Day) -> dict[str, Any]:
    return {"type": "string", "format": "date"}


def _moment(field: Moment) -> dict[str, Any]:
    return {"type": "string", "format": "date-time"}


def _word(field: Word) -> dict[str, Any]:
    words = list(dict.fromkeys(field.spellings.values()))
    others = ", ".join(f"`{word}`" for word in field.spellings if word not in words)
    text = "Case, spaces, dashes and underscores do not count"
    text += f"; also understood: {others}." if others else "."
    return {"type": "string", "enum": words, "description": text}


# By the class of the field.
_FIELDS: Mapping[type, Any] = {
    Text: _text,
    Id: _id,
    Number: _number,
    Flag: _flag,
    Day: _day,
    Moment: _moment,
    Word: _word,
}


# What each operation of a bulk request takes as its data, and cannot do without.
_OPERATIONS = (
    ("create", NewTask, ("data",)),
    ("update", TaskChange, ("id",)),
    ("delete", None, ("id",)),
)


class Converter(OpenAPIConverter):
    """apispec's converter with our fields, and with what our schemas know beyond their fields."""

    def field2property(self, field: fields.Field) -> dict[str, Any]:
        describe = _FIELDS.get(type(field))
        if describe is None:
            return super().field2property(field)
        found = describe(field)
        found |= {**self.field2default(field), **self.metadata2properties(field)}
        return {**found, "type": [found["type"], "null"]} if field.allow_none else found

    def schema2jsonschema(self, schema: Any) -> dict[str, Any]:
        found = super().schema2jsonschema(schema)
        instance = resolve_schema_instance(schema)
        found["description"] = _description(instance)
        found.update(getattr(instance, "ALSO", {}))
        if isinstance(instance, Bulk):
            found["properties"]["operations"]["items"] = self._operation()
        return found

    def _operation(self) -> dict[str, Any]:
        """One operation of a bulk request: `data` is what its command would take by itself."""
        found = self.schema2jsonschema(BulkOperation())
        kinds = []
        for word, data, required in _OPERATIONS:
            schema = self.resolve_nested_schema(data) if data else {"maxProperties": 0}
            own = {"op": {"const": word}, "data": {"type": "object", **schema}}
            kinds.append(
                {
                    **found,
                    "properties": {**found["properties"], **own},
                    "required": ["op", *required],
                }
            )
        return {"oneOf": kinds}


class Plugin(MarshmallowPlugin):
    Converter = Converter


def _description(schema: Schema) -> str:
    """The docstring, other names of its fields, and what it ignores."""
    lines = [one_line(type(schema).__doc__)]
    if isinstance(schema, Input):
        names: dict[str, list[str]] = {}
        for alias, name in schema.ALIASES.items():
            if name in schema.fields:
                names.setdefault(name, []).append(f"`{alias}`")
        if names:
            told = "; ".join(f"`{name}`: {', '.join(also)}" for name, also in names.items())
            lines.append(f"Other names that are understood: {told}.")
        if schema.READ_ONLY:
            ignored = ", ".join(f"`{name}`" for name in sorted(schema.READ_ONLY))
            lines.append(f"Ignored when sent back: {ignored}.")
    return "\n\n".join(lines)


def one_line(text: str | None) -> str:
    return " ".join((text or "").split())
