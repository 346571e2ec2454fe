"""Hooks of pytest, which tests/conftest.py takes over: each test of bad input is a try of its rows.

Something was wrong in it when it failed, be it at its end; one that was skipped was no try.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.figures import keep
from tests.faults.rows import ROWS, WRONG

FAILED = pytest.StashKey[bool]()  # whether a test's call has; absent when it had none


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome: Any = yield
    report = outcome.get_result()
    if report.when == "call" and not report.skipped:
        item.stash[FAILED] = report.failed


# Inside of what captures, which would let through what is said outside of the three phases.
@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    wrong = item.stash.get(FAILED, None)
    try:
        return (yield)
    except (Exception, pytest.fail.Exception):
        wrong = None if wrong is None else True
        raise
    finally:
        if wrong is not None:
            for row in {row for mark in item.iter_markers("fault") for row in mark.args}:
                if WRONG in ROWS[row].promises:
                    keep(row, WRONG, int(wrong))
