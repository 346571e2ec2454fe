"""Keyset pages: a cursor says where the last page ended, so page 10 000 costs what page 1 does."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Integer, tuple_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from task_app import jsonio
from task_app.errors import invalid
from task_app.schemas.fields import MAX_ID


@dataclass(frozen=True)
class Page:
    """Some items in order; `cursor` asks for those after them, None when there are none."""

    items: list[dict[str, Any]]
    cursor: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)  # header name -> value


class _Id(FunctionElement[int]):
    """An id a row is compared with.

    SQLite keeps the row's id at the end of every index, but compares `(key, id) > (?, ?)` with
    the two together only if the index leaves the id to it (see the first migration) and the
    value says how it is collated.  Otherwise it takes the key alone and reads all that share it:
    a third of the tasks for a priority.
    """

    inherit_cache = True
    name = "id"
    type = Integer()


@compiles(_Id)
def _plain(element: _Id, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(_Id, "sqlite")
def _collated(element: _Id, compiler: SQLCompiler, **options: Any) -> str:
    return f"{_plain(element, compiler, **options)} COLLATE BINARY"


@dataclass(frozen=True)
class Order:
    """Sorted by `key`, then by `id`, both the same way.  `name` is how a client asks for it."""

    name: str
    key: ColumnElement[Any]
    id: ColumnElement[int]
    descending: bool = False

    def clauses(self) -> list[ColumnElement[Any]]:
        columns = [self.key, self.id] if self.key is not self.id else [self.id]
        return [column.desc() if self.descending else column.asc() for column in columns]

    def after(self, cursor: str | None) -> list[ColumnElement[bool]]:
        """The condition that leaves what comes after the cursor.  Raises 400 for a bad one."""
        return [] if cursor is None else [self.beyond(*self.position(cursor))]

    def beyond(self, key: Any, row_id: Any) -> ColumnElement[bool]:
        """The condition that leaves what comes after the row with this key and id."""
        if self.key is self.id:
            return self.id < row_id if self.descending else self.id > row_id
        here, there = tuple_(self.key, self.id), tuple_(key, _Id(row_id))
        return here < there if self.descending else here > there

    def until(self, key: Any, row_id: Any) -> ColumnElement[bool]:
        """The condition that leaves what comes up to and with the row with this key and id."""
        if self.key is self.id:
            return self.id >= row_id if self.descending else self.id <= row_id
        here, there = tuple_(self.key, self.id), tuple_(key, _Id(row_id))
        return here >= there if self.descending else here <= there

    def cursor(self, row: Sequence[Any]) -> str:
        """Where this row stands; its id comes first in it and its key last."""
        text = jsonio.dumps_bytes([self.name, row[-1], row[0]])
        return base64.urlsafe_b64encode(text).decode().rstrip("=")

    def position(self, cursor: str) -> tuple[Any, int]:
        """The key and the id of the row a cursor speaks of.  Raises 400."""
        try:
            text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
            name, key, row_id = jsonio.loads(text)
            numeric = isinstance(self.key.type, Integer)
            if name != self.name or type(row_id) is not int or type(key) is bool:
                raise ValueError("a cursor of another list")
            if not isinstance(key, int if numeric else str):
                raise ValueError("a cursor of another list")
            if "\x00" in str(key):
                raise ValueError("no database keeps this")
            if not abs(row_id) <= MAX_ID or (isinstance(key, int) and not abs(key) <= MAX_ID):
                raise ValueError("out of range")
        except (ValueError, TypeError) as error:
            message = "Must be the cursor of a page with the same sort."
            raise invalid({"cursor": [message]}) from error
        return key, row_id


def cut(
    rows: Sequence[Sequence[Any]], limit: int, order: Order
) -> tuple[Sequence[Sequence[Any]], str | None]:
    """The first `limit` of `rows` (one more was asked for), and the cursor if there was more."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], order.cursor(rows[limit - 1])
