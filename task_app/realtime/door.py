"""Who comes in by a socket's or a stream's URL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from task_app import auth, jsonio, logs
from task_app.access import Actor
from task_app.commands import authenticate, redeem
from task_app.dialects import CHANNELS, FIBER, GIN, NATIVE, Dialect
from task_app.errors import AppError, forbidden

# The raw WebSockets, with and without a slash at the end, and what is spoken there.
PATHS: Mapping[str, Dialect] = {
    "/api/v1/ws": FIBER,
    "/ws": GIN,
    "/ws/tasks": CHANNELS,
    "/ws/native": NATIVE,
}
NO_UPGRADE = AppError("upgrade_required", 426, "This address speaks WebSocket: send an upgrade")
# A JWT in a URL would stand in every log on its way.
REFUSED_IN_URL = ("token", "access_token", "jwt", "authorization")


def query_of(environ: Mapping[str, Any]) -> dict[str, str]:
    """The URL's query, the first of each name.  Raises 400 for one with a token in it."""
    try:
        query = parse_qs(environ.get("QUERY_STRING", ""), max_num_fields=20)
    except ValueError as error:
        raise AppError("invalid_query", 400, "The query has too many fields") from error
    for name in REFUSED_IN_URL:
        if name in query:
            raise AppError("token_in_url", 400, "A token must not be in a URL; use a ticket")
    return {name: values[0] for name, values in query.items()}


def actor_at_door(environ: Mapping[str, Any], query: Mapping[str, str]) -> Actor | None:
    """Who connects, by header or by ticket; None when neither is there.  Raises 401."""
    header = environ.get("HTTP_AUTHORIZATION")
    if header is not None:
        return authenticate(auth.token_in_header(header))
    return redeem(query["ticket"]) if "ticket" in query else None


def check_origin(environ: Mapping[str, Any], allowed: Iterable[str]) -> None:
    """Raises 403 for a page of another site: its visitor's rights are not the page's."""
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and not origin_allowed(origin, environ, allowed):
        raise forbidden("This origin may not connect; see ALLOWED_ORIGINS")


def origin_allowed(origin: str, environ: Mapping[str, Any], allowed: Iterable[str]) -> bool:
    """The server's own pages and those of `ALLOWED_ORIGINS`; python-socketio's client sends the
    server's own address.  What a proxy adds may be believed: no page can set these headers."""
    scheme = environ.get("HTTP_X_FORWARDED_PROTO", environ["wsgi.url_scheme"])
    host = environ.get("HTTP_X_FORWARDED_HOST", environ.get("HTTP_HOST", ""))
    own = "://".join(part.partition(",")[0].strip() for part in (scheme, host))
    return origin == own or origin in allowed


def refuse(
    start_response: Any,
    why: AppError,
    status: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
) -> Iterable[bytes]:
    """Answer a WSGI request with an error.  `status` goes before that of the error."""
    told, own, body = refusal(why)
    start_response(status or told, [*own, (logs.HEADER, logs.request_id()), *headers])
    return [body]


def refusal(why: AppError) -> tuple[str, list[tuple[str, str]], bytes]:
    """Status, headers and body of an answer with this error."""
    body = jsonio.dumps_bytes(logs.identified(why))
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    return f"{why.status} {HTTPStatus(why.status).phrase}", headers, body
