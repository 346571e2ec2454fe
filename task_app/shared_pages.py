"""Pages that another process read a moment ago, by Redis.

A page is kept under what was asked, by whom, and how the log stood for them (the validator), so
it is never out of date: after a change another page is asked for, and the old one ends by itself.
Redis is trusted with nothing but keeping: who could write there without the secret cannot show
anybody anything.  Nobody waits for it longer than `WAIT_SECONDS`, and while it is away nobody
does at all.

For PostgreSQL: SQLite answers sooner than Redis (docs/decisions/shared-pages.md has the figures).
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
import time
from collections import deque
from collections.abc import Hashable
from pathlib import Path

import redis
from flask import Flask
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import URL

from task_app import jsonio, postgres
from task_app.extensions import db, socketio
from task_app.pages import Page

log = logging.getLogger(__name__)

WAIT_SECONDS = 0.05  # for connecting, and for an answer
PAUSE_SECONDS = 2.0  # after a failure, before it is tried again
MOST_BYTES = 256 << 10  # of a page; reading a longer one again costs no more than taking it over
FEWEST_ITEMS = 10  # of a page that is worth it
MOST_WAITING = 64  # pages that are still to be sent; the oldest are not
CONNECTIONS = 16
TAG_BYTES = 32


class SharedPages:
    """Used once it was started; until then nothing is found and nothing kept."""

    def __init__(self) -> None:
        self.client: redis.Redis | None = None
        self.place, self.key, self.seconds = "", b"", 0
        self.resting_until = 0.0
        self.failed = False
        self.waiting: deque[tuple[str, Page]] = deque(maxlen=MOST_WAITING)
        self.news = threading.Event()

    def start(self, app: Flask) -> None:
        """Share pages from now on, when the settings say so."""
        url, self.seconds = app.config["REDIS_URL"], app.config["CACHE_TTL_SECONDS"]
        with app.app_context():
            database = db.engine.url
        if url is None or not self.seconds or database.get_backend_name() != postgres.NAME:
            return
        self.place = f"{_place(database)} {_build()}"
        secret = app.config["JWT_SECRET_KEY"].encode()
        self.key = hmac.digest(secret, b"pages of lists in Redis", "sha256")
        self.client = redis.Redis.from_url(
            url,
            socket_connect_timeout=WAIT_SECONDS,
            socket_timeout=WAIT_SECONDS,
            max_connections=CONNECTIONS,
            retry=Retry(NoBackoff(), 0),
        )
        socketio.start_background_task(self._keep_sending, self.client)

    def get(self, question: Hashable, validator: str) -> Page | None:
        """The page as another process read it under this validator.  Never raises."""
        if self.client is None or not self._may_try():
            return None
        name = self._name(question, validator)
        try:
            # Not GET: whoever else writes there may have put a gigabyte under the name.
            found = self.client.getrange(name, 0, TAG_BYTES + MOST_BYTES)
        except (redis.MaxConnectionsError, redis.ResponseError):
            return None  # every connection is in use; or it is no text: it is there at least
        except (redis.RedisError, OSError):
            self._rest()
            return None
        self.failed = False
        return self._opened(name, found)  # type: ignore[arg-type]

    def put(self, question: Hashable, validator: str, page: Page) -> None:
        """Keep a page for the others, soon.  Neither waits nor raises."""
        if self.client is None or self.failed or not worth_it(page):
            return
        self.waiting.append((self._name(question, validator), page))
        self.news.set()

    def _keep_sending(self, client: redis.Redis) -> None:
        while True:
            self.news.wait()
            self.news.clear()
            while self.waiting:
                name, page = self.waiting.popleft()
                try:
                    if (value := self._sealed(name, page)) is not None:
                        client.set(name, value, ex=self.seconds)
                except (redis.RedisError, OSError):
                    self._rest()
                except Exception:  # without this task nothing would be shared any more
                    log.exception("a page could not be shared")

    def _may_try(self) -> bool:
        """Whether Redis is there, as far as is known.  After a pause one finds out for all."""
        if not self.failed:
            return True
        now = time.monotonic()
        if now < self.resting_until:
            return False
        self.resting_until = now + PAUSE_SECONDS
        return True

    def _rest(self) -> None:
        self.failed = True
        self.resting_until = time.monotonic() + PAUSE_SECONDS

    def _name(self, question: Hashable, validator: str) -> str:
        text = jsonio.dumps_bytes([self.place, validator, question])
        return f"task-server:page:{_mac(self.key, text).hex()}"

    def _sealed(self, name: str, page: Page) -> bytes | None:
        """The page as Redis keeps it; None when it is too long for that."""
        text = jsonio.dumps_bytes([page.items, page.cursor, page.facts])
        return None if len(text) > MOST_BYTES else self._tag(name, text) + text

    def _opened(self, name: str, value: bytes) -> Page | None:
        """The page, if one of us kept it under this name."""
        text = value[TAG_BYTES:]
        if not hmac.compare_digest(self._tag(name, text), value[:TAG_BYTES]):
            return None
        return Page(*jsonio.loads_trusted(text))

    def _tag(self, name: str, text: bytes) -> bytes:
        """With the name: a page must not be moved to another, of another reader or time."""
        return _mac(self.key, name.encode() + b"\n" + text)


def worth_it(page: Page) -> bool:
    """Whether to take a page over from another process costs less than to read it again."""
    return len(page.items) >= FEWEST_ITEMS


def _mac(key: bytes, text: bytes) -> bytes:
    return hashlib.blake2b(text, key=key, digest_size=TAG_BYTES).digest()


def _place(url: URL) -> str:
    """Which database this is, beside its epoch: a copy of one has the same."""
    return f"{url.host}:{url.port}/{url.database}"


def _build() -> str:
    """Which version of this server this is: the next one may make a page of other fields, and
    both run at once during an upgrade."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


shared_pages = SharedPages()
