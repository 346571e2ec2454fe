"""Headers of every answer: CORS for the origins that are allowed, and what keeps browsers safe."""

from __future__ import annotations

import re

from flask import Flask, Response
from flask_cors import CORS

from task_app import logs
from task_app.resources.base import SAFE, JsonResponse

EXPOSED = (
    "ETag",
    "Link",
    "Retry-After",
    "X-Event-Seq",
    "X-Event-Epoch",
    "X-Unread-Count",
    "Idempotent-Replayed",
    logs.HEADER,
)
ACCEPTED = (
    *("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"),
    logs.HEADER,
)


def register(app: Flask) -> None:
    """Add the headers to every answer of the application."""
    if app.config["ALLOWED_ORIGINS"]:
        CORS(
            app,
            # As patterns: flask-cors takes text with a bracket (an IPv6 address) for one.
            origins=[re.compile(re.escape(one) + r"\Z") for one in app.config["ALLOWED_ORIGINS"]],
            always_send=False,
            allow_headers=list(ACCEPTED),
            expose_headers=list(EXPOSED),
            max_age=600,
        )
    app.after_request(_make_safe)


def _make_safe(response: Response) -> Response:
    if not isinstance(response, JsonResponse):  # it adds them itself
        for name, value in SAFE.items():
            response.headers.setdefault(name, value)
        response.headers[logs.HEADER] = logs.request_id()
        response.headers.pop("Date", None)  # Werkzeug's, with an ETag; the server has its own
    return response
