"""Another issuer of tokens: its keys, and a real HTTP server that publishes them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm


class Issuer:
    """An RSA key called `rsa` and an Ed25519 key called `ed`."""

    def __init__(self) -> None:
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.ed = ed25519.Ed25519PrivateKey.generate()

    def key_set(self) -> str:
        """The public keys as a JWKS (RFC 7517)."""
        keys = [
            RSAAlgorithm.to_jwk(self.rsa.public_key(), as_dict=True) | {"kid": "rsa"},
            OKPAlgorithm.to_jwk(self.ed.public_key(), as_dict=True) | {"kid": "ed"},
        ]
        return json.dumps({"keys": keys})

    def key_set_of(self, *names: str) -> str:
        """The same, with these keys alone; a name it has none of is that of a copy of `ed`."""
        ed = OKPAlgorithm.to_jwk(self.ed.public_key(), as_dict=True)
        return json.dumps({"keys": [ed | {"kid": name} for name in names]})

    def public_pem(self) -> bytes:
        return self.rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def token(
        self,
        algorithm: str = "RS256",
        kid: str | None = None,
        headers: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A good token unless `headers` or `claims` say otherwise; None takes a claim away."""
        named = {"RS256": ("rsa", self.rsa), "EdDSA": ("ed", self.ed)}
        name, key = named[algorithm]
        return sign(key, algorithm, kid or name, headers, **claims)


def sign(
    key: Any,
    algorithm: str,
    kid: str | None = None,
    headers: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    given = {"exp": int(time.time()) + 3600} | claims
    kept = {name: value for name, value in given.items() if value is not None}
    named = {"kid": kid} if kid else {}
    return jwt.encode(kept, key, algorithm, headers=named | (headers or {}))


@contextmanager
def published(text: str | Callable[[], str]) -> Iterator[tuple[str, list[str]]]:
    """Serve `text`, or what it returns, on a free port: its URL, and the paths asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write((text if isinstance(text, str) else text()).encode())

        def log_message(self, *_: Any) -> None:
            """Not on the terminal."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/jwks.json", asked
    finally:
        http.shutdown()
        http.server_close()
