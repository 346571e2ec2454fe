"""Registration, sign-in, and what becomes of the tokens."""

from __future__ import annotations

from typing import Any

from flask import request

from task_app import auth
from task_app.resources.base import CommandResource, by_method, json_body, optional_json_body
from task_app.resources.limits import LOGIN, PASSWORD, REGISTRATION, limited, within_tries


class RegisterResource(CommandResource):
    commands = by_method(post="user.register")
    method_decorators = [limited(REGISTRATION)]  # noqa: RUF012 - Flask-RESTful's interface

    def post(self) -> Any:
        return self.run(json_body(), anonymous=True)


class LoginResource(CommandResource):
    commands = by_method(post="user.login")
    method_decorators = [limited(LOGIN)]  # noqa: RUF012

    def post(self) -> Any:
        return self.run(within_tries(json_body()), anonymous=True)


class RefreshResource(CommandResource):
    commands = by_method(post="user.refresh")
    optional_body = True

    def post(self) -> Any:
        """A new access token for a refresh token.

        It comes in the body or as a bearer token; a body goes first, because
        many clients put their access token into every request.
        """
        body, header = optional_json_body(), request.headers.get("Authorization")
        if not body and header is not None:
            body = {"refresh_token": auth.token_in_header(header)}
        return self.run(body, anonymous=True)


class LogoutResource(CommandResource):
    commands = by_method(post="user.logout")

    def post(self) -> Any:
        return self.run()


class VerifyResource(CommandResource):
    commands = by_method(get="user.profile")

    def get(self) -> Any:
        """Whose token this is, for other services."""
        return self.run()


class PasswordResource(CommandResource):
    commands = by_method(put="user.change_password", post="user.change_password")
    method_decorators = [limited(PASSWORD)]  # noqa: RUF012

    def put(self) -> Any:
        """Change one's own password; every session ends but the new one that is returned."""
        return self.run(json_body())

    post = put
