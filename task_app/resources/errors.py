"""Every error of the application as the one JSON body, whatever raised it."""

from __future__ import annotations

import logging
import re

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from task_app import logs
from task_app.errors import AppError
from task_app.resources.base import current_dialect, json_response

log = logging.getLogger(__name__)
TOO_MANY = "Too many tries; wait for as long as Retry-After says"


def register(app: Flask) -> None:
    """Answer our errors, HTTP's and the unforeseen ones alike."""
    app.register_error_handler(AppError, answer)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_unforeseen)


def answer(error: AppError) -> Response:
    headers = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    body = logs.identified(error)
    if "current" in body:  # the task of a 412, spelt as the client reads it
        body["current"] = current_dialect().task(body["current"])
    return json_response(body, error.status, headers)


def _answer_http(error: HTTPException) -> Response:
    status = error.code or 500
    code = re.sub(r"\W+", "_", error.name).lower()
    text = error.description or error.name
    if status == 429:
        text = TOO_MANY
        log.info("too many tries: %s by %s", request.url_rule, request.remote_addr)
    response = answer(AppError(code, status, text))
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _answer_unforeseen(error: Exception) -> Response:
    log.exception("a request failed")
    return answer(AppError("internal_error", 500, "The server could not do this"))
