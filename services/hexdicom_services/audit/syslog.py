"""Audit messages on the wire: syslog (RFC 5424), over TLS with octet counting (RFC 5425) or one datagram each (RFC 5426)."""

from __future__ import annotations

import os
import socket
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from hexdicom.errors import PeerError
from hexdicom_services.tls import client_context, reason

if TYPE_CHECKING:
    from hexdicom_services.catalog.audit_rows import Row
    from hexdicom_services.collector import Collector
    from hexdicom_services.tls import TlsFiles

_PRIORITY: Final = 10 * 8 + 5  # facility 10 (security and authorization), severity notice: PS3.15 A.6
_MESSAGE_ID: Final = "DICOM+RFC3881"
_BOM: Final = b"\xef\xbb\xbf"
_LARGEST_DATAGRAM: Final = 65507  # bytes, RFC 768
_PATIENCE: Final = 10.0  # seconds to connect, shake hands and send


def line(row: Row, host: str) -> bytes:
    """A message as RFC 5424 has it."""
    at = datetime.fromtimestamp(row.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = f"<{_PRIORITY}>1 {at} {host} hexdicom {os.getpid()} {_MESSAGE_ID} - "
    return head.encode("ascii", "replace") + _BOM + row.message.encode()


class Wire:
    """A connection to a collector, made when it is needed, and closed when it fails."""

    def __init__(self, collector: Collector, files: TlsFiles) -> None:
        self._collector, self._files = collector, files
        self._host = socket.gethostname() or "-"
        self._socket: socket.socket | None = None

    def send(self, row: Row) -> None:
        """Hands a message over. Raises PeerError, ConfigError.

        TLS: the connection must still be there when it has been sent. Syslog has no answer, so what a collector had in its
        buffers when it died is lost, as RFC 5425 section 5.1 has it.
        """
        data = line(row, self._host)
        try:
            if self._socket is None:
                self._socket = self._open()
            if self._collector.transport == "udp":
                # a datagram holds no more; the row in the catalog is whole
                self._socket.send(data[:_LARGEST_DATAGRAM])
            else:
                self._socket.sendall(b"%d %s" % (len(data), data))
                self._check_there(self._socket)
        except OSError as error:
            self.close()
            raise PeerError(f"{self._collector} does not take audit messages: {reason(error)}.") from error

    def open(self) -> None:
        """Connects, and says nothing. Raises PeerError, ConfigError."""
        try:
            self._socket = self._socket or self._open()
        except OSError as error:
            raise PeerError(f"{self._collector} cannot be reached: {reason(error)}.") from error

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        address = (self._collector.host, self._collector.port)
        if self._collector.transport == "udp":
            family, kind, *_, where = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
            opened = socket.socket(family, kind)
            opened.connect(where)
            return opened
        context = client_context(self._files)
        plain = socket.create_connection(address, _PATIENCE)
        try:
            return context.wrap_socket(plain, server_hostname=self._collector.host)
        except BaseException:
            plain.close()
            raise

    def _check_there(self, opened: socket.socket) -> None:
        """Raises OSError where the collector has closed: it never says anything, so nothing to read means that it is there."""
        opened.settimeout(0.0)
        try:
            if opened.recv(1) == b"":
                raise ConnectionResetError("closed")
        except (ssl.SSLWantReadError, BlockingIOError):
            return
        finally:
            opened.settimeout(_PATIENCE)
