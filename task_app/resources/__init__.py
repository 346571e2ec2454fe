"""REST: the one URL table, mounted once for each prefix that client families use.

The prefix picks the dialect of the answers; what comes in is understood in all of them.
"""

from __future__ import annotations

from functools import partial, update_wrapper
from typing import Any

from flask import Blueprint, Flask
from flask_restful import Api

from task_app.resources import (
    board,
    docs,
    errors,
    headers,
    limits,
    monitoring,
    sessions,
    streams,
    tasks,
    tokens,
    users,
)
from task_app.resources import notifications as notices
from task_app.resources.base import DIALECTS, CommandResource, json_response

Routes = tuple[tuple[Any, ...], ...]
# A resource and its URLs under every prefix, with and without a slash at the end; by the part of
# the server (`SERVICES`) that serves them.
USERS: Routes = (
    (tokens.RegisterResource, "/register", "/users/register", "/auth/register"),
    (tokens.LoginResource, "/login", "/users/login", "/auth/login"),
    (tokens.RefreshResource, "/refresh", "/auth/refresh"),
    (tokens.LogoutResource, "/logout", "/users/logout", "/auth/logout"),
    (tokens.VerifyResource, "/auth/verify"),
    (tokens.PasswordResource, "/users/password", "/auth/password"),
    (users.ProfileResource, "/users/profile", "/profile"),
    (sessions.SessionResource, "/session"),
    (users.PersonListResource, "/people"),
    (users.UserListResource, "/users"),
    (users.UserResource, "/users/<int:user_id>"),
)
TASKS: Routes = (
    (tasks.TaskListResource, "/tasks"),
    (tasks.ActivityResource, "/activity"),
    (tasks.TaskBulkResource, "/tasks/bulk"),
    (tasks.TaskResource, "/tasks/<int:task_id>"),
)
NOTIFICATIONS: Routes = (
    (notices.NotificationListResource, "/notifications"),
    (notices.NotificationReadResource, "/notifications/read"),
    (notices.NotificationResource, "/notifications/<int:notification_id>"),
    (notices.BroadcastResource, "/broadcast"),
    (streams.EventStreamResource, "/events"),
    (streams.TicketResource, "/ws/ticket"),
)
EVERYWHERE: Routes = (
    (monitoring.HealthResource, "/health"),
    (monitoring.ReadyResource, "/ready"),
)
SERVICES = {"users": USERS, "tasks": TASKS, "notifications": NOTIFICATIONS}
ROUTES: Routes = (*USERS, *TASKS, *NOTIFICATIONS, *EVERYWHERE)
PREFIXES = {"native": "", "channels": "/api", "fiber": "/api/v1"}


class JsonApi(Api):
    """Flask-RESTful answers errors by itself, around the application's error handlers and in
    another shape; this hands them back to Flask, so that every error has the one shape."""

    def error_router(self, original_handler: Any, error: Any) -> Any:
        return original_handler(error)

    def output(self, resource: Any) -> Any:
        """One of a resource whose answers are responses serves all requests; to make one for each,
        and to ask what it has answered, was 3 % of a GET."""
        if not issubclass(resource.view_class, CommandResource):
            return super().output(resource)
        return update_wrapper(partial(resource.view_class().dispatch_request), resource)


def register(app: Flask) -> None:
    """Add the routes of this process's services, and the answer to every error, to the
    application."""
    served = [
        route for name in SERVICES if name in app.config["SERVICES"] for route in SERVICES[name]
    ]
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # or it redirects, to whatever host the client names
    errors.register(app)
    headers.register(app)
    limits.register(app)
    monitoring.register(app)
    board.register(app)
    docs.register(app, ROUTES, PREFIXES)
    for dialect in DIALECTS:
        blueprint = Blueprint(dialect, __name__)
        api = JsonApi(blueprint)
        api.representations.clear()
        api.representations["application/json"] = json_response
        for resource, *urls in (*served, *EVERYWHERE):
            api.add_resource(resource, *urls)
        app.register_blueprint(blueprint, url_prefix=PREFIXES[dialect] or None)
