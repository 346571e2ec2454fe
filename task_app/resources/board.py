"""`/`: the board for a browser, and for a program where to go from here."""

from __future__ import annotations

from pathlib import Path

from flask import Flask, Response, abort, request, send_file

from task_app.resources.base import json_response

_FOLDER = Path(__file__).parent.parent / "web" / "board"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# What the page loads, and nothing else of that folder.
ASSETS = frozenset(path.name for path in _FOLDER.iterdir() if path.suffix in TYPES)
# Everything from here, nothing inline; and no script may make markup of a text at all: whatever
# would (`innerHTML`, `eval`, …) throws.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
INDEX = {
    "name": "Task server",
    "docs": "/docs",
    "openapi": "/openapi.json",
    "asyncapi": "/asyncapi.json",
    "health": "/health",
}


def register(app: Flask) -> None:
    """Serve the page and what it loads."""
    app.add_url_rule("/", "index", _index)
    app.add_url_rule("/board/<name>", "board_asset", _asset)


def _index() -> Response:
    """JSON for whoever does not ask for a page first."""
    wanted = request.accept_mimetypes.best_match(["application/json", "text/html"])
    if wanted == "text/html":
        response = send_file(_FOLDER / "index.html", mimetype="text/html")
        response.headers["Content-Security-Policy"] = POLICY
    else:
        response = json_response(INDEX)
    response.headers["Vary"] = "Accept"
    return response


def _asset(name: str) -> Response:
    if name not in ASSETS:
        abort(404)
    return send_file(_FOLDER / name, mimetype=TYPES[Path(name).suffix])
