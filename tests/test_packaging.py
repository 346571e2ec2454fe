"""What is installed, and what looks after it: locked requirements, make's targets, CI, versions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import yaml
from packaging.requirements import Requirement

from task_app.measured import VERSIONS
from task_app.version import VERSION
from tests.support.clients import Rest
from tests.support.server import ROOT

NAMES = (
    *("requirements", "requirements-otel", "requirements-dev", "requirements-fuzz"),
    "bench/requirements",
)
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z][a-z-]*):.*## ", MAKEFILE, re.M)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]


def folded(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


class Pin(NamedTuple):
    name: str
    version: str
    here: bool  # its marker is true for this Python
    hashes: int


# The bench makes a venv of its own; its list is for this Python, whichever runs the tests.
PYTHON_OF = {"bench/requirements": {"python_version": "3.11", "python_full_version": "3.11.7"}}


def pins(file: Path, python: Mapping[str, str] = MappingProxyType({})) -> Iterator[Pin]:
    """Those of a requirements file, with those of files it names."""
    text = re.sub(r"\\\n", " ", file.read_text())
    for line in text.splitlines():
        line, *hashes = re.split(r"--hash=sha256:", re.sub(r"(^| )#.*", "", line))
        if line.startswith("-r "):
            yield from pins(file.parent / line[3:].strip(), python)
        elif line.strip():
            asked = Requirement(line)
            assert all(re.fullmatch(r"[0-9a-f]{64} *", one) for one in hashes), line
            version = str(asked.specifier).removeprefix("==")
            here = asked.marker is None or asked.marker.evaluate(dict(python))
            yield Pin(folded(asked.name), version, here, len(hashes))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_asked_for_is_locked(name: str) -> None:
    """Else: `make lock`."""
    python = PYTHON_OF.get(name, {})
    asked = {(pin.name, pin.version) for pin in pins(ROOT / f"{name}.in", python) if pin.here}
    locked = list(pins(ROOT / f"{name}.txt", python))
    assert asked <= {(pin.name, pin.version) for pin in locked if pin.here}
    assert [pin.name for pin in locked if not pin.hashes] == []


def test_locks_agree() -> None:
    """Whatever is installed first, the next changes nothing of it."""
    everything = {pin[:2] for pin in pins(ROOT / "requirements-dev.txt")}
    for name in ("requirements", "requirements-otel"):
        assert {pin[:2] for pin in pins(ROOT / f"{name}.txt")} <= everything


def test_what_is_locked_is_installed() -> None:
    locked = list(pins(ROOT / "requirements.txt"))
    assert {pin.name for pin in locked} >= set(VERSIONS)
    for pin in locked:
        if pin.here:
            assert metadata.version(pin.name) == pin.version, pin.name


def test_every_target_says_what_it_does() -> None:
    [phony] = re.findall(r"^\.PHONY: (.*)", MAKEFILE, re.M)
    assert sorted(phony.split()) == sorted(TARGETS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_targets_that_are_named_are_there(page: Path) -> None:
    named = re.findall(r"(?:^|`)make ([a-z][a-z-]+)", page.read_text(), re.M)
    assert set(named) <= set(TARGETS)


def workflow() -> dict[str, Any]:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    jobs: dict[str, Any] = yaml.safe_load(text)["jobs"]
    return jobs


def test_ci_calls_what_anybody_can() -> None:
    steps = [step for job in workflow().values() for step in job["steps"]]
    commands = [step["run"] for step in steps if "run" in step]
    assert len(commands) > 3
    for command in commands:
        words = command.split()
        assert words[-1] == ".ci/run" or (words[0] == "make" and set(words[1:]) <= set(TARGETS))
    called = re.findall(r"for target in (.*?);", (ROOT / ".ci" / "run").read_text())
    assert called and set(called[0].split()) <= set(TARGETS)


def test_ci_audits_or_fails() -> None:
    [step] = [one for one in workflow()["everything"]["steps"] if ".ci/run" in one.get("run", "")]
    # Words of `env`: what sudo takes from its caller is for its settings to say.
    assert step["run"] == 'sudo env "PATH=$PATH" AUDIT_REQUIRED=1 .ci/run'
    assert " audit " in (ROOT / ".ci" / "run").read_text()


def test_every_python_is_tested() -> None:
    assert workflow()["pythons"]["strategy"]["matrix"]["python"] == PYTHONS
    assert f"for version in {' '.join(PYTHONS)};" in MAKEFILE
    tools = (ROOT / "pyproject.toml").read_text()
    assert 'target-version = "py310"' in tools and 'python_version = "3.10"' in tools


def test_every_list_of_packages_is_watched() -> None:
    told = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    watched = {
        (one["package-ecosystem"], f"{place.strip('/')}/".lstrip("/"))
        for one in told
        for place in one.get("directories") or [one["directory"]]
    }
    kinds = {"*requirements.in": "pip", "package.json": "npm", "Dockerfile": "docker"}
    kinds |= {"compose.yaml": "docker-compose"}
    for pattern, kind in kinds.items():
        installed = {"node_modules", "site-packages"}
        found = [path for path in ROOT.rglob(pattern) if not installed & {*path.parts}]
        for path in found:
            place = path.parent.relative_to(ROOT).as_posix()
            assert (kind, "" if place == "." else f"{place}/") in watched, path


def test_what_is_leaned_on_is_raised_by_hand() -> None:
    asked = (ROOT / "requirements.in").read_text()
    leaned_on = re.findall(r"^([\w-]+)==\S+ +# private parts", asked, re.M)
    told = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"][0]
    assert sorted(map(folded, leaned_on)) == sorted(
        one["dependency-name"] for one in told["ignore"]
    )


def test_one_version(nobody: Rest) -> None:
    """That of the newest heading of the changelog, or what comes after it."""
    assert nobody.get("/health").json()["version"] == VERSION
    for document in ("/openapi.json", "/asyncapi.json"):
        assert nobody.get(document).json()["info"]["version"] == VERSION
    newest = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)[0]
    released, _, development = VERSION.partition("-")
    assert re.fullmatch(r"\d+\.\d+\.\d+", released)
    assert newest == ("Unreleased" if development else released)
