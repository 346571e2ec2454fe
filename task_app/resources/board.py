"""`/`: the board for a browser, and for a program where to go from here."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from flask import Flask, Response, abort, request, send_file

from task_app import jsonio
from task_app.resources.base import json_response

_WEB = Path(__file__).parent.parent / "web"
_FOLDER = _WEB / "board"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# What the page loads, and nothing else of that folder.
ASSETS = frozenset(path.name for path in _FOLDER.iterdir() if path.suffix in TYPES)
# Everything from here, nothing inline; and no script may make markup of a text at all: whatever
# would (`innerHTML`, `eval`, …) throws.  The one text that becomes a script is the address of the
# worker, by the one policy (`updates.js`).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types worker"
)
WORKER_POLICY = "default-src 'none'; connect-src 'self'; frame-ancestors 'none'"
INDEX = {
    "name": "Task server",
    "docs": "/docs",
    "openapi": "/openapi.json",
    "asyncapi": "/asyncapi.json",
    "health": "/health",
}


def _digest(content: bytes) -> str:
    """As `integrity` of a request has it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}"


def _shell() -> tuple[str, bytes, bytes]:
    """The version of the board's files, the page (which knows it), and the worker, which names the
    digest of each path."""
    page = (_FOLDER / "index.html").read_bytes()
    files = {f"/board/{name}": _digest((_FOLDER / name).read_bytes()) for name in sorted(ASSETS)}
    worker = (_WEB / "service-worker.js").read_bytes()
    everything = jsonio.dumps_bytes({**files, "page": _digest(page), "worker": _digest(worker)})
    version = hashlib.sha256(everything).hexdigest()[:16]
    page = page.replace(b"{version}", version.encode())
    paths = jsonio.dumps({"/": _digest(page), **files})
    told = f"const VERSION = {jsonio.dumps(version)};\nconst FILES = {paths};\n"
    return version, page, told.encode() + worker


# As long as the process lives: one that is upgraded starts anew, as does `make dev` at a change.
VERSION, _PAGE, _WORKER = _shell()


def register(app: Flask) -> None:
    """Serve the page and what it loads."""
    app.add_url_rule("/", "index", _index)
    app.add_url_rule("/board/<name>", "board_asset", _asset)
    app.add_url_rule("/service-worker.js", "board_worker", _worker)


def _index() -> Response:
    """JSON for whoever does not ask for a page first."""
    wanted = request.accept_mimetypes.best_match(["application/json", "text/html"])
    if wanted == "text/html":
        response = Response(_PAGE, mimetype="text/html")
        response.headers["Content-Security-Policy"] = POLICY
        response.set_etag(VERSION)
        response.make_conditional(request)
    else:
        response = json_response(INDEX)
    response.headers["Vary"] = "Accept"
    return response


def _asset(name: str) -> Response:
    if name not in ASSETS:
        abort(404)
    return send_file(_FOLDER / name, mimetype=TYPES[Path(name).suffix])


def _worker() -> Response:
    """What opens the board without the network.  It names every file and its digest: with another
    file it is another worker, which the browser finds and puts in the place of the old one."""
    response = Response(_WORKER, mimetype="text/javascript")
    response.headers["Content-Security-Policy"] = WORKER_POLICY
    return response
