"""Whatever was done to them, no server has logged what nobody may read there (`leaks`).

The last test of a soak (`soak.Watch`): what all of it was answered is in these logs.  Elsewhere it
looks at what its own process has started so far; the fixture `_logs` sees what comes after it.
"""

from __future__ import annotations

import pytest

from tests.conftest import logged_secrets
from tests.faults.figures import figure
from tests.support.accounts import Person
from tests.support.server import Server, printed


@pytest.mark.fault("logs")
def test_no_server_has_logged_a_secret(server: Server, alice: Person) -> None:
    assert alice.rest.get("/tasks").status_code == 200
    found = logged_secrets()
    print("\n".join(found))
    figure("logs", "secrets", len(found), len(printed))
