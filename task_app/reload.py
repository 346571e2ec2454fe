"""The server for whoever works on it (`python app.py --dev`): started anew when a file changes,
and a traceback as a page where something fails."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from flask import Flask
from werkzeug.debug import DebuggedApplication

WATCHED = {".py", ".html", ".js", ".css"}
POLL_SECONDS = 0.5
STOP_SECONDS = 12


def show_tracebacks(app: Flask) -> None:
    """Answer what was not foreseen with a page of its traceback.  The page runs no code."""
    app.debug = True
    app.register_error_handler(Exception, _raise)
    app.wsgi_app = DebuggedApplication(app.wsgi_app, evalex=False)  # type: ignore[method-assign]


def _raise(error: Exception) -> NoReturn:
    raise error


def supervise(command: list[str], root: Path) -> int:
    """Run `command`, and anew whenever a file under `root` has changed.  Returns its exit code
    after SIGTERM or SIGINT; a server that ends by itself is started at the next change."""
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stopping.append(number))
    while True:
        before = _state(root)
        server = subprocess.Popen(command)  # noqa: S603  # ourselves  # nosec B603
        while not stopping and _state(root) == before:
            time.sleep(POLL_SECONDS)
        code = _stop(server)
        if stopping:
            return code
        print("A file has changed: starting anew", file=sys.stderr, flush=True)


def _stop(server: subprocess.Popen[bytes]) -> int:
    if server.poll() is None:
        server.terminate()
    try:
        return server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        return server.wait()


def _state(root: Path) -> dict[str, float]:
    found = {}
    for path in _files(root):
        with suppress(FileNotFoundError):  # an editor is just putting another in its place
            found[str(path)] = path.stat().st_mtime
    return found


def _files(root: Path) -> Iterator[Path]:
    for path in [*root.glob("*.py"), *(root / "task_app").rglob("*")]:
        if path.suffix in WATCHED:
            yield path
