"""Every fault has its test and its line in the document, and the table says what held."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults import tries
from tests.faults.figures import Figure, figure, read, together
from tests.faults.form import FULL_MINUTES
from tests.faults.report import DOCUMENT, Run, commit, document, held, table
from tests.faults.rows import ROWS, WRONG
from tests.support.server import ROOT

FOUR_TESTS = """
import pytest

pytestmark = pytest.mark.fault("jwt", "expiry")

@pytest.fixture
def bad():
    yield
    raise OSError

def test_good(): pass
def test_bad(): assert False
def test_bad_in_the_end(bad): pass
def test_none(): pytest.skip()
"""
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))


def calls(path: Path) -> Iterator[ast.Call]:
    text = path.read_text()
    tree = ast.parse(text if "fault" in text else "")  # they take a second if all are parsed
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


@pytest.fixture(scope="module")
def marked() -> set[str]:
    """The rows that tests say they are of."""
    return {
        argument.value
        for path in TESTS
        for call in calls(path)
        if getattr(call.func, "attr", "") == "fault"
        for argument in call.args
        if isinstance(argument, ast.Constant)
    }


def test_faults_and_tests_match(marked: set[str]) -> None:
    assert marked == set(ROWS)


def test_the_document_is_of_these_faults() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    assert text.splitlines()[0] == DOCUMENT.splitlines()[0]
    for row in ROWS.values():
        assert f"| {row.fault} |" in text
        for promise in row.promises.values():
            assert f"| {promise} |" in text
    assert wanting(text) == []


def wanting(text: str) -> list[str]:
    """What a document lacks to be of a whole soak, of a commit, in which all of it held."""
    took = re.search(r"It took (\d+) minutes\. ", text)  # a short one goes on to say so
    bad = [word for word in ("not measured", "**no**", "Not all of it held") if word in text]
    there = {
        "commit": re.search("at commit [0-9a-f]{12}: ", text),
        "time": took and int(took[1]) >= FULL_MINUTES,
        "all": "\nAll of it held.\n" in text and not bad,
    }
    return [what for what, found in there.items() if not found]


class Outcome:
    """Of tests some of which failed."""

    def __init__(self, **failed: str) -> None:
        self.failed = {f"tests/x.py::{test}": why for test, why in failed.items()}
        self.rows = {test: ["expiry"] for test in self.failed}

    def troubles(self, row: str) -> Iterator[str]:
        yield from self.failed.values() if row == "expiry" else ()


def run(figures: list[Figure], only: list[str], meant: float = 1, **failed: str) -> Run:
    return Run(1, meant, "commit c0ffee", 1, together(figures), Outcome(**failed), only)


def measure(row: str, promise: str, *measured: float, tries: int = 10) -> list[Figure]:
    return [Figure(row, promise, one, one, tries, "") for one in measured]


def test_the_worst_of_all_tries_is_told() -> None:
    found = together([*measure("redis", "delay", 1, 1.5), *measure("crowd", "served", 100, 99.95)])
    assert [str(one) for one in found.values()] == ["1.5 s", "99.95 %"]
    assert [one.tries for one in found.values()] == [20, 20]
    [both] = together(measure("locked", "told", 5.01, 5.2)).values()
    assert str(both) == "5.01 to 5.2 s"


def test_what_did_not_hold_is_said() -> None:
    good = run(measure("logins", "echo", 99), ["logins"])
    assert held(good) and "| 99 ms | yes |" in table(good)
    broken = run(measure("logins", "echo", 99, 101), ["logins"])
    assert not held(broken) and "| 101 ms | **no** |" in table(broken)
    missing = run([], ["logins"])
    assert not held(missing) and "not measured" in table(missing)
    figures = [*measure("expiry", "closed", 0.5), *measure("expiry", "renewed", 0)]
    failed = run(figures, ["expiry"], test_expiry="too late")
    assert not held(failed) and "too late" in table(failed)
    assert held(run(figures, ["expiry"]))


def test_too_few_tries_of_a_whole_soak_hold_nothing() -> None:
    """A short one is not asked to try as often."""
    least, names = ROWS["killed"].least_tries, ROWS["killed"].promises
    for count, meant, good in ((least, 35, True), (least - 1, 35, False), (least - 1, 5, True)):
        figures = [one for name in names for one in measure("killed", name, 0, tries=count)]
        found = run(figures, ["killed"], meant)
        assert held(found) is good
        assert (f"| {count} of {least} |" in table(found)) is not good
    assert "at commit c0ffee: " in document(found)


def test_less_than_a_whole_soak_that_held_is_told() -> None:
    figures = [
        one
        for row, of in ROWS.items()
        for name, promise in of.promises.items()
        for one in measure(row, name, promise.least or 0, tries=max(10, of.least_tries))
    ]
    good = replace(run(figures, [], 35), minutes=FULL_MINUTES, commit="commit c0ffeec0ffee")
    assert wanting(document(good)) == []
    assert wanting(document(replace(good, meant=FULL_MINUTES - 1))) == ["time"]
    assert wanting(document(replace(good, minutes=FULL_MINUTES - 1))) == ["time"]
    for unknown in ("no known commit", "commit c0ffeec0ffee and changes"):
        assert wanting(document(replace(good, commit=unknown))) == ["commit"]
    for more in (figures[1:], figures + measure("logins", "echo", 101)):
        assert wanting(document(replace(good, figures=together(more)))) == ["all"]


def test_a_commit_is_named() -> None:
    """In the sources that somebody was given without their history there is none."""
    assert re.fullmatch("commit [0-9a-f]{12}( and changes)?|no known commit", commit())


def test_each_test_is_a_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fails has found something, even if only its fixture noticed."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = fault\n")
    (tmp_path / "test_tries.py").write_text(FOUR_TESTS)
    monkeypatch.setenv("FIGURES", str(tmp_path / "figures"))
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "")  # the inner run takes it away
    plugins = ("cacheprovider", "xdist", "timeout", "faulthandler")
    off = [flag for name in plugins for flag in ("-p", f"no:{name}")]
    pytest.main([*off, "-c", str(tmp_path / "pytest.ini"), str(tmp_path)], [tries])
    found = read(tmp_path / "figures")
    assert {(one.row, one.promise) for one in found} == {("jwt", WRONG)}
    assert [one.most for one in found] == [0, 1, 1]


def test_a_figure_is_kept_and_held_against_its_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIGURES", str(tmp_path / "figures"))
    figure("locked", "told", 5.5, 8)
    for wrong in (4.9, 6.1):
        with pytest.raises(AssertionError, match="5 s"):
            figure("locked", "told", wrong)
    kept = read(tmp_path / "figures")
    assert [(one.most, one.tries, one.holds) for one in kept] == [
        (5.5, 8, True),
        (4.9, 1, False),
        (6.1, 1, False),
    ]
