"""Who the client is behind a gateway: what `X-Forwarded-For` says, from a gateway alone.

Anybody can write that header.  Only a peer whose own address is in `TRUSTED_PROXIES` is believed,
and of the header only what such peers have added: from the right, the first address that is no
gateway's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

Network = IPv4Network | IPv6Network


class RealClient:
    """A WSGI application around another, to which REMOTE_ADDR is the client's own address and the
    scheme is the one the client used."""

    def __init__(self, app: Callable[..., Any], trusted: Iterable[Network]) -> None:
        self.app = app
        self.trusted = tuple(trusted)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if self._is_gateway(environ.get("REMOTE_ADDR", "")):
            environ["REMOTE_ADDR"] = self._client(environ)
            if environ.get("HTTP_X_FORWARDED_PROTO") in ("http", "https"):
                environ["wsgi.url_scheme"] = environ["HTTP_X_FORWARDED_PROTO"]
        return self.app(environ, start_response)

    def _client(self, environ: dict[str, Any]) -> str:
        said = environ["REMOTE_ADDR"]
        for hop in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
            address = hop.strip()
            if not _is_address(address):
                break  # what stands left of it is no better
            said = address
            if not self._is_gateway(address):
                break
        return str(said)

    def _is_gateway(self, address: str) -> bool:
        return _is_address(address) and any(ip_address(address) in one for one in self.trusted)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
