"""Hints between processes, by Redis: "there is an event up to this number".

The log in the database is the truth and the relay's poll finds everything in it within a second;
a hint makes it look at once.  So Redis may lose hints, die, or carry rubbish: nothing is lost, and
since no event's content comes this way, nobody who can write to Redis can make a client believe
anything.

Telling is off the request's path: `tell` notes a number, a task of its own sends the last one.
"""

from __future__ import annotations

import logging
import threading

import redis
from flask import Flask
from redis.backoff import NoBackoff
from redis.retry import Retry

from task_app import jsonio
from task_app.extensions import socketio
from task_app.realtime.relay import relay

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 1.0  # for connecting, sending, and an answer
PING_SECONDS = 3.0  # between two signs of life on a silent connection
RETRY_SECONDS = 0.5
UNUSED, UP, DOWN = "unused", "up", "down"


class Hints:
    """`state` is how Redis is: `unused`, `up` or `down`."""

    def __init__(self) -> None:
        self.state = UNUSED
        self.latest = 0
        self.news = threading.Event()
        self.channel = ""
        self.client: redis.Redis | None = None

    def start(self, app: Flask) -> None:
        """Send and hear hints in the background until the process ends.  Call once the relay
        stands, for the channel is that of its log: installations may share one Redis."""
        if app.config["REDIS_URL"] is None:
            return
        self.client = redis.Redis.from_url(
            app.config["REDIS_URL"],
            socket_connect_timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            health_check_interval=PING_SECONDS,
            retry=Retry(NoBackoff(), 0),  # the loops below try again, and know that it was down
        )
        self.channel = f"task-server:{relay.epoch}"
        self.state = DOWN  # until it has answered
        relay.announce = self.tell
        socketio.start_background_task(self._keep_sending, self.client)
        socketio.start_background_task(self._keep_hearing, app, self.client)

    def tell(self, seq: int) -> None:
        """Say that the log has gone on to `seq`.  Neither waits nor raises."""
        self.latest = max(self.latest, seq)
        self.news.set()

    def _keep_sending(self, client: redis.Redis) -> None:
        while True:
            self.news.wait()
            self.news.clear()  # before the number is read: a later one is sent again
            try:
                client.publish(self.channel, jsonio.dumps_bytes({"seq": self.latest}))
            except (redis.RedisError, OSError):
                socketio.sleep(RETRY_SECONDS)  # what was not sent the others find by the poll

    def _keep_hearing(self, app: Flask, client: redis.Redis) -> None:
        while True:
            try:
                with client.pubsub() as subscription:
                    subscription.subscribe(self.channel)
                    self._hear(app, subscription)
            except (redis.RedisError, OSError) as error:
                self._note(DOWN, str(error))
            except Exception:  # without this task the process would be deaf to hints for good
                log.exception("a hint could not be followed")
                self._note(DOWN, "see above")
            socketio.sleep(RETRY_SECONDS)

    def _hear(self, app: Flask, subscription: redis.client.PubSub) -> None:
        while True:
            message = subscription.get_message(timeout=PING_SECONDS)
            if message is None:
                continue  # the time went by; Redis is asked for a sign of life on the way
            self._note(UP)
            seq = _seq(message["data"]) if message["type"] == "message" else None
            if seq is None or seq > relay.last_seq:
                with app.app_context():
                    relay.catch_up()  # also after (re)subscribing: hints were missed before

    def _note(self, state: str, reason: str = "") -> None:
        if state != self.state:
            log.log(
                logging.INFO if state == UP else logging.WARNING, "Redis is %s %s", state, reason
            )
        self.state = state


def _seq(data: object) -> int | None:
    """The number in a hint; 0 for what is none."""
    try:
        told = jsonio.loads(data)  # type: ignore[arg-type]
    except ValueError:
        return 0
    seq = told.get("seq") if isinstance(told, dict) else None
    return seq if type(seq) is int else 0


hints = Hints()
