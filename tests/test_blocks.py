"""Every code block of the documents is run, or held against what it shows."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tests.support.blocks import EXCUSED, TAKEN, Block, Page
from tests.support.server import ROOT

FOLDERS = ("bench", "deploy", "docs", "examples", "tools")
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.md"))),
]
HERE = Path(__file__).parent
# The tests that take blocks.
TAKES = re.compile(r"from tests.support(\.blocks)? import .*(Page|blocks)")
TAKERS = [path.stem for path in sorted(HERE.glob("test_*.py")) if TAKES.search(path.read_text())]
BLOCKS: list[Block] = [
    block
    for path in PAGES
    if not {"node_modules", ".venv"} & set(path.parts)
    for block in Page(str(path.relative_to(ROOT))).blocks
]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page}:{block.line}")
def test_a_test_has_it(block: Block) -> None:
    """Else: have one take it (`tests/support/blocks.py`), or excuse it where it cannot run."""
    for name in TAKERS:
        importlib.import_module(f"tests.{name}")
    assert block in TAKEN or block in EXCUSED, block.code


def test_what_is_excused_needs_another_machine() -> None:
    """By its programs, which the suite has not."""
    for name in TAKERS:
        importlib.import_module(f"tests.{name}")
    for block, why in EXCUSED.items():
        assert block not in TAKEN
        assert {"docker", "systemctl"} & set(block.code.split()), why
