"""What reads bytes from strangers is fuzzed, guided by coverage, for a part of a soak's time.

Each target begins from its corpus, which `make test` replays; an input that breaks one is left in
`tests/fuzz/crashes/`.
"""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.conftest import unable
from tests.faults import form
from tests.faults.figures import figure
from tests.fuzz.run import NAMES, run

SEEDS = 2**31  # of libFuzzer; with 0 it would take one of its own


@pytest.mark.fuzz
@pytest.mark.fault("fuzz")
@pytest.mark.parametrize("target", NAMES)
def test_fuzzed(target: str) -> None:
    if find_spec("atheris") is None:
        unable("atheris is not installed (requirements-fuzz.txt)")
    seed = form.chance(f"fuzz {target}").randrange(1, SEEDS)
    done = run(target, round(form.seconds(short=2, long=60)), seed=seed)
    assert done.inputs, "it did not begin"
    figure("fuzz", "crashes", done.code != 0, done.inputs)
