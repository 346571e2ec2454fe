"""Flask without the work per request that this server has no use for."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flask import Flask, Request, Response, request
from flask.ctx import RequestContext
from flask.sessions import NullSession, SessionInterface, SessionMixin
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, Rule

from task_app import logs

# The URLs whose views are remembered; longer ones are matched each time.
REMEMBERED, REMEMBERED_LENGTH = 4096, 100


class NoSessions(SessionInterface):
    """No cookies: a token says who asks."""

    def open_session(self, app: Flask, request: Request) -> SessionMixin:
        return NullSession()

    def save_session(self, app: Flask, session: SessionMixin, response: Any) -> None:
        """There is nothing to save."""


class Context(RequestContext):
    """A request's context, whose URL is matched by the application."""

    app: Application

    def match_request(self) -> None:
        request = self.request
        try:
            rule, arguments = self.app.match(request.method, request.path)
        except HTTPException as error:
            request.routing_exception = error
        else:
            request.url_rule, request.view_args = rule, arguments.copy()


class Application(Flask):
    session_interface = NoSessions()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Routes depend on no host, and no URL that is made here goes into an answer.
        self.matcher = MapAdapter(self.url_map, "", "/", "", "http", "/", "GET")
        self.remembered = lru_cache(REMEMBERED)(self._match)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Every request of every transport begins here."""
        logs.begin_request(environ.get("HTTP_X_REQUEST_ID"))
        return self.wsgi_app(environ, start_response)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """No view or hook here is a coroutine; to ask each, for each request, is 3 % of a GET."""
        return func

    def register_blueprint(self, blueprint: Any, **options: Any) -> None:
        """Raises TypeError for one with hooks of its own: they would not be called."""
        super().register_blueprint(blueprint, **options)
        hooks = (self.before_request_funcs, self.after_request_funcs, self.teardown_request_funcs)
        if self.url_value_preprocessors or any(name is not None for one in hooks for name in one):
            raise TypeError("hooks before and after requests are the application's alone")

    def preprocess_request(self) -> Any:
        """The application's hooks, without a search for those of blueprints."""
        for hook in self.before_request_funcs.get(None, ()):
            answer = hook()
            if answer is not None:
                return answer
        return None

    def process_response(self, response: Response) -> Response:
        """The application's hooks; there is no `flask.after_this_request`."""
        for hook in reversed(self.after_request_funcs.get(None, ())):
            response = hook(response)
        return response

    def do_teardown_request(self, exc: BaseException | None = None) -> None:
        """The application's hooks; there is no signal `request_tearing_down`."""
        for hook in reversed(self.teardown_request_funcs.get(None, ())):
            hook(exc)

    def request_context(self, environ: Any) -> RequestContext:
        return Context(self, environ)

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """One matcher for all requests; without a request there is none."""
        return None if request is None else self.matcher

    def make_default_options_response(self) -> Response:
        response = self.response_class()
        response.allow.update(self.matcher.allowed_methods(request.path))
        return response

    def match(self, method: str, path: str) -> tuple[Rule, dict[str, Any]]:
        """The rule of a request's URL, and its arguments.  Raises `HTTPException`: 404, 405."""
        find = self.remembered if len(path) <= REMEMBERED_LENGTH else self._match
        return find(method, path)

    def _match(self, method: str, path: str) -> tuple[Rule, dict[str, Any]]:
        rule, arguments = self.matcher.match(path, method, return_rule=True)
        return rule, dict(arguments)
