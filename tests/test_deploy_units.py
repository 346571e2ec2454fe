"""The units of systemd."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from config import PORTS
from task_app import server
from tests.support import deployment
from tests.support.deployment import COMMON, UNITS, Unit, is_setting, seconds
from tests.test_deploy import longest_stop

TEMPLATES = {name: UNITS / f"task-server-{name}@.service" for name in PORTS}
MIGRATION = UNITS / "task-server-migrate.service"
EXPOSURE = 2.0  # of 10, as `systemd-analyze security` counts


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units beside a server at a place that is there."""
    place = tmp_path / "task-server"
    (place / ".venv" / "bin").mkdir(parents=True)
    (place / ".venv" / "bin" / "python").symlink_to(sys.executable)
    units = tmp_path / "units"
    shutil.copytree(UNITS, units)
    for path in [path for path in units.rglob("*") if path.is_file()]:
        path.write_text(path.read_text().replace("/opt/task-server", str(place)))
    for name, port in PORTS.items():  # systemd-analyze wants an instance, not a template
        shutil.copy(units / TEMPLATES[name].name, units / instance(name, port))
    return units


def instance(name: str, port: int) -> str:
    return f"task-server-{name}@{port}.service"


def analyze(*arguments: str, units: Path) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *arguments]
    return subprocess.run(command, cwd=units, capture_output=True, text=True)


needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@needs_systemd
def test_systemd_takes_them(installed: Path) -> None:
    units = [instance(*one) for one in PORTS.items()] + [MIGRATION.name, "task-server.target"]
    done = analyze("verify", *(f"./{unit}" for unit in units), units=installed)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("unit", [*(instance(*one) for one in PORTS.items()), MIGRATION.name])
def test_they_see_little_of_the_machine(installed: Path, unit: str) -> None:
    limit = f"--threshold={EXPOSURE * 10:.0f}"  # its threshold is of 100
    done = analyze("security", "--offline=true", limit, f"./{unit}", units=installed)
    [level] = re.findall(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert done.returncode == 0 and float(level) <= EXPOSURE, done.stdout


@pytest.mark.parametrize("name", PORTS)
def test_a_template(name: str) -> None:
    """The command of the image; the health check; time to stop; who restarts it."""
    service = Unit(TEMPLATES[name])["Service"]
    python = "/opt/task-server/.venv/bin/python"
    command = " ".join(deployment.arguments_of("CMD")[1:])
    check = " ".join(deployment.arguments_of("HEALTHCHECK")[1:])
    assert service["ExecStart"] == f"{python} {command}"
    assert service["ExecStartPost"].startswith(f"{python} {check} ")
    assert int(service["ExecStartPost"].split()[-1]) < seconds(service["TimeoutStartSec"])
    assert seconds(service["TimeoutStopSec"]) > longest_stop()
    assert service["Restart"] == "on-failure"
    told = deployment.environment_lines(TEMPLATES[name])
    assert told == {"SERVICES": name, "PORT": "%i"}
    assert instance(name, PORTS[name]) in TEMPLATES[name].read_text()


def test_what_they_share() -> None:
    service = Unit(COMMON)["Service"]
    assert service["User"] == service["StateDirectory"] == "task-server"
    assert service["EnvironmentFile"].startswith("/etc/")
    assert int(service["LimitNOFILE"]) > server.CONNECTIONS
    named = deployment.environment_lines(COMMON)
    assert [one for one in named if not is_setting(one) and one not in deployment.FOREIGN] == []
    assert named["INSTANCE_PATH"] == f"%S/{service['StateDirectory']}"


def test_the_migration_is_that_of_the_compose_file() -> None:
    """And the processes come after it."""
    service = Unit(MIGRATION)["Service"]
    python, *rest = deployment.BUILT["migrate"]["command"]
    assert service["ExecStart"] == f"/opt/task-server/.venv/bin/{python} {' '.join(rest)}"
    assert service["Type"] == "oneshot"
    for path in TEMPLATES.values():
        assert MIGRATION.name in Unit(path)["Unit"]["After"].split()
