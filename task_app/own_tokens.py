"""The tokens this server made, verified by PyJWT without what it would do anew for each.

A client that comes back brings a token nobody has seen yet, thousands at once after a restart.
Flask-JWT-Extended's own way decodes each three times, and PyJWT's spends more than half of
its time on whether the secret is perhaps a public key or a JWK, and on one character after the
other.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Any

import jwt
from jwt.algorithms import HMACAlgorithm

ALGORITHM = "HS256"


class _Secret(HMACAlgorithm):
    """Looks at a secret once."""

    @lru_cache(maxsize=4)  # noqa: B019 - there is one of us
    def prepare_key(self, key: str | bytes) -> bytes:
        return super().prepare_key(key)


class _Segments(jwt.PyJWS):
    """What encodes to the same again has no character that does not belong there; padding, which
    ours do not have, is refused."""

    @staticmethod
    def _decode_base64url_segment(segment: bytes, name: str) -> bytes:
        decoded = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
        if base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment:
            raise jwt.DecodeError(f"Invalid {name} padding")
        return decoded


_decoder = jwt.PyJWT()
_decoder._jws = _Segments([], _decoder._get_sig_options())
_decoder._jws.register_algorithm(ALGORITHM, _Secret(HMACAlgorithm.SHA256))


def decode(token: str, secret: str, issuer: str) -> dict[str, Any]:
    """The claims of a token that this server signed and that is good now.

    Raises `jwt.PyJWTError`, or ValueError for what is no base64.
    """
    claims: dict[str, Any] = _decoder.decode(
        token,
        secret,
        algorithms=[ALGORITHM],
        issuer=issuer,
        # Ours have no audience; PyJWT does not look at one unless it is told which to expect.
        # When it was made says nothing against it (RFC 7519, 4.1.6); our clock may have gone back.
        options={"verify_aud": False, "verify_iat": False},
    )
    return claims
