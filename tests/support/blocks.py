"""The code blocks of the documents.

A test module takes each block that it runs, or compares with the truth, when it is imported;
`tests/test_blocks.py` finds those that nobody has taken.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.support.server import ROOT

FENCE = re.compile(r"^(`{3,})(\w*)[^\n]*\n(.*?)^\1\s*?$", re.S | re.M)


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    code: str


TAKEN: set[Block] = set()
# Blocks that cannot be run here, each with why.
EXCUSED: dict[Block, str] = {}


class Page:
    """A document, by its path from the root."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = (ROOT / name).read_text()
        self.blocks = [
            Block(name, self.text.count("\n", 0, found.start()) + 1, found[2], found[3])
            for found in FENCE.finditer(self.text)
        ]

    def find(self, *parts: str, language: str = "") -> Block:
        """The one block that holds these."""
        found = [
            block
            for block in self.blocks
            if block.language.startswith(language) and all(part in block.code for part in parts)
        ]
        assert len(found) == 1, (self.name, parts, found)
        return found[0]

    def take(self, *parts: str, language: str = "") -> str:
        """The code of that block, which the caller runs or compares with the truth."""
        block = self.find(*parts, language=language)
        TAKEN.add(block)
        return block.code

    def take_all(self, language: str) -> list[str]:
        """The code of every block in this language."""
        found = [block for block in self.blocks if block.language == language]
        TAKEN.update(found)
        return [block.code for block in found]

    def excuse(self, why: str, *parts: str) -> str:
        """The code of a block that cannot be run here; the caller checks what it can."""
        block = self.find(*parts)
        EXCUSED[block] = why
        return block.code


STAMPS = (".created", ".installed", ".installed-dev")


def installed_make(folder: Path) -> str:
    """A PATH whose `make` takes what is in `.venv` for what the requirements ask for."""
    tools = folder / "tools"
    tools.mkdir()
    known = " ".join(f"-o .venv/{stamp}" for stamp in STAMPS)
    (tools / "make").write_text(f'#!/bin/sh\nexec {shutil.which("make")} {known} "$@"\n')
    (tools / "make").chmod(0o755)
    return f"{tools}{os.pathsep}{os.environ['PATH']}"
