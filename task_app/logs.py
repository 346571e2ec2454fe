"""Log lines, and the id of the request that each belongs to.

A request's id is in its answer (`X-Request-ID`, and an error's body), in every line that is
logged on its behalf, and in the events it caused: in the log of events, in the native dialect and,
at DEBUG, in the line in which each process says whom an event reached.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from contextvars import ContextVar
from typing import Any

from task_app import jsonio
from task_app.errors import AppError
from task_app.ids import Ids

HEADER = "X-Request-ID"
LINE = "{levelname} {asctime} {module} {message}"
# What a client may call its request: nothing that could begin another line or header.
_SANE = re.compile(r"[A-Za-z0-9._~:@+/=-]{1,64}")
# Nothing can be read out of it, such as how many requests there were.
_new_id = Ids(10, bytes.hex)
_current: ContextVar[str] = ContextVar("request_id", default="")


def begin_request(given: str | None = None) -> None:
    """A request begins in this greenlet or thread: it has the id its client gave it, if that can
    be one (1-64 characters), or a new one."""
    if given is None or not _SANE.fullmatch(given):
        given = _new_id()
    _current.set(given)


def identified(error: AppError) -> dict[str, Any]:
    """The body of an error, as every transport tells it to whoever asked: with the id under which
    the log has the request."""
    return {**error.to_dict(), "request_id": request_id()}


def request_id() -> str:
    """That of the request under way; empty where there is none."""
    return _current.get()


class _Lines(logging.Formatter):
    """For people: the id of the request at the end of the line, if there is one."""

    def __init__(self) -> None:
        super().__init__(LINE, style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        found = _id_of(record)
        return f"{line} [{found}]" if found else line


class _Json(logging.Formatter):
    """For programs: one object on each line; times are UTC."""

    converter = staticmethod(time.gmtime)  # type: ignore[assignment]

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "level": record.levelname,
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03}Z",
            "module": record.module,
            "message": record.getMessage(),
        }
        found = _id_of(record)
        if found:
            told["request_id"] = found
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return jsonio.dumps(told)


def _id_of(record: logging.LogRecord) -> str:
    found: str = getattr(record, "request_id", "") or _current.get()
    return found


def configure(level: str, form: str) -> None:
    """Log to stderr from `level` on, as `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Lines())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # By themselves these two write each line a second time, in no form of ours.
    for name in ("engineio.server", "socketio.server"):
        logging.getLogger(name).handlers.clear()
    # At INFO it names whoever has tried too often, by what they typed where a name belongs.
    logging.getLogger("flask-limiter").setLevel(logging.WARNING)
