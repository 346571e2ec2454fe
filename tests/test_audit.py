"""What an audit's answer means (`make audit`); nobody is asked here."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.server import ROOT
from tools.audit import verdict, why_not

GOOD = {"name": "flask", "version": "3.1.3", "vulns": []}
UNKNOWN = {"name": "ours", "skip_reason": "not found"}
BAD = {
    "name": "flask",
    "version": "0.1",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["0.2", "1.0"]}, {"id": "X-2", "fix_versions": []}],
}


def report(*dependencies: object) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_one_is_known() -> None:
    code, words = verdict(report(GOOD, BAD), "Found 2 known vulnerabilities", required=False)
    assert code == 1
    assert "flask 0.1: PYSEC-1 (mended in 0.2, 1.0)" in words
    assert "flask 0.1: X-2 (mended in no release yet)" in words


def test_none_is_known() -> None:
    none = (0, "No vulnerability is known in 1 packages")
    assert verdict(report(GOOD), "", required=True) == none
    code, words = verdict(report(GOOD, UNKNOWN), "", required=True)
    assert (code, "1 are unknown to the service" in words) == (0, True)


@pytest.mark.parametrize("required", [False, True])
def test_nobody_could_be_asked(required: bool) -> None:
    """Which is no failure of ours, and no all-clear either: where there is somebody to ask, it is
    a failure."""
    said = "some lines\nConnectionError: refused\n"
    for given in ("", "null", "[]", "{}"):
        assert why_not(given, said) == "ConnectionError: refused"
        answer = verdict(given, said, required=required)
        assert answer == (int(required), "NOT AUDITED: ConnectionError: refused")
    assert why_not("", "")
    for blind in (report(), report(GOOD), report(UNKNOWN)):
        assert "knows nothing against" in why_not(blind, "")
    assert not why_not(report(BAD), "Found 2 known vulnerabilities")


@pytest.mark.parametrize("required", ["0", "1"])
def test_without_a_network(required: str) -> None:
    """The real program, with nobody at the other end: it says so, and fails where it must not
    pass unasked."""
    nobody = "http://127.0.0.1:9"
    env = {"PATH": "", "HTTPS_PROXY": nobody, "HTTP_PROXY": nobody, "HOME": "/nonexistent"}
    env["AUDIT_REQUIRED"] = required
    done = subprocess.run(
        [sys.executable, "-m", "tools.audit"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == int(required), done.stderr
    assert done.stdout.startswith("NOT AUDITED"), done.stdout
