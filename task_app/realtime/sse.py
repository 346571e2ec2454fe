"""Server-Sent Events (WHATWG HTML, section 9.2): the feed for `curl -N` and EventSource."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from flask import Response, current_app, request, stream_with_context

from task_app import jsonio
from task_app.access import Actor
from task_app.dialects import Dialect
from task_app.errors import unauthorized
from task_app.events import Event
from task_app.extensions import socketio
from task_app.realtime import replay
from task_app.realtime.door import actor_at_door, query_of
from task_app.realtime.feeds import Subscriber, feeds
from task_app.realtime.outbox import DRAIN_SECONDS, FAREWELL_SECONDS, Outbox
from task_app.realtime.replay import Position
from task_app.realtime.wire import connection_of

KEEPALIVE_SECONDS = 15
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def frame(name: str, payload: Any, event_id: str | None = None) -> str:
    """One event of the stream."""
    head = "" if event_id is None else f"id: {event_id}\n"
    return f"{head}event: {name}\ndata: {jsonio.dumps(payload)}\n\n"


class EventStreamWire:
    """An event as one event of the stream; its id is what `Last-Event-ID` brings back."""

    def __init__(self, dialect: Dialect, frame: Callable[..., str]) -> None:
        self.dialect = dialect
        self.frame = frame

    def encode(self, event: Event, epoch: str) -> str:
        return self.frame(event.type, self.dialect.event(event, epoch), f"{epoch}-{event.seq}")


_wires: dict[tuple[type, str], EventStreamWire] = {}


class Stream(Subscriber):
    """One open response.  A stream of another form is a class with these four of its own."""

    mimetype = "text/event-stream"
    greeting = ": connected\n\n"
    keepalive = ": keepalive\n\n"
    frame: Callable[..., str] = staticmethod(frame)

    def __init__(self, dialect: Dialect, connection: Any) -> None:
        super().__init__()
        form = (type(self), dialect.name)
        self.wire = _wires.setdefault(form, EventStreamWire(dialect, self.frame))
        self.outbox: Outbox[str] = Outbox()
        self.send = self.outbox.put
        self.connection = connection
        self.cut = False

    def notice(self, name: str, payload: dict[str, Any]) -> None:
        event_id = f"{payload['epoch']}-{payload['seq']}" if "seq" in payload else None
        if not self.send(self.frame(name, payload, event_id)):
            self.end("slow_reader")

    def wait_for_room(self) -> bool:
        if self.outbox.wait_for_room(DRAIN_SECONDS):
            return True
        self.end("slow_reader")
        return False

    def end(self, reason: str) -> None:
        if self.ended:
            return
        feeds.disconnect(self)
        if reason == "slow_reader":
            self.cut = True
            self.outbox.close(discard=True)
            socketio.start_background_task(self._end_connection)
        else:
            self.outbox.put(self.frame("end", {"reason": reason}))
            self.outbox.close()

    def _end_connection(self) -> None:
        """The writer may wait in the socket of a client that does not read."""
        socketio.sleep(FAREWELL_SECONDS)
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def open_stream(dialect: Dialect, form: type[Stream] = Stream) -> Response:
    """Answer this request with the feed of whoever sends it.  Raises 400, 401."""
    query = query_of(request.environ)
    actor = actor_at_door(request.environ, query)
    if actor is None:
        raise unauthorized()
    where = _position(query)
    stream = form(dialect, connection_of(request.environ))
    body = stream_with_context(_body(stream, actor, where))
    response = Response(body, mimetype=form.mimetype)
    response.headers.update(HEADERS)
    return response


def _position(query: Mapping[str, str]) -> Position:
    last = request.headers.get("Last-Event-ID")
    if last:
        epoch, _, seq = last.rpartition("-")
        return replay.position(seq, epoch or None)
    return replay.position(query.get("since"), query.get("epoch"))


def _body(stream: Stream, actor: Actor, where: Position) -> Iterator[str]:
    feeds.connect(stream)
    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def bring_up_to_date() -> None:
        with app.app_context(), replay.or_end(stream):
            replay.start(stream, actor, where)

    try:
        yield stream.greeting
        # Beside the writing, because a replay waits for the reader when the outbox is full.
        socketio.start_background_task(bring_up_to_date)
        while (frames := stream.outbox.take(KEEPALIVE_SECONDS)) is not None:
            yield "".join(frames) or stream.keepalive
        if stream.cut:
            # Nothing may follow on the connection: it is about to be shut down.
            raise ConnectionAbortedError("the client reads too slowly")
    finally:
        stream.outbox.close()
        feeds.disconnect(stream)
