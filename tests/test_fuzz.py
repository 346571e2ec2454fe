"""What the fuzzer found worth keeping is read as it should be (`make fuzz` looks for more)."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.run import CORPUS, LONGEST, NAMES
from tests.fuzz.targets import Targets

MOST = 400  # files of all corpora together
INPUTS = {name: sorted((CORPUS / name).iterdir()) for name in NAMES}


@pytest.fixture
def targets(tmp_path: Path) -> Iterator[Targets]:
    made = Targets(tmp_path)
    yield made
    made.close()


def replay(targets: Targets) -> None:
    for name, files in INPUTS.items():
        for file in files:
            print(name, file.name)  # shown when it fails
            targets.all[name](file.read_bytes())


def test_the_corpus(targets: Targets) -> None:
    """In a context of its own: a request that begins stays begun."""
    assert targets.all.keys() == set(NAMES)
    contextvars.copy_context().run(replay, targets)


def test_the_corpus_is_small() -> None:
    files = [file for kept in INPUTS.values() for file in kept]
    assert 0 < len(files) <= MOST
    assert all(INPUTS.values())
    assert max(file.stat().st_size for file in files) <= LONGEST
