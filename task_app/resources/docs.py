"""`/openapi.json` and `/asyncapi.json`, and `/docs` to read it and to try the API in a browser.

Swagger UI comes from the folder of the package flask-swagger-ui, nothing from another host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import flask_swagger_ui
from flask import Flask, Response, abort, request, send_file

from task_app import jsonio
from task_app.resources import asyncapi, openapi

_PACKAGE = Path(flask_swagger_ui.__file__).parent / "dist"
_OURS = Path(__file__).parent.parent / "web" / "static"
# What the page loads, and nothing else of those folders.
ASSETS = {
    "swagger-ui.css": _PACKAGE,
    "swagger-ui-bundle.js": _PACKAGE,
    "favicon-32x32.png": _PACKAGE,
    "docs.css": _OURS,
    "docs.js": _OURS,
}
# Swagger UI's icons are data URLs in its style sheet.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def register(app: Flask, routes: Iterable[tuple[Any, ...]], prefixes: Mapping[str, str]) -> None:
    """Serve the document of these routes, and the page."""

    for name, build in (("openapi", openapi.build), ("asyncapi", asyncapi.build)):
        _serve(app, name, partial(build, routes, prefixes))
    app.add_url_rule("/docs", "docs", _page)
    app.add_url_rule("/docs/assets/<name>", "docs_asset", _asset)


def _serve(app: Flask, name: str, build: Callable[[], Any]) -> None:
    """Serve a document that is made when it is first asked for."""

    @cache
    def document() -> bytes:
        return jsonio.dumps_bytes(build())

    def serve() -> Response:
        response = Response(document(), mimetype="application/json")
        response.add_etag(weak=True)
        response.make_conditional(request)
        return response

    app.add_url_rule(f"/{name}.json", name, serve)


def _page() -> Response:
    response = send_file(_OURS / "docs.html")
    response.headers["Content-Security-Policy"] = POLICY
    return response


def _asset(name: str) -> Response:
    if name not in ASSETS:
        abort(404)
    return send_file(ASSETS[name] / name)
