"""docs/hardening.md is true: the tests it names exist, and every promise names one."""

from __future__ import annotations

import ast
import re
from functools import cache

from tests.support.server import ROOT

DOCUMENT = ROOT / "docs" / "hardening.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> list[str]:
    lines = DOCUMENT.read_text().splitlines()
    heads = ("| send", "| promise")
    return [line for line in lines if line.startswith("| ") and not line.startswith(heads)]


@cache
def functions(file: str) -> set[str]:
    """The functions of a file that is there."""
    path = ROOT / file
    if not path.is_file():
        return set()
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_row_names_its_test() -> None:
    assert len(rows()) > 40
    assert [row for row in rows() if not NAMED.search(row.rpartition(" | ")[2])] == []


def test_every_test_exists() -> None:
    named = NAMED.findall(DOCUMENT.read_text())
    assert [pair for pair in named if pair[1] not in functions(pair[0])] == []
