"""Flask without the work per request that this server has no use for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Request
from flask.sessions import NullSession, SessionInterface, SessionMixin
from werkzeug.routing import MapAdapter

from task_app import logs


class NoSessions(SessionInterface):
    """No cookies: a token says who asks."""

    def open_session(self, app: Flask, request: Request) -> SessionMixin:
        return NullSession()

    def save_session(self, app: Flask, session: SessionMixin, response: Any) -> None:
        """There is nothing to save."""


class Application(Flask):
    session_interface = NoSessions()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Every request of every transport begins here."""
        logs.begin_request(environ.get("HTTP_X_REQUEST_ID"))
        return self.wsgi_app(environ, start_response)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """No view or hook here is a coroutine; to ask each, for each request, is 3 % of a GET."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """The matcher of a request's URL, made without asking which host it names: routes depend
        on none, and no URL that is made here goes into an answer."""
        if request is None:
            return super().create_url_adapter(request)
        environ = request.environ
        return MapAdapter(
            self.url_map,
            server_name=environ.get("HTTP_HOST", ""),
            script_name="/",
            subdomain="",
            url_scheme=environ["wsgi.url_scheme"],
            path_info=request.path,
            default_method=environ["REQUEST_METHOD"],
            query_args=environ.get("QUERY_STRING", ""),
        )
