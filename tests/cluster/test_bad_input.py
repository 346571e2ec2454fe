"""What is refused on SQLite is refused on PostgreSQL, in the same words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import accounts
from tests.support.attacker import Attacker, Outcome
from tests.support.attacks import attacks
from tests.support.postgres import Databases
from tests.support.server import Server as Process
from tests.support.server import running


def outcomes(server: Process) -> dict[tuple[str, str], Outcome]:
    with running(server):
        mallory, bob = accounts.people(server.url, "Mallory", "Bob")
        attacker = Attacker(server, mallory, bob)
        found = attacker.send_all(attacks())
        attacker.end()
    return found


@pytest.mark.fault("bodies")
def test_alike_on_both_databases(tmp_path: Path, postgresql: Databases) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    on_sqlite = outcomes(Process(here, DATABASE_URL=f"sqlite:///{here}/tasks.db"))
    on_postgresql = outcomes(Process(there, DATABASE_URL=postgresql.of(there)))
    differ = {name for name, outcome in on_sqlite.items() if on_postgresql[name] != outcome}
    assert not differ, [(name, on_sqlite[name], on_postgresql[name]) for name in differ]
