"""The load client (`load.c`), driven from Python."""

from __future__ import annotations

import json
import select
import subprocess
from typing import Any

from bench.servers import BUILD, CLIENT_CORE, DESCRIPTION

LOAD = ["taskset", "-c", str(CLIENT_CORE), str(BUILD / "load")]
WINDOW = 1_000  # clients that are connecting at a time
PATIENCE = 150  # seconds for one measurement

Figures = dict[str, Any]
BODY = json.dumps({"title": "bench-%d", "description": DESCRIPTION, "priority": "high"})


class ClientError(Exception):
    """What the load client could not do, in its own words."""


class Sockets:
    """So many connected clients; `connected` says how that went."""

    def __init__(
        self, port: int, kind: str, count: int, tokens: str, ready: str = "-", window: int = WINDOW
    ) -> None:
        command = [*LOAD, "sockets", str(port), kind, str(count), tokens, str(window), ready]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        try:
            self.connected = self._answer()
        except BaseException:
            self.close()
            raise

    def _answer(self) -> Figures:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            raise ClientError("no answer in time")
        line = self.process.stdout.readline()
        if not line:
            raise ClientError(self.process.stderr.read().strip()[:500])
        found: Figures = json.loads(line)
        return found

    def do(self, *words: object) -> Figures:
        """One of the client's commands, and its figures."""
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        found = self._answer()
        if found.get("missing"):
            raise ClientError(f"{found['missing']} events never came")
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def http(
    port: int, method: str, path: str, seconds: float, tokens: str, body: str = "-"
) -> Figures:
    """Requests over 16 kept connections; a `%d` in the path counts from 1 to 1 000."""
    command = [*LOAD, "http", str(port), method, path, "16", str(seconds), "1000", tokens, body]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode:
        raise ClientError(done.stderr.strip()[:500])
    found: Figures = json.loads(done.stdout)
    return found
