"""Certificate revocation lists (RFC 5280 section 5): from when to when they hold, and a TLS context that follows their file.

OpenSSL does all the checking. What the standard library does not tell before a handshake fails is how long a list holds.
"""

from __future__ import annotations

import logging
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from hexdicom.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

_PEM: Final = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)
_HINT: Final = "Set crl in [tls] to the PEM file in which your authority publishes its list (X509 CRL)."


@dataclass(frozen=True, slots=True)
class Revocation:
    """When a list was made, and when the next one is due: from then on nothing is verified by it. Seconds since 1970 (UTC)."""

    made: float
    due: float


def read(file: Path) -> list[Revocation]:
    """The lists in a PEM file, at least one. Raises ConfigError."""
    try:
        blocks = _PEM.findall(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"The revocation list {file} cannot be read: {error.strerror}.", hint=_HINT) from error
    try:
        found = [_times(block) for block in blocks]
    except ValueError as error:
        raise ConfigError(f"{file} holds a revocation list that cannot be read.", hint=_HINT) from error
    if not found:
        raise ConfigError(f"{file} holds no PEM revocation list.", hint=_HINT)
    return found


def load(context: ssl.SSLContext, file: Path) -> None:
    """Has the context refuse who is on a list, and whoever is of an authority without a list that holds. Raises ConfigError."""
    read(file)
    try:
        context.load_verify_locations(file)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"{file} holds a revocation list that cannot be read.", hint=_HINT) from error
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def ended(file: Path, due: float) -> str:
    """What is wrong with a list that has ended, and what helps."""
    on = datetime.fromtimestamp(due, UTC).date().isoformat()
    return f"The revocation list {file} ended on {on}: no certificate is taken. Put the new one of your authority there."


class Listening(ssl.SSLContext):
    """A context of a server that takes over a new list when its file has changed. One that cannot be read does not count."""

    _file: Path | None = None
    _seen: tuple[int, int] = (0, 0)

    def follow(self, file: Path) -> None:
        """Loads the lists of that file, now and when it changes. Raises ConfigError."""
        self._file, self._seen = file, _stamp(file)
        load(self, file)

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        if self._file is not None and (stamp := _stamp(self._file)) != self._seen:
            try:
                load(self, self._file)
            except ConfigError as error:
                log.warning("%s The one before counts until it ends.", error, extra={"event": "tls.revocation"})
            self._seen = stamp
        return super().wrap_socket(*args, **kwargs)


def _stamp(file: Path) -> tuple[int, int]:
    try:
        there = file.stat()
    except OSError:
        return 0, 0
    return there.st_mtime_ns, there.st_size


def _times(block: bytes) -> Revocation:
    """thisUpdate and nextUpdate of a list (RFC 5280 section 5.1); one without nextUpdate never ends. Raises ValueError."""
    from cryptography import x509  # takes a moment, and only a node with a list needs it

    found = x509.load_pem_x509_crl(block)
    due = found.next_update_utc
    return Revocation(found.last_update_utc.timestamp(), float("inf") if due is None else due.timestamp())
