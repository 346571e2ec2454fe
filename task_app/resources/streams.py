"""The event stream, and tickets for it and for WebSockets."""

from __future__ import annotations

from typing import Any

from flask_restful import Resource

from task_app.realtime import sse
from task_app.resources.base import CommandResource, by_method, current_dialect


class EventStreamResource(Resource):
    form: type[sse.Stream] = sse.Stream
    name = "events"  # in the OpenAPI document

    def get(self) -> Any:
        """The live feed as Server-Sent Events, resumed from `Last-Event-ID` or `since`."""
        return sse.open_stream(current_dialect(), self.form)


class TicketResource(CommandResource):
    commands = by_method(post="ticket.create")

    def post(self) -> Any:
        """A one-use ticket for a WebSocket or a stream, for clients that cannot send a header."""
        return self.run()
