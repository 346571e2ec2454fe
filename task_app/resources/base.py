"""What every resource shares: who asks, what they send, and how the answer is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import urlencode

from flask import Request, Response, current_app, request
from flask_restful import Resource
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import HTTP_STATUS_CODES

from task_app import auth, jsonio, logs
from task_app.access import ANONYMOUS, Actor
from task_app.commands import ANY, NOT_MODIFIED, Result, authenticate, execute
from task_app.dialects import CHANNELS, FIBER, NATIVE, Dialect
from task_app.errors import AppError
from task_app.realtime.relay import relay

_BREAK = re.compile(r"[\r\n]")
_VERSION = re.compile(r"[0-9]{1,18}")
# The payload of a request that carries none; a body of `null` is not that.
NOTHING: Mapping[str, Any] = {}
# What keeps browsers safe, with every answer.
SAFE: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    # Answers are somebody's own: a shared cache must not keep them, one's own must ask again.
    "Cache-Control": "private, no-cache",
}
_SAFE = tuple(SAFE.items())
JSON = "application/json"
# By the name of the blueprint, which stands for a prefix.
DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (NATIVE, CHANNELS, FIBER)}


class JsonResponse(Response):
    """An answer that is there as a whole.  `own` are the headers that it has beside those of every
    answer (`SAFE`), which are added as it leaves; `headers` are for who has more to add."""

    # Plain, so that nobody parses the one to find the other.
    status: str = ""  # type: ignore[assignment,override]
    status_code: int = 0  # type: ignore[assignment]

    def __init__(self, content: bytes, status: int, own: Mapping[str, str]) -> None:
        if _BREAK.search("".join(own.values())):
            raise ValueError("a header with a line break")
        self.content = content
        self.status, self.status_code = status_line(status), status
        self.own = own

    @cached_property
    def headers(self) -> Headers:  # type: ignore[override]
        return Headers(self.own)

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """WSGI, without Werkzeug's look at what an answer might lack."""
        fields = [
            ("Content-Length", str(len(self.content))),
            ("Content-Type", JSON),
            (logs.HEADER, logs.request_id()),
        ]
        added = self.__dict__.get("headers")
        own = [*self.own.items()] if added is None else added.to_wsgi_list()
        names = {name for name, _ in own}
        # Flask-RESTful names the type as well, and a second one is an error to some gateways.
        rest = [one for one in (*fields, *_SAFE) if one[0] not in names]
        start_response(self.status, [*own, *rest])
        return (self.content,)


@cache
def status_line(status: int) -> str:
    return f"{status} {HTTP_STATUS_CODES[status].upper()}"


def json_response(
    body: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer with this body."""
    if status == NOT_MODIFIED:
        return Response(None, status, headers)
    return JsonResponse(jsonio.dumps_bytes(body), status, headers or {})


def current_request() -> Request:
    """The request itself: to ask Flask's stand-in for each thing is a tenth of a GET."""
    found: Request = request._get_current_object()  # type: ignore[attr-defined]
    return found


def current_dialect() -> Dialect:
    """The dialect of the URL's prefix; the native one for a URL under none."""
    return _dialect(current_request())


def _dialect(request: Request) -> Dialect:
    rule = request.url_rule
    return NATIVE if rule is None else DIALECTS.get(rule.endpoint.partition(".")[0], NATIVE)


def current_actor() -> Actor:
    """Who sends this request; `ANONYMOUS` without a token.  Raises 401 for a bad one."""
    header = request.environ.get("HTTP_AUTHORIZATION")
    return ANONYMOUS if header is None else authenticate(auth.token_in_header(header))


def json_body() -> Any:
    """The request's body.  Raises 400 for what is no JSON, 413, 415 for another content type."""
    asked = current_request()
    environ = asked.environ
    if environ.get("CONTENT_TYPE") != JSON and not _is_json(asked.mimetype):
        raise AppError("unsupported_media_type", 415, f"Send JSON, with Content-Type: {JSON}")
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise AppError("unsupported_media_type", 415, "Send the body without a content encoding")
    data = environ.get("task_app.body")
    if data is None:
        data = _read_body(asked)
    try:
        return jsonio.loads(data)
    except jsonio.JsonError as error:
        raise AppError("invalid_json", 400, f"The body is not usable JSON: {error}") from error


def _is_json(mimetype: str) -> bool:
    return mimetype == JSON or mimetype.endswith("+json")


def _read_body(request: Request) -> bytes:
    """The body from a server that has not read it.  Raises 413."""
    data = request.get_data(cache=False)
    # Werkzeug cuts a body that comes in chunks at the bound, and does not say so.
    if request.content_length is None and len(data) >= current_app.config["MAX_CONTENT_LENGTH"]:
        raise RequestEntityTooLarge
    return data


def optional_json_body() -> Any:
    """The request's body, `{}` when it has none.  Raises as `json_body` does."""
    return json_body() if request.get_data() else {}


def by_method(**commands: str) -> Mapping[str, str]:
    """The commands of a resource: `by_method(get="task.list", post="task.create")`."""
    return MappingProxyType(commands)


class CommandResource(Resource):
    """A resource whose methods each execute one command.

    `commands` names it for each method: `run` looks there and so does the OpenAPI document.
    `optional_body` says that a body may be left out although the command has fields; `by_cookie`
    names a cookie, and the methods that take it and no body; `bodies` the schema of the answer of
    a method that answers something else than its command does.
    """

    commands: ClassVar[Mapping[str, str]] = MappingProxyType({})
    optional_body: ClassVar[bool] = False
    by_cookie: ClassVar[tuple[str, frozenset[str]]] = ("", frozenset())
    bodies: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def dispatch_request(self, *args: Any, **arguments: Any) -> Any:
        """Flask-RESTful's, for methods that answer responses: it would ask three times where it
        is, and what clients accept."""
        if self.method_decorators:
            return super().dispatch_request(*args, **arguments)
        method = current_request().method
        return getattr(self, "get" if method == "HEAD" else method.lower())(*args, **arguments)

    def run(
        self, payload: Any = NOTHING, *, target: int | None = None, anonymous: bool = False
    ) -> Response:
        """Execute the method's command with what the headers say, and answer its result.

        The answer is a response: all that Flask-RESTful would do is find out that JSON is what
        there is.
        """
        asked = current_request()
        method = asked.method.lower()
        result = execute(
            ANONYMOUS if anonymous else current_actor(),
            self.commands["get" if method == "head" else method],
            payload,
            target=target,
            expected_versions=_expected_versions(asked),
            request_id=asked.environ.get("HTTP_IDEMPOTENCY_KEY"),
            known=_known(asked),
        )
        return _answer(asked, result)


def _answer(request: Request, result: Result) -> Response:
    dialect = _dialect(request)
    headers: dict[str, str] = {}
    if result.epoch:
        headers |= {"X-Event-Seq": str(result.seq), "X-Event-Epoch": result.epoch}
    if result.validator is not None:
        # Weak: the same tasks, perhaps in other bytes after an upgrade.
        headers["ETag"] = f'W/"{result.validator}"'
    if result.shape == "task":
        version = str(result.body["version"])
        headers["ETag"] = f'"{version}"'
        asks = request.method in ("GET", "HEAD") and "HTTP_IF_NONE_MATCH" in request.environ
        if asks and request.if_none_match.contains_weak(version):
            return json_response(None, NOT_MODIFIED, headers)
    if result.page is not None:
        headers |= {f"X-{name.title()}-Count": str(n) for name, n in result.page.facts.items()}
        if result.page.cursor is not None:
            query = urlencode({**request.args.to_dict(), "cursor": result.page.cursor})
            headers["Link"] = f'<{request.path}?{query}>; rel="next"'
    if result.replayed:
        headers["Idempotent-Replayed"] = "true"
    body = dialect.body(result.shape, result.body)
    if isinstance(body, dict) and "recipients" in body:
        body = _with_recipients(body, result)
    if isinstance(body, dict) and "access_token" in body:
        headers["Cache-Control"] = "no-store"
    return json_response(body, result.status, headers)


def _with_recipients(body: dict[str, Any], result: Result) -> dict[str, Any]:
    """The answer to a broadcast, which holds how many have it elsewhere, with those here; a
    repeated answer reached nobody anew."""
    if result.replayed:
        return {name: value for name, value in body.items() if name != "recipients"}
    return {**body, "recipients": body["recipients"] + relay.reached_by(result.events)}


def _known(request: Request) -> list[str]:
    """The validators of `If-None-Match`; `*` stands for whatever there is."""
    if "HTTP_IF_NONE_MATCH" not in request.environ:
        return []
    tags = request.if_none_match
    return [ANY] if tags.star_tag else list(tags.as_set(include_weak=True))


def _expected_versions(request: Request) -> frozenset[int] | None:
    """The versions of `If-Match` (RFC 9110, section 13.1.1).

    A weak or foreign tag matches nothing; `*` asks only that the task exists, as does its absence.
    """
    if "HTTP_IF_MATCH" not in request.environ:
        return None
    tags = request.if_match
    if tags.star_tag:
        return None
    # Werkzeug gives None for the empty tag; int() refuses more digits than any version has.
    return frozenset(int(tag) for tag in tags.as_set() if tag and _VERSION.fullmatch(tag))
