"""What deploy/ installs fits together, and fits the server: the image, the compose file, nginx."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import engineio
import pytest

from config import Config
from deploy import health
from deploy.cluster import Gateway
from deploy.services import Service
from task_app import jobs, server
from task_app.realtime import sse, websocket
from tests.conftest import require
from tests.support import deployment
from tests.support.deployment import BUILT, COMPOSE, DEPLOY, PROCESSES, is_setting, seconds
from tests.support.server import ASYNC_MODE, ROOT

SERVICES = COMPOSE["services"]
UPSTREAMS = (DEPLOY / "upstreams.conf").read_text()
EVERYWHERE = deployment.image_environment()["HOST"]
CONF = (DEPLOY / "nginx.conf").read_text()


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `deploy/secrets.sh` makes."""
    folder = tmp_path_factory.mktemp("deploy") / "secrets"
    subprocess.run(["sh", str(DEPLOY / "secrets.sh"), str(folder)], check=True, cwd="/")
    return folder


# --- secrets


def test_secrets(secrets: Path) -> None:
    """Those that the compose file names; each its own; made once; behind a closed door."""
    named = {one["file"] for one in COMPOSE["secrets"].values()}
    made = {f"secrets/{path.name}": path.read_text() for path in secrets.iterdir()}
    assert named == made.keys() - {"secrets/redis_password"}  # the source of two of them
    alone = [text for name, text in made.items() if "redis_" not in name]
    assert len({*alone}) == len(alone) and all(len(text) > 40 for text in alone)
    password = made["secrets/redis_password"].strip()
    assert f":{password}@redis:6379" in made["secrets/redis_url"]
    assert f"requirepass {password}\n" in made["secrets/redis_conf"]
    assert secrets.stat().st_mode & 0o777 == 0o700
    subprocess.run(["sh", str(DEPLOY / "secrets.sh"), str(secrets)], check=True)
    assert {f"secrets/{path.name}": path.read_text() for path in secrets.iterdir()} == made


@pytest.mark.parametrize("path", ["deploy/secrets/db_password", ".env", "instance/tasks.db"])
def test_secrets_are_kept_out(path: str) -> None:
    """Of the image and of the repository."""
    assert deployment.is_ignored(path)
    assert subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT).returncode == 0


# --- the compose file


@pytest.mark.parametrize("name", SERVICES)
def test_a_service(name: str) -> None:
    """It comes back, is asked how it is, waits for what there is, and has secrets that are kept."""
    service = SERVICES[name]
    once = name == "migrate"
    assert service["restart"] == ("no" if once else "unless-stopped")
    asked = service.get("healthcheck", {})
    assert once or asked.get("test") or "build" in service  # the image's own
    for other, wanted in service.get("depends_on", {}).items():
        ends = other == "migrate"
        condition = "service_completed_successfully" if ends else "service_healthy"
        assert other in SERVICES and wanted == {"condition": condition}
    assert set(service.get("secrets", ())) <= COMPOSE["secrets"].keys()
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        assert (DEPLOY / source).is_file() or source in COMPOSE["volumes"]
    text = str(service)
    assert not re.search(r"(?i)password['\"]?: (?!['\"]?/run/secrets)", text)
    used = re.findall(r"/run/secrets/(\w+)", text)
    assert set(used) <= set(service.get("secrets", ()))


@pytest.mark.parametrize("name", BUILT)
def test_a_process_is_told_what_it_knows(name: str, secrets: Path, tmp_path: Path) -> None:
    environment = deployment.settings_of(BUILT[name], secrets) | {"INSTANCE_PATH": str(tmp_path)}
    assert [setting for setting in environment if not is_setting(setting)] == []
    config = Config(environment, async_mode="threading")
    assert (secrets / "jwt_secret_key").read_text().strip() == config.JWT_SECRET_KEY
    assert config.SQLALCHEMY_DATABASE_URI.startswith("postgresql+psycopg://tasks:")
    assert config.SQLALCHEMY_DATABASE_URI.endswith("@postgres:5432/tasks")
    assert [str(one) for one in config.TRUSTED_PROXIES] == [f"{address('gateway')}/32"]
    if name in PROCESSES:
        [part] = config.SERVICES
        assert f"server {name}:{config.PORT} " in upstream(part)


def upstream(name: str) -> str:
    return re.search(rf"upstream {name} {{(.*?)}}", UPSTREAMS, re.S)[1]  # type: ignore[index]


def address(name: str) -> str:
    return str(SERVICES[name]["networks"]["inside"]["ipv4_address"])


def test_the_gateway_finds_every_process() -> None:
    named = {
        name: set(re.findall(r"server ([\w-]+):", upstream(name)))
        for name in ("users", "tasks", "notifications", "socketio")
    }
    there: dict[str, set[str]] = {}
    for name, service in PROCESSES.items():
        there.setdefault(service["environment"]["SERVICES"], set()).add(name)
    assert named == there | {"socketio": there["notifications"]}
    assert Counter({part: len(names) for part, names in there.items()}) == {
        "users": 1,
        "tasks": 2,
        "notifications": 2,
    }
    assert SERVICES["gateway"]["depends_on"].keys() == PROCESSES.keys()
    addresses = [address(name) for name in (*PROCESSES, "gateway")]
    assert len({*addresses}) == len(addresses)


def test_the_database_has_room_for_every_pool() -> None:
    [most] = [int(word[16:]) for word in SERVICES["postgres"]["command"] if "max_conn" in word]
    pools = sum(int(one["environment"]["DATABASE_POOL_SIZE"]) for one in BUILT.values())
    assert pools + 10 <= most  # some for its superuser, and for whoever looks


@pytest.mark.skipif(
    shutil.which("docker") is None
    or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode != 0,
    reason="docker compose is not installed",
)
def test_compose_reads_it() -> None:
    command = ["docker", "compose", "-f", "deploy/compose.yaml", "config", "--quiet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- the image


def test_what_is_copied_is_there() -> None:
    sources = [source for source, _ in deployment.copied()]
    assert sources
    for source in sources:
        assert (ROOT / source).exists() and not deployment.is_ignored(source), source
    assert deployment.is_ignored("task_app/__pycache__/x.pyc")
    assert deployment.is_ignored("tests/conftest.py")


def test_the_image() -> None:
    """Nobody special runs it; it is told what it knows, and no secret; one command everywhere."""
    assert [text for name, text in deployment.stage() if name == "USER"] == ["10001:10001"]
    assert not any(name == "ARG" for name, _ in deployment.instructions())
    named = deployment.image_environment()
    assert [one for one in named if not is_setting(one) and one not in deployment.FOREIGN] == []
    assert not [one for one in named if re.search("SECRET|PASSWORD|TOKEN|URL", one)]
    assert deployment.arguments_of("CMD") == ["python", "app.py"]
    stops = [text for name, text in deployment.stage() if name == "STOPSIGNAL"]
    assert stops == ["SIGTERM"]
    grace = {seconds(one["stop_grace_period"]) for one in BUILT.values()}
    assert min(grace) > longest_stop()


def longest_stop() -> float:
    """What a process may take, in seconds, from the signal to its end."""
    goodbye = server.FAREWELL_SECONDS + jobs.LEAVE_SECONDS
    return goodbye + server.GRACE_SECONDS + 1.2  # engine.STOP_SECONDS, http.NEW_SECONDS


class Container(Service):
    """The image's files in a folder, and its command in there, as far as it goes without Docker."""

    ready = re.compile("Serving on ")

    def __init__(self) -> None:
        super().__init__()
        for source, target in deployment.copied():
            place = self.folder / target
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / source, place, ignore=ignored)
            else:
                shutil.copy(ROOT / source, place)

    def command(self) -> list[str]:
        python, *rest = deployment.arguments_of("CMD")
        assert python == "python"
        return [sys.executable, *rest]

    def environment(self) -> dict[str, str]:
        named = deployment.image_environment() | {"HOST": "127.0.0.1", "PORT": str(self.port)}
        named |= {"INSTANCE_PATH": str(self.folder / "data"), "ASYNC_MODE": ASYNC_MODE}
        return super().environment() | {k: v for k, v in named.items() if k != "PATH"}

    def ask(self, *arguments: str) -> subprocess.Popen[str]:
        """The health check."""
        python, *rest = deployment.arguments_of("HEALTHCHECK")
        assert python == "python"
        return subprocess.Popen(
            [sys.executable, *rest, *arguments],
            cwd=self.folder,
            env=self.environment(),
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.mark.guide
def test_it_runs_on_what_is_copied() -> None:
    """And the health check tells whether it does."""
    container = Container()
    try:
        waiting = container.ask("30")
        container.start()
        assert waiting.wait(30) == 0
        assert container.ask().wait(10) == 0
        assert container.stop() == 0
        refused = container.ask()
        said = refused.communicate(timeout=10)[1]
        assert refused.returncode == 1
        assert said.startswith(f"http://127.0.0.1:{container.port}/ready: ")
        assert said.count("\n") == 1
    finally:
        container.discard()


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"HOST": EVERYWHERE, "SERVICES": "tasks"}, "http://127.0.0.1:3002/ready"),
        ({"HOST": "::", "PORT": "80"}, "http://[::1]:80/ready"),
        ({"HOST": "10.1.2.3"}, "http://10.1.2.3:5000/ready"),
        ({"HOST": "fe80::1"}, "http://[fe80::1]:5000/ready"),
    ],
)
def test_where_the_health_check_asks(tmp_path: Path, settings: dict[str, str], url: str) -> None:
    assert health.address(Config({"INSTANCE_PATH": str(tmp_path), **settings})) == url


# --- nginx


def test_nginx_takes_it() -> None:
    """As the container starts it: with everything it writes in one folder, and as nobody special.
    (Names are looked up at the start, so there are addresses in their place.)"""
    require("nginx")
    gateway = Gateway([])
    try:
        places = UPSTREAMS
        for name in PROCESSES:
            places = places.replace(f"server {name}:", f"server {address(name)}:")
        gateway.keep_private("nginx.conf", CONF)
        gateway.keep_private("upstreams.conf", places)
        program, given = SERVICES["gateway"]["entrypoint"], SERVICES["gateway"]["command"]
        line = " ".join([*program, *(f"'{word}'" for word in given), "-t"])
        line = line.replace("/var/cache/gateway", str(gateway.folder))
        line = line.replace("/etc/nginx", str(gateway.folder))
        done = subprocess.run(  # type: ignore[call-overload]
            ["sh", "-c", line],
            env=gateway.environment(),
            capture_output=True,
            text=True,
            **gateway.identity(),
        )
        assert done.returncode == 0, done.stderr
        assert "[warn]" not in done.stderr and "[alert]" not in done.stderr, done.stderr
    finally:
        gateway.discard()


def test_what_is_mounted_is_what_nginx_reads() -> None:
    mounted = {volume.split(":")[1] for volume in SERVICES["gateway"]["volumes"]}
    assert mounted == {"/etc/nginx/nginx.conf", "/etc/nginx/upstreams.conf"}
    assert "include upstreams.conf;" in CONF
    assert "/etc/nginx/nginx.conf" in SERVICES["gateway"]["command"]


PINGS = {
    "/socket.io": inspect.signature(engineio.Server).parameters["ping_interval"].default,
    "ws": websocket.PING_SECONDS,
    "events": sse.KEEPALIVE_SECONDS,
}


@pytest.mark.parametrize("kind", PINGS)
def test_the_gateway_waits_for_the_next_ping(kind: str) -> None:
    """And for one that was lost on the way, before it takes a silent connection for dead."""
    [location] = re.findall(rf"location [^{{]*{kind}[^{{]*{{(.*?)}}", CONF, re.S)
    for word in ("read", "send"):
        waits = seconds(re.search(rf"proxy_{word}_timeout (\w+);", location)[1])  # type: ignore[index]
        assert waits >= 2.5 * PINGS[kind]


def test_many_connections() -> None:
    [files] = re.findall(r"worker_rlimit_nofile (\d+);", CONF)
    [most] = re.findall(r"worker_connections (\d+);", CONF)
    assert int(files) >= 2 * int(most)
    for service in (*PROCESSES.values(), SERVICES["gateway"]):
        assert service["ulimits"]["nofile"] > server.CONNECTIONS
