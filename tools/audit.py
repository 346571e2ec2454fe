"""Whether a known vulnerability is in what is installed: pip-audit, and what its answer means.

    python -m tools.audit        (make audit)

Exit code 1 when one is known, 0 when none is.  When nobody could be asked (no network, or a mirror
that knows of no vulnerabilities) it says so, because that is no all-clear; the exit code is 0 then,
or 1 where AUDIT_REQUIRED=1 says that there is somebody to ask.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

COMMAND = (
    *("-m", "pip_audit", "--progress-spinner", "off", "--desc", "off"),
    *("--timeout", "10", "--format", "json"),
)
# Known to be bad for years: who has nothing against it does not know of vulnerabilities.
CANARY = "jinja2==2.10"
NOT_AUDITED = "NOT AUDITED"


def dependencies(report: str) -> list[dict[str, Any]] | None:
    """What pip-audit's JSON says of each package; None when there is none."""
    try:
        found: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, LookupError, TypeError):
        return None
    return found


def faults(found: list[dict[str, Any]]) -> list[str]:
    return [
        f"{one['name']} {one['version']}: {fault['id']}"
        f" (mended in {', '.join(fault['fix_versions']) or 'no release yet'})"
        for one in found
        for fault in one.get("vulns", ())
    ]


def why_not(report: str, said: str) -> str:
    """Why the service cannot be asked, from its answer about the canary; empty when it can."""
    found = dependencies(report)
    if found is None:
        return (said.strip().splitlines() or ["no reason was given"])[-1]
    return "" if faults(found) else f"it knows nothing against {CANARY}"


def not_audited(reason: str, *, required: bool) -> tuple[int, str]:
    """The exit code when nobody was asked, and the words for it."""
    return int(required), f"{NOT_AUDITED}: {reason}"


def verdict(report: str, said: str, *, required: bool) -> tuple[int, str]:
    """The exit code, and the words for it: `report` is pip-audit's JSON, empty when it could not
    make one; `said` is what it complained of."""
    found = dependencies(report)
    if found is None:
        return not_audited(why_not(report, said), required=required)
    known = faults(found)
    if known:
        return 1, "\n".join(["Known vulnerabilities:", *known])
    asked = [one for one in found if "skip_reason" not in one]
    skipped = f"; {len(found) - len(asked)} are unknown to the service"
    more = skipped if len(asked) < len(found) else ""
    return 0, f"No vulnerability is known in {len(asked)} packages{more}"


def ask(*arguments: str) -> tuple[str, str]:
    command = [sys.executable, *COMMAND, *arguments]
    done = subprocess.run(  # pip-audit, by our own arguments  # nosec B603
        command, capture_output=True, text=True, check=False
    )
    return done.stdout, done.stderr


def main() -> int:
    if importlib.util.find_spec("pip_audit") is None:
        print("pip-audit is not installed: make install-dev", file=sys.stderr)
        return 1
    required = os.environ.get("AUDIT_REQUIRED") == "1"
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder) / "requirements.txt"
        canary.write_text(f"{CANARY}\n")
        reason = why_not(*ask("--disable-pip", "--no-deps", "--requirement", str(canary)))
    if reason:
        why = f"the service that knows of vulnerabilities cannot be asked: {reason}"
        code, words = not_audited(why, required=required)
    else:
        code, words = verdict(*ask("--local"), required=required)
    print(words)
    return code


if __name__ == "__main__":
    sys.exit(main())
