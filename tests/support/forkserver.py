"""Servers and commands forked from a process that has imported everything already.

Half of a short test was the start of its server, and nine tenths of that the imports.  What is
forked goes on exactly as `python app.py`, `python -c` or `flask --app app` does, with its own
environment, arguments, input and output.  Some tests have `python app.py` itself (`AppPy`).

Where several processes share the suite, what they fork from is forked as well, from one process
for all of them (`share`): the imports take as long as twenty tests.

As a program: reads requests from its standard input and tells about its children on its output,
a JSON object a line.  Given an address, it listens there and does so for each that connects.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import IO, Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent.parent
FORKS = hasattr(os, "pidfd_open")  # on Linux
PATIENCE = 20  # seconds, for the imports and for a fork
UNPATCHED = "threading"  # the mode of commands: nothing is made green for them
SHARED = "SUITE_FORKS_FROM"  # the tree, and the folder of what `share` has started for it


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
        tree, _, folder = os.environ.get(SHARED, "").partition(os.pathsep)
        # A suite that a test starts in another tree is about that tree's code.
        shared = tree == str(ROOT)
        self.requests, self.news = _connected(f"{folder}/{mode}") if shared else _started(mode)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self.news:
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
            self.requests.write(json.dumps(request) + "\n")
            self.requests.flush()
        assert child.known.wait(PATIENCE), "nothing was forked"


def forkserver(mode: str) -> ForkServer:
    """The one of this test process, which ends when this does, and its children with it.  A mode
    that there is not is refused by the child, whatever it was forked from."""
    return _forkserver(mode if mode == "eventlet" else "threading")


_forkserver = cache(ForkServer)


def _started(mode: str) -> tuple[IO[str], IO[str]]:
    """What a process of this one's own is asked by, and what it answers by."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__)), mode],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    atexit.register(process.wait)
    atexit.register(process.stdin.close)  # before that: it ends with its input
    return process.stdin, process.stdout


def _connected(address: str) -> tuple[IO[str], IO[str]]:
    """The same with one that is forked for this process, and ends when this does."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    return connection.makefile("w"), connection.makefile("r")


def share(folder: str, modes: Iterable[str]) -> None:
    """Start what every process of this suite is to fork from, until this process ends.  `folder`
    is for addresses."""
    for mode in modes:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{folder}/{mode}")
            listener.listen()
            shared = subprocess.Popen(
                [sys.executable, str(Path(__file__)), mode, str(listener.fileno())],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
            )
        assert shared.stdin is not None
        atexit.register(shared.wait)
        atexit.register(shared.stdin.close)
    os.environ[SHARED] = f"{ROOT}{os.pathsep}{folder}"


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
    try:
        if sys.argv[0] == "-c":
            exec(sys.argv.pop(1), {"__name__": "__main__"})  # noqa: S102 - the tests' own
        elif sys.argv[0] == "app.py":
            _end(app.main())
        else:
            cli.main()
        _end(0)
    except SystemExit as ending:
        _end(ending.code)


def _end(code: str | int | None) -> NoReturn:
    """Python's end but for its last step, which frees one object after the other, and to do so has
    each page of memory copied that this process shares: half of what a short server took."""
    if isinstance(code, str):
        sys.exit(code)  # which says it
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def _tell(**news: int) -> None:
    os.write(1, json.dumps(news).encode() + b"\n")


def _one_for_each(listener: socket.socket, poller: Any) -> bool:
    """Be forked for each who connects, to be asked and to answer there.  False in the process that
    all are forked from, once its input has ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    poller.register(0, select.POLLIN)
    poller.register(listener, select.POLLIN)
    while True:
        if 0 in dict(poller.poll()):
            return False
        connection, _ = listener.accept()
        if not os.fork():
            break
        connection.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    poller.unregister(0)
    poller.unregister(listener)
    for standard in (0, 1):
        os.dup2(connection.fileno(), standard)
    return True


def _serve(poller: Any) -> None:
    """Fork what is asked for, until the input ends."""
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
                number, pid = _fork(json.loads(line))
                descriptor = os.pidfd_open(pid)
                children[descriptor] = (number, pid)
                poller.register(descriptor, select.POLLIN)
                _tell(number=number, pid=pid)


def _fork(request: dict[str, Any]) -> tuple[int, int]:
    # Now: the other end of a pipe waits until it is told.
    modes = (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)
    files = [os.open(*one) for one in zip(request["files"], modes, strict=True)]
    pid = os.fork()
    if not pid:
        _become(request, files)
    for file in files:
        os.close(file)
    return request["number"], pid


def _main(mode: str, *listening: str) -> None:
    sys.path[0] = str(ROOT)
    poller = select.poll()  # as it is before anything is patched
    listeners = [socket.socket(fileno=int(number)) for number in listening]
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")  # all is imported
    import gc

    import app  # noqa: F401
    from task_app import server

    server.patch(mode)
    _import_everything()
    gc.freeze()
    if all(_one_for_each(listener, poller) for listener in listeners):
        _serve(poller)


if __name__ == "__main__":
    _main(*sys.argv[1:])
