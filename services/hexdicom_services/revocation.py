"""Certificate revocation lists (RFC 5280 section 5): from when to when they hold, and a TLS context that follows their file.

OpenSSL does all the checking. What it does not tell before a handshake fails is how long a list holds; only that is read here.
"""

from __future__ import annotations

import base64
import binascii
import calendar
import logging
import re
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from hexdicom.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

_PEM: Final = re.compile(rb"-----BEGIN X509 CRL-----(.*?)-----END X509 CRL-----", re.DOTALL)
_SEQUENCE, _INTEGER = 0x30, 0x02
_TIMES: Final = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}  # UTCTime, GeneralizedTime
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
        found = [_times(base64.b64decode(block)) for block in blocks]
    except (ValueError, IndexError, binascii.Error) as error:
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


def _times(der: bytes) -> Revocation:
    """thisUpdate and nextUpdate of a CertificateList (RFC 5280 section 5.1); one without nextUpdate never ends."""
    position = _value(der, _value(der, 0, _SEQUENCE)[0], _SEQUENCE)[0]
    if der[position] == _INTEGER:  # the version
        position = _value(der, position, _INTEGER)[1]
    for _ in ("signature", "issuer"):
        position = _value(der, position, _SEQUENCE)[1]
    start, end = _value(der, position, der[position])
    made = _time(der[position], der[start:end])
    if end < len(der) and der[end] in _TIMES:
        tag, (start, end) = der[end], _value(der, end, der[end])
        return Revocation(made, _time(tag, der[start:end]))
    return Revocation(made, float("inf"))


def _value(der: bytes, position: int, tag: int) -> tuple[int, int]:
    """Where the value of the element there starts and ends. Raises ValueError, IndexError."""
    if der[position] != tag:
        raise ValueError("not a revocation list")
    length, start = der[position + 1], position + 2
    if length >= 0x80:
        start, count = start + (length & 0x7F), length & 0x7F
        length = int.from_bytes(der[start - count : start], "big")
    if start + length > len(der):
        raise ValueError("cut off")
    return start, start + length


def _time(tag: int, text: bytes) -> float:
    return float(calendar.timegm(time.strptime(text.decode("ascii"), _TIMES.get(tag, ""))))
