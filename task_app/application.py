"""Flask without the work per request that this server has no use for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property, lru_cache
from typing import Any

from flask import Flask, Request, Response, request
from flask.ctx import AppContext, RequestContext
from flask.globals import _cv_app, _cv_request
from flask.sessions import NullSession
from werkzeug.datastructures import EnvironHeaders
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, Rule

from task_app import logs

# The URLs whose views are remembered; longer ones are matched each time.
REMEMBERED, REMEMBERED_LENGTH = 4096, 100


class Asked(Request):
    """A request that looks at its environment when it is asked."""

    def __init__(
        self, environ: dict[str, Any], populate_request: bool = True, shallow: bool = False
    ) -> None:
        self.environ = environ
        self.shallow = shallow
        self.method = environ["REQUEST_METHOD"].upper()
        path = environ.get("PATH_INFO", "")
        if not path.isascii():
            path = path.encode("latin-1").decode(errors="replace")
        self.path = "/" + path.lstrip("/")
        self.root_path = environ.get("SCRIPT_NAME", "").rstrip("/")
        self.query_string = environ.get("QUERY_STRING", "").encode("latin-1")
        self.scheme = environ["wsgi.url_scheme"]
        self.remote_addr = environ.get("REMOTE_ADDR")

    @cached_property
    def headers(self) -> EnvironHeaders:  # type: ignore[override]
        return EnvironHeaders(self.environ)

    @cached_property
    def server(self) -> tuple[str, int]:  # type: ignore[override]
        return self.environ["SERVER_NAME"], int(self.environ["SERVER_PORT"])


class Place(AppContext):
    """An application's context, of which no signal tells."""

    url_adapter = None

    def __init__(self, app: Application) -> None:
        self.app = app
        self.g = app.app_ctx_globals_class()
        self._cv_tokens = []

    def push(self) -> None:
        self._cv_tokens.append(_cv_app.set(self))

    def pop(self, exc: BaseException | None = None) -> None:
        try:
            if len(self._cv_tokens) == 1:
                self.app.do_teardown_appcontext(exc)
        finally:
            _cv_app.reset(self._cv_tokens.pop())


class Context(RequestContext):
    """A request's context, without session, whose URL is matched by the application."""

    app: Application
    request: Asked
    flashes = None
    _session = NullSession()
    _after_request_functions: Any = ()

    def __init__(self, app: Application, environ: dict[str, Any]) -> None:
        self.app = app
        self.request = Asked(environ)
        self.url_adapter = app.matcher
        self._cv_tokens = []

    def push(self) -> None:
        place, around = None, _cv_app.get(None)
        if around is None or around.app is not self.app:
            place = Place(self.app)
            place.push()
        self._cv_tokens.append((_cv_request.set(self), place))
        self.match_request()

    def pop(self, exc: BaseException | None = None) -> None:
        try:
            if len(self._cv_tokens) == 1:
                self.app.do_teardown_request(exc)
                if "files" in self.request.__dict__:  # somebody has read a form
                    self.request.close()
        finally:
            token, place = self._cv_tokens.pop()
            _cv_request.reset(token)
            if place is not None:
                place.pop(exc)

    def match_request(self) -> None:
        request = self.request
        try:
            rule, arguments = self.app.match(request.method, request.path)
        except HTTPException as error:
            request.routing_exception = error
        else:
            request.url_rule, request.view_args = rule, arguments.copy()


class Route(Rule):
    """A rule whose functions that make URLs are compiled when one is first made, which is seldom:
    to compile them all was half of making an application."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        compiled = cache(super()._compile_builder)

        def build(rule: Rule, **values: Any) -> tuple[str, str]:
            return compiled(append_unknown)(rule, **values)

        return build


class Application(Flask):
    url_rule_class = Route

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

    def full_dispatch_request(self) -> Response:
        """Flask's, without signals."""
        self._got_first_request = True
        try:
            answer = self.preprocess_request()
            if answer is None:
                answer = self.dispatch_request()
        except Exception as error:
            answer = self.handle_user_exception(error)
        if not isinstance(answer, Response):
            answer = self.make_response(answer)
        return self.process_response(answer)

    def dispatch_request(self) -> Any:
        """The view's answer; Flask's own way where there is no view to call."""
        asked = _cv_request.get().request
        if asked.url_rule is None or asked.method == "OPTIONS":
            return super().dispatch_request()
        return self.view_functions[asked.url_rule.endpoint](**asked.view_args or {})

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

    def do_teardown_appcontext(self, exc: BaseException | None = None) -> None:
        """The application's hooks; there is no signal `appcontext_tearing_down`."""
        for hook in reversed(self.teardown_appcontext_funcs):
            hook(exc)

    def app_context(self) -> AppContext:
        return Place(self)

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
