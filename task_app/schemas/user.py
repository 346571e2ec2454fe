"""Accounts and sign-in as they come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields
from marshmallow.validate import Email, Regexp

from task_app.models.user import ADMIN, MEMBER
from task_app.schemas.fields import Flag, Id, Input, Text, Word

ROLE_SPELLINGS = {"admin": ADMIN, "member": MEMBER, "user": MEMBER}
# What a server sends with an account and a client may send back: ignored, not refused.
USER_READ_ONLY = frozenset({"id", "date_joined", "last_login", "message", "user"})


def _password(**kwargs: Any) -> Text:
    # Longer passwords are not safer, and hashing a megabyte of one is an attack.
    return Text(8, 128, strip=False, **kwargs)


def _username(**kwargs: Any) -> Text:
    plain = Regexp(r"^[^\x00-\x1f\x7f]+$", error="Must not contain control characters.")
    return Text(1, 150, validate=plain, **kwargs)


class Registration(Input):
    """Username and password.  `role` is understood, but only an admin may choose another than
    a member's."""

    ALIASES: Mapping[str, str] = {"name": "username"}
    READ_ONLY = USER_READ_ONLY

    username = _username(required=True)
    email = Text(3, 254, allow_none=True, validate=Email())
    password = _password(required=True)
    role = Word(ROLE_SPELLINGS)


class ProfileChange(Input):
    """What people may change of their own account; the password has a command of its own.  `role`
    and `is_active` may be sent back, but only an admin may change them."""

    ALIASES: Mapping[str, str] = {"name": "username"}
    READ_ONLY = USER_READ_ONLY

    username = _username()
    email = Text(3, 254, allow_none=True, validate=Email())
    role = Word(ROLE_SPELLINGS)
    is_active = Flag()


class UserChange(ProfileChange):
    """What an admin may change of any account."""

    password = _password()


class UserDeletion(Input):
    """Who gets the tasks of the account: `reassign_to`, or the admin who deletes it."""

    reassign_to = Id()


class Adoption(Input):
    """An account for the holder of another issuer's token."""

    external_id = Text(1, 512, required=True)
    username = _username(required=True)
    email = Text(3, 254, allow_none=True, validate=Email())


class RefreshToken(Input):
    """The token that a new access token is asked for with, alone or in the answer it came in."""

    READ_ONLY = frozenset({"access_token", "token", "token_type", "expires_in", "user", "message"})

    # One that is too long to be good (`auth.TOKEN_LENGTH`) is answered like any other that is not.
    refresh_token = Text(1, 1 << 20, required=True)


class TicketUse(Input):
    """A ticket that somebody connects with."""

    ticket = Text(1, 100, required=True)


class PasswordChange(Input):
    """The old password proves that it is the owner who asks."""

    ALIASES: Mapping[str, str] = {"current_password": "old_password", "password": "new_password"}

    old_password = Text(1, 128, strip=False, required=True)
    new_password = _password(required=True)


# Whatever comes is looked at by `Credentials.check`; a document needs to be told.
_LOGIN = {"type": "string", "minLength": 1, "maxLength": 254, "pattern": "^[^\\u0000]*$"}


class Credentials(Input):
    """Who signs in: the username or the e-mail address, under any of three names."""

    ALSO: Mapping[str, Any] = {
        "anyOf": [{"required": [name]} for name in ("username", "email", "login")]
    }

    username = fields.Raw(metadata=_LOGIN)
    email = fields.Raw(metadata=_LOGIN)
    login = fields.Raw(metadata=_LOGIN)
    password = Text(1, 128, strip=False, required=True)

    def check(self, data: Mapping[str, Any]) -> None:
        if not is_name(login_name(data)):
            raise ValidationError("Give the username or the e-mail address.", "username")


def login_name(data: Mapping[str, Any]) -> Any:
    """The name somebody signs in with, whichever key it came under."""
    return data.get("username") or data.get("email") or data.get("login")


def is_name(given: Any) -> bool:
    """Whether an account could have this name or address."""
    return isinstance(given, str) and 1 <= len(given) <= 254 and "\x00" not in given


def for_nobody(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same try to sign in, under a name that no account can have."""
    return {**{k: v for k, v in data.items() if k not in ("email", "login")}, "username": "\x01"}
