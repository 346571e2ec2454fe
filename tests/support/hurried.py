"""A server that gives clients that do not read less time."""

from __future__ import annotations

from pathlib import Path

from tests.support.server import Server

PROGRAM = """
import sys
from app import main
from task_app.realtime import outbox
outbox.DRAIN_SECONDS, outbox.FAREWELL_SECONDS = {drain}, {farewell}
sys.exit(main())
"""


class Hurried(Server):
    """`drain` and `farewell` are `outbox.py`'s DRAIN_SECONDS and FAREWELL_SECONDS.  A program of
    its own: its memory is looked at."""

    def __init__(self, instance: Path, drain: float, farewell: float, **settings: str) -> None:
        super().__init__(instance, **settings)
        self.program = ("-c", PROGRAM.format(drain=drain, farewell=farewell))
