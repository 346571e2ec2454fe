"""Servers and commands forked from a process that has imported everything already.

Half of a short test was the start of its server, and nine tenths of that the imports.  What is
forked goes on exactly as `python app.py`, `python -c` or `flask --app app` does, with its own
environment, arguments, input and output.  Some tests have `python app.py` itself (`AppPy`).

As a program: reads requests from its standard input and tells about its children on its output,
a JSON object a line.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import IO, Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent.parent
FORKS = hasattr(os, "pidfd_open")  # on Linux
PATIENCE = 20  # seconds, for the imports and for a fork


class Child:
    """A forked server, as `subprocess.Popen` shows one."""

    def __init__(self, stdout: IO[str]) -> None:
        self.stdout = stdout
        self.pid = 0
        self.returncode: int | None = None
        self.known = threading.Event()
        self.ended = threading.Event()

    def wait(self, timeout: float | None = None) -> int:
        if not self.ended.wait(timeout):
            raise subprocess.TimeoutExpired("app.py", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if not self.ended.is_set():
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The process that forks, and the news of its children."""

    def __init__(self, mode: str) -> None:
        self.children: dict[int, Child] = {}  # by the number of the request
        self.lock = threading.Lock()
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), mode],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        atexit.register(self._end)

    def _end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            news = json.loads(line)
            child = self.children[news["number"]]
            if "pid" in news:
                child.pid = news["pid"]
                child.known.set()
            else:
                child.returncode = news["code"]
                child.ended.set()

    def start(self, argv: list[str], env: dict[str, str]) -> Child:
        """A server.  What it prints, wherever to, comes from the child's `stdout`."""
        read, write = os.pipe()
        child = Child(os.fdopen(read))
        out = f"/proc/{os.getpid()}/fd/{write}"
        self._fork(child, argv, env, (os.devnull, out, out))
        os.close(write)
        return child

    def run(
        self, argv: list[str], env: dict[str, str], given: str, seconds: float
    ) -> tuple[int, str, str]:
        """`argv` until its end, with `given` for input: its exit code, output and errors."""
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / name for name in ("in", "out", "err")]
            for file in files:
                file.write_text(given if file.name == "in" else "")
            child = Child(files[1].open())
            self._fork(child, argv, env, tuple(map(str, files)))
            try:
                code = child.wait(seconds)
            finally:
                child.kill()
                child.stdout.close()
            return code, files[1].read_text(), files[2].read_text()

    def _fork(
        self, child: Child, argv: list[str], env: dict[str, str], files: tuple[str, ...]
    ) -> None:
        with self.lock:
            number = len(self.children)
            self.children[number] = child
            request = {"number": number, "argv": argv, "env": env, "files": files}
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps(request) + "\n")
        assert child.known.wait(PATIENCE), "nothing was forked"


def forkserver(mode: str) -> ForkServer:
    """The one of this test process, which ends when this does, and its children with it.  A mode
    that there is not is refused by the child, whatever it was forked from."""
    return _forkserver(mode if mode == "eventlet" else "threading")


_forkserver = cache(ForkServer)


def _import_everything() -> None:
    import importlib
    import pkgutil

    import task_app

    for module in pkgutil.walk_packages(task_app.__path__, "task_app."):
        if ".migrations" not in module.name:
            importlib.import_module(module.name)
    for name in ("apispec.ext.marshmallow", "flask_cors", "flask_migrate", "flask_swagger_ui"):
        importlib.import_module(name)


def _become(request: dict[str, Any], files: list[int]) -> NoReturn:
    """In the child: be what is asked for, with these for standard input, output and errors."""
    from flask import cli

    import app

    for there, here in enumerate(files):
        os.dup2(here, there)
    os.closerange(3, 256)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = request["argv"]
    if sys.argv[0] == "-c":
        exec(sys.argv.pop(1), {"__name__": "__main__"})  # noqa: S102 - the tests' own
    sys.exit(app.main() if sys.argv[0] == "app.py" else cli.main())


def _tell(**news: int) -> None:
    os.write(1, json.dumps(news).encode() + b"\n")


def _main(mode: str) -> None:
    sys.path[0] = str(ROOT)
    poller = select.poll()  # as it is before anything is patched
    import gc

    import app  # noqa: F401
    from task_app import server

    server.patch(mode)
    _import_everything()
    gc.freeze()
    children: dict[int, tuple[int, int]] = {}  # by descriptor: number, process
    rest = b""
    poller.register(0, select.POLLIN)
    while True:
        for ready, _ in poller.poll():
            if ready:
                number, pid = children.pop(ready)
                poller.unregister(ready)
                os.close(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                _tell(number=number, code=code)
                continue
            data = os.read(0, 65536)
            if not data:
                for _, pid in children.values():
                    os.kill(pid, signal.SIGKILL)
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                request = json.loads(line)
                # Now: the other end of a pipe waits until it is told.
                modes = (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)
                files = [os.open(*one) for one in zip(request["files"], modes, strict=True)]
                pid = os.fork()
                if not pid:
                    _become(request, files)
                for file in files:
                    os.close(file)
                descriptor = os.pidfd_open(pid)
                children[descriptor] = (request["number"], pid)
                poller.register(descriptor, select.POLLIN)
                _tell(number=request["number"], pid=pid)


if __name__ == "__main__":
    _main(sys.argv[1])
