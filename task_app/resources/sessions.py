"""A session that a browser keeps: its refresh token is in a cookie no script can read.

A page has to keep something to stay signed in with.  What lies in `localStorage`, any script that
ever runs in the page can read and carry away, and it is good for a month.  Here it is in a cookie
(`HttpOnly`; `SameSite=Strict`; `Secure` over https; sent to this URL alone), and the access token
lives in the page's memory for as long as the page does.

A browser sends cookies for whoever asks, so it must be our own page that does: `PUT` and `DELETE`
cannot be sent by another site without asking first (CORS, which never allows credentials here),
and what names another origin is refused, be it another port of this host, which is the same
"site" to a cookie.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, current_app, request

from task_app import auth
from task_app.access import ANONYMOUS
from task_app.commands import execute
from task_app.errors import forbidden, unauthorized
from task_app.realtime.door import check_origin
from task_app.resources.base import (
    CommandResource,
    by_method,
    current_actor,
    json_body,
    json_response,
)
from task_app.resources.limits import LOGIN, PASSWORD, limited, within_tries

COOKIE = "task_session"


class SessionResource(CommandResource):
    commands = by_method(
        post="user.login", put="user.refresh", patch="user.change_password", delete="user.logout"
    )
    by_cookie = COOKIE, frozenset({"put", "delete"})
    bodies = by_method(post="AccessToken", patch="AccessToken")
    method_decorators = {  # noqa: RUF012 - Flask-RESTful's interface
        "post": [limited(LOGIN)],
        "patch": [limited(PASSWORD)],
    }

    def post(self) -> Any:
        """Sign in; the refresh token goes into a cookie."""
        _check_is_ours()
        return _begun(execute(ANONYMOUS, "user.login", within_tries(json_body())).body)

    def put(self) -> Any:
        """A new access token for the refresh token in the cookie."""
        _check_is_ours()
        return self.run({"refresh_token": _refresh_token()}, anonymous=True)

    def patch(self) -> Any:
        """Change the password; every session ends but this one, which goes on in a new cookie."""
        _check_is_ours()
        done = dict(execute(current_actor(), "user.change_password", json_body()).body)
        del done["message"]
        return _begun(done)

    def delete(self) -> Any:
        """End the session of the cookie."""
        _check_is_ours()
        actor = auth.verify(_refresh_token(), auth.REFRESH)
        response = json_response(execute(actor, "user.logout", {}).body)
        _set_cookie(response, "", 0)
        return response


def _begun(tokens: Mapping[str, Any]) -> Response:
    """The answer with these tokens, the refresh token in the cookie."""
    rest = dict(tokens)
    refresh_token = rest.pop("refresh_token")
    response = json_response(rest, headers={"Cache-Control": "no-store"})
    life = int(current_app.config["JWT_REFRESH_TOKEN_EXPIRES"].total_seconds())
    _set_cookie(response, refresh_token, life)
    return response


def _refresh_token() -> str:
    """What the cookie holds.  Raises 401 without one."""
    token = request.cookies.get(COOKIE)
    if not token:
        raise unauthorized()
    return token


def _check_is_ours() -> None:
    """Raises 403 for a page that is not this server's own, be it one of `ALLOWED_ORIGINS`."""
    check_origin(request.environ, ())
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise forbidden("Only this server's own pages may use the session")


def _set_cookie(response: Response, value: str, seconds: int) -> None:
    response.set_cookie(
        COOKIE,
        value,
        max_age=seconds,
        path=request.path.rstrip("/"),
        httponly=True,
        secure=request.is_secure,
        samesite="Strict",
    )
