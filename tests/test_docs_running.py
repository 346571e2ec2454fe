"""What docs/running.md says is so: its blocks run, and what it names is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from deploy.cluster import Gateway
from deploy.services import program
from tests.conftest import require, sqlite_only
from tests.support import accounts
from tests.support.blocks import EXCUSED, Page
from tests.support.clients import Rest
from tests.support.deployment import COMPOSE, DEPLOY, PROCESSES, SETTING_NAMES
from tests.support.postgres import Databases
from tests.support.readers import connect
from tests.support.server import ROOT, Server, environment
from tests.support.snapshots import snapshot

PAGE = Page("docs/running.md")
TEXT = PAGE.text
SHELL = [block.code for block in PAGE.blocks if block.language == "bash"]
# What needs another machine is held against the files it names.
DOCKER, SYSTEMD = "there is no Docker here", "it is not this machine's first process"
PAGE.excuse(DOCKER, "up --build")
PAGE.excuse(DOCKER, "docker build")
PAGE.excuse(DOCKER, "run --rm migrate")
ENABLE = PAGE.excuse(SYSTEMD, "enable --now")
RESTART = PAGE.excuse(SYSTEMD, "systemctl restart")
SCRAPED = PAGE.take("scrape_configs", language="yaml")
TLS = PAGE.take("listen 443", language="nginx")
BACKUP, RESTORE = PAGE.take("app backup"), PAGE.take("app restore")
DUMP, LOAD = PAGE.take("pg_dump --format"), PAGE.take("pg_restore")
FLASK = sorted(set(re.findall(r"flask --app app ((?:[a-z-]+ ?)+)", TEXT)))
NO_SETTINGS = {"CONNECTIONS", "GATEWAY_PORT"}  # of server.py; of the compose file
# Where the page has a figure, and the row of benchmarks.md that it is from.
POST, GET, PAGE_OF_50 = "`POST /tasks`", "`GET /tasks/<id>`", "`GET /tasks?limit=50`"
EACH = "Change to 1 000 Socket.IO clients: "
FIGURES = (
    (r"\| ([\d ]+), and [\d ]+ to [\d ]+ a second", f"{POST} at 16 connections"),
    (r"\| [\d ]+, and ([\d ]+) to [\d ]+ a second", f"{PAGE_OF_50} at 16 connections"),
    (r"\| [\d ]+, and [\d ]+ to ([\d ]+) a second", f"{GET} at 16 connections"),
    (r"some ([\d.]+) KB in its process", "Memory per idle connection, at 5 000"),
    (r"5 000 come back in ([\d.]+) s", "Connecting 5 000 clients"),
    (r"\| ([\d.]+) ms, [\d.]+ ms at the 99th percentile", f"{EACH}p50"),
    (r"\| [\d.]+ ms, ([\d.]+) ms at the 99th percentile", f"{EACH}p99"),
    (r"it is ([\d.]+) to [\d.]+ ms at full load", f"{GET}: p99"),
    (r"it is [\d.]+ to ([\d.]+) ms at full load", f"{POST}: p99"),
)


@pytest.mark.parametrize("code", SHELL, ids=lambda code: code.split("\n")[0][:40])
def test_the_shell_understands_it(code: str) -> None:
    done = subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_excused_names_what_is_there() -> None:
    for code in (block.code for block in EXCUSED if block.page == PAGE.name):
        for path in re.findall(r"(?<![\w/])deploy/[\w./]+\w", code):
            assert (ROOT / path).exists(), path


@pytest.mark.parametrize("command", FLASK)
def test_there_is_such_a_command(command: str) -> None:
    """As far as its words are commands; what follows are its arguments."""
    from app import create_app

    found = create_app().cli
    words = command.split()
    while words and hasattr(found, "get_command"):
        found = found.get_command(None, words.pop(0))  # type: ignore[assignment,arg-type]
        assert found is not None, command


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", TEXT))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).resolve().exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([A-Z][A-Z_]{3,})(?:=[^`]*)?`", TEXT))))
def test_settings_that_are_named_are_settings(name: str) -> None:
    assert {name, name.removesuffix("_FILE")} & (SETTING_NAMES | NO_SETTINGS)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(task_[a-z_]+)`", TEXT))))
def test_metrics_that_are_named_are_there(name: str, server: Server) -> None:
    told = Rest(server.url).get("/metrics").text
    assert re.search(rf"^# TYPE {name} ", told, re.M)


@pytest.mark.parametrize(("place", "row"), FIGURES, ids=[row for _, row in FIGURES])
def test_figures_are_those_that_were_measured(place: str, row: str) -> None:
    """Rounded: runs differ by more than a digit."""
    [told] = re.findall(place, TEXT)
    benchmarks = (ROOT / "docs" / "benchmarks.md").read_text()
    [found] = re.findall(rf"^\| {re.escape(row)} \|.*?\*\*(.*?)\*\*", benchmarks, re.M)
    said, measured = (float("".join(figure.split())) for figure in (told, found))
    assert said == pytest.approx(measured, rel=0.2)


def test_every_process_is_scraped_and_upgraded() -> None:
    [job] = yaml.safe_load(SCRAPED)["scrape_configs"]
    [group] = job["static_configs"]
    upstreams = (DEPLOY / "upstreams.conf").read_text()
    assert set(group["targets"]) == set(re.findall(r"server (\S+:\d+)", upstreams))
    order = re.search(r"for process in (.*?); do", TEXT)
    assert order and set(order[1].split()) == PROCESSES.keys()
    for name in re.findall(r"run --rm (\w+)", TEXT):
        assert name in COMPOSE["services"]
    units = re.search(r"for unit in (.*?); do", RESTART)
    enabled = re.findall(r"task-server-(\w+@\d+)", ENABLE)
    assert units and units[1].split() == enabled


def test_tls_at_the_gateway(tmp_path: Path) -> None:
    require("nginx")
    key, certificate = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    made = [require("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt"]
    made += ["ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost"]
    made += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    conf = (DEPLOY / "nginx.conf").read_text()
    listen = "listen 8000 backlog=4096;"
    assert listen in conf
    gateway = Gateway([])
    try:
        tls = TLS
        for path in (key, certificate):
            there = gateway.keep_private(path.name, path.read_text())
            tls = tls.replace(f"/etc/nginx/tls/{path.name}", str(there))
        tls = tls.replace("listen 443", f"listen {gateway.port}")
        gateway.keep_private("nginx.conf", conf.replace(listen, tls))
        upstreams = (DEPLOY / "upstreams.conf").read_text()
        upstreams = re.sub(r"server \S+:", "server 127.0.0.1:", upstreams)
        gateway.keep_private("upstreams.conf", upstreams)
        done = subprocess.run(  # type: ignore[call-overload]
            [program("nginx"), *gateway.arguments("nginx.conf"), "-t"],
            capture_output=True,
            text=True,
            **gateway.identity(),
        )
        assert done.returncode == 0, done.stderr
    finally:
        gateway.discard()


# --- back-up and restore


def go_back(
    start: Callable[..., Server],
    folder: Path,
    settings: dict[str, str],
    backup: str,
    restore: str,
) -> None:
    """Back up a running server, go on, go back: the tasks are those of the back-up, and a client
    that saw what came after it is told to read everything again."""
    server = start(folder, **settings)
    alice = accounts.register(server.url, "Alice")
    kept = alice.rest.new_task("Kept")
    run(folder, settings, backup)
    forgotten = alice.rest.new_task("Forgotten")
    _, seq, epoch = snapshot("sse", server.url, alice)
    assert server.stop() == 0
    run(folder, settings, restore)
    server = start(folder, **settings)
    alice.rest.url = server.url
    assert [task["id"] for task in alice.rest.get("/tasks").json()] == [kept["id"]]
    while alice.rest.new_task("New")["id"] <= forgotten["id"] + 1:
        pass  # the numbers that the client has seen are given to others
    for transport in ("socketio", "gin", "sse"):
        reader = connect(transport, server.url, alice, since=seq, epoch=epoch)
        assert reader.notice("resync")["reason"] == "another_log"
        reader.close()
    assert server.stop() == 0


def run(folder: Path, settings: dict[str, str], code: str) -> None:
    """The block as it stands, in a folder of its own, with `flask` on the path."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    flask = tools / "flask"
    flask.write_text(f'#!/bin/sh\nexec {sys.executable} -m flask "$@"\n')
    flask.chmod(0o755)
    places = [str(tools)]
    if "DATABASE_URL" in settings:
        places.append(str(Path(program("initdb")).parent))
    base = environment(folder, settings)
    path = os.pathsep.join([*places, base["PATH"]])
    done = subprocess.run(
        ["bash", "-euc", code],
        cwd=folder,
        env=base | {"PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.guide
@sqlite_only
def test_sqlite_goes_back(start: Callable[..., Server], tmp_path: Path) -> None:
    go_back(start, tmp_path, {}, BACKUP, RESTORE)


@pytest.mark.guide
def test_postgresql_goes_back(
    start: Callable[..., Server], tmp_path: Path, postgresql: Databases
) -> None:
    require("pg_dump")
    settings = {"DATABASE_URL": postgresql.of(tmp_path)}
    go_back(start, tmp_path, settings, DUMP, LOAD)
