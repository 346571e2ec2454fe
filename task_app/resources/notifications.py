"""Notifications and broadcasts."""

from __future__ import annotations

from typing import Any

from flask import request

from task_app.resources.base import CommandResource, by_method, json_body, optional_json_body
from task_app.resources.limits import BROADCAST, limited


class NotificationListResource(CommandResource):
    commands = by_method(get="notification.list")

    def get(self) -> Any:
        """One's own notifications, in pages, the newest first."""
        return self.run(request.args.to_dict())


class NotificationReadResource(CommandResource):
    commands = by_method(post="notification.read_all")

    def post(self) -> Any:
        return self.run()


class NotificationResource(CommandResource):
    commands = by_method(
        put="notification.read", patch="notification.read", post="notification.read"
    )
    optional_body = True

    def put(self, notification_id: int) -> Any:
        return self.run(optional_json_body(), target=notification_id)

    patch = post = put


class BroadcastResource(CommandResource):
    commands = by_method(post="broadcast.send")
    method_decorators = [limited(BROADCAST)]  # noqa: RUF012 - Flask-RESTful's interface

    def post(self) -> Any:
        """Send a message to every connected client, its `data` untouched."""
        return self.run(json_body())
