"""Types of columns that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, types

# SQLite's row id must be called INTEGER.
Seq = BigInteger().with_variant(Integer, "sqlite")
# Text sorts by code point and folds the case of ASCII alone, as SQLite does by itself, whatever
# locale PostgreSQL was made with.
BY_CODE_POINT = "C"


def String(length: int) -> types.String:
    """Text of at most so many characters."""
    return types.String(length).with_variant(
        types.String(length, collation=BY_CODE_POINT), "postgresql"
    )


def Text() -> types.Text:
    """Text of any length."""
    return types.Text().with_variant(types.Text(collation=BY_CODE_POINT), "postgresql")
