"""Where audit messages go: a syslog server as an administrator writes it. Knows nothing of connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from hexdicom.errors import ConfigError

_PORTS = {"tls": 6514, "udp": 514}  # RFC 5425, RFC 5426
_HINT = "Expected tls://HOST:PORT or udp://HOST:PORT."


@dataclass(frozen=True, slots=True)
class Collector:
    """A syslog server.

    >>> Collector.parse("tls://audit.example")
    Collector(transport='tls', host='audit.example', port=6514)
    """

    transport: Literal["tls", "udp"]
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Collector:
        """The server written as tls://HOST[:PORT] or udp://HOST[:PORT]. Raises ConfigError."""
        try:
            parts = urlsplit(text.strip())
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"{text!r} is no address of a syslog server.", hint=_HINT) from error
        if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
            raise ConfigError(f"{text!r} is no address of a syslog server.", hint=_HINT)
        transport: Literal["tls", "udp"] = "tls" if parts.scheme == "tls" else "udp"
        return cls(transport, parts.hostname, port or _PORTS[transport])

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}://{host}:{self.port}"
