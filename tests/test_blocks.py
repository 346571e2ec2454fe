"""Every code block of the documents is run, or held against what it shows."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tests.support.blocks import EXCUSED, FENCE, TAKEN, Block, Page
from tests.support.server import ROOT

# Folders that begin with a dot are the tools' own, but for this one.
SHOWN = ".github"


def pages() -> list[str]:
    """Every document of the tree, by its path in it."""
    folders = [one for one in ROOT.iterdir() if one.is_dir()]
    found = [*ROOT.glob("*.md")]
    for folder in folders:
        if folder.name == SHOWN or not folder.name.startswith("."):
            found += folder.rglob("*.md")
    inside = [path.relative_to(ROOT) for path in found]
    return sorted(
        str(path) for path in inside if not {"node_modules", "site-packages"} & {*path.parts}
    )


PAGES = [Page(name) for name in pages()]
HERE = Path(__file__).parent
# The tests that take blocks.
TAKES = re.compile(r"from tests.support(\.blocks)? import .*(Page|blocks)")
TAKERS = [path.stem for path in sorted(HERE.glob("test_*.py")) if TAKES.search(path.read_text())]
BLOCKS: list[Block] = [block for page in PAGES for block in page.blocks]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_is_in_blocks(page: Page) -> None:
    """Between fences that begin their lines: what is indented, or between others, nobody finds."""
    rest = FENCE.sub("", page.text)
    assert re.findall(r"^(?: {4}|\t| *(?:```|~~~)|.*<pre).*", rest, re.M) == []


@pytest.mark.parametrize("name", TAKERS)
def test_what_is_taken_is_used(name: str) -> None:
    text = (HERE / f"{name}.py").read_text()
    for names in re.findall(r"^([A-Z][A-Z, _]*) = .*\.(?:take|take_all|excuse)\(", text, re.M):
        for taken in names.split(", "):
            assert len(re.findall(rf"\b{taken}\b", text)) > 1, taken


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
