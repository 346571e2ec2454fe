"""When a process tells the others how many clients it has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask

from task_app import jobs, presence
from task_app.realtime.feeds import Subscriber, feeds
from tests.conftest import sqlite_only
from tests.support import statements

pytestmark = sqlite_only


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return statements.prepared(tmp_path)


@pytest.fixture
def client() -> Iterator[Subscriber]:
    jobs._last.told = {}  # as in a process that has just started
    jobs._leaving.clear()
    one = Subscriber()
    feeds.connect(one)
    yield one
    feeds.disconnect(one)


def told(app: Flask) -> list[int]:
    """The numbers that the job writes now, if it does."""
    with app.app_context(), closing(statements.database(app)) as db:
        db.execute("DELETE FROM processes")
        jobs.run(app, jobs.tell_news)
        return [clients for (clients,) in db.execute("SELECT clients FROM processes")]


def test_news_and_signs_of_life(app: Flask, client: Subscriber) -> None:
    """Looked for every second: told when the numbers have changed, and every five seconds."""
    assert (presence.NEWS_SECONDS, jobs.tell_news) in jobs.JOBS
    assert told(app) == [1]
    assert told(app) == []  # nothing new
    another = Subscriber()
    feeds.connect(another)
    assert told(app) == [2]
    feeds.disconnect(another)
    assert told(app) == [1]
    jobs._last.at -= presence.BEAT_SECONDS
    assert told(app) == [1]
    assert told(app) == []
