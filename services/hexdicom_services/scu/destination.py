"""Fetching by C-MOVE to ourselves (PS3.4 C.4.2), for a peer that does not offer C-GET.

For as long as that takes we are a storage SCP, on a port of its own, that takes what was asked for and nothing else.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom import _config as pynetdicom_config

from hexdicom.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from hexdicom.errors import ConfigError, PeerError, StoreError
from hexdicom_services.listener import Door, Listener
from hexdicom_services.scu.association import DEFAULT_PATIENCE, MAX_PDU, Patience
from hexdicom_services.scu.inbox import Inbox, Received
from hexdicom_services.scu.move import move
from hexdicom_services.tls import TlsFiles, Verify, server_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pynetdicom.events import Event
    from pynetdicom.transport import ThreadedAssociationServer

    from hexdicom_services.peer import Peer

LIST = 50  # UIDs in one request (list of UID matching, PS3.4 C.2.2.2.2)
_SLACK = 1 << 20  # an association request may be larger than any P-DATA PDU, but not by more
_GRACE = 5.0  # seconds that associations get to end when the listener closes


@dataclass(frozen=True, slots=True)
class Destination:
    """Who we are to a peer that moves instances to us, and where we listen; tls: with TLS, and only so."""

    ae_title: str
    host: str
    port: int
    tls: TlsFiles | None = None
    client_certificates: Verify = "required"

    @property
    def hint(self) -> str:
        """What the administrator of the peer has to configure."""
        anywhere = self.host in ("", "0.0.0.0", "::")
        return (
            f"The peer must know {self.ae_title} as a C-MOVE destination, at "
            f"{'an address of this machine' if anywhere else f'host {self.host}'}, port {self.port}, and reach it there."
        )


def get_by_move(
    peer: Peer,
    wanted: Sequence[Dataset],
    into: Path,
    destination: Destination,
    *,
    patience: Patience = DEFAULT_PATIENCE,
) -> tuple[Received, ...]:
    """Have a peer send instances, named by all their UIDs, to us; they lie in `into`/<SOP Instance UID>.dcm as they came.

    What is missing is asked for again, one by one, as long as that brings something. Raises PeerError, which says what the
    peer must know, if not one instance arrived; StoreError if one could not be written, ConfigError if the port cannot be had.
    """
    into.mkdir(parents=True, exist_ok=True)
    inbox = Inbox(into, total=len(wanted), expected={str(item.SOPInstanceUID) for item in wanted})
    problem: PeerError | None = None
    fruitless, first = 0, True
    with listening(destination, inbox, patience):
        while fruitless < patience.attempts:
            if fruitless:
                time.sleep(patience.delay)  # some peers answer first and send then
            missing = [item for item in wanted if not inbox.has(item.SOPInstanceUID)]
            if not missing:
                break
            try:
                _move(peer, missing, destination, inbox, most=LIST if first else 1, patience=patience)
            except PeerError as error:
                problem = error
            if inbox.error is not None:
                raise StoreError(f"{into} could not take an instance: {inbox.error}.", hint="Free some space.") from inbox.error
            came = sum(not inbox.has(item.SOPInstanceUID) for item in missing) < len(missing)
            fruitless, first = 0 if came else fruitless + 1, False
    results = tuple(inbox.result(item, problem) for item in wanted)
    if results and all(result.state == "failed" for result in results):
        said = problem.message if problem else f"{peer} answered C-MOVE to {destination.ae_title}, but nothing arrived."
        raise PeerError(said, hint=f"{problem.hint if problem else ''} {destination.hint}".strip()) from problem
    return results


def _move(peer: Peer, missing: Sequence[Dataset], destination: Destination, inbox: Inbox, *, most: int, patience: Patience) -> None:
    """Exactly these instances; a whole series would bring what nobody asked for."""
    series: dict[tuple[str, str], list[str]] = {}
    for item in missing:
        series.setdefault((item.StudyInstanceUID, item.SeriesInstanceUID), []).append(item.SOPInstanceUID)
    for (study_uid, series_uid), uids in series.items():
        for start in range(0, len(uids), most):
            query = Dataset()
            query.StudyInstanceUID, query.SeriesInstanceUID = study_uid, series_uid
            query.SOPInstanceUID = uids[start : start + most]
            moved = move(peer, query, destination.ae_title, patience=patience)
            inbox.failed.update(dict.fromkeys(moved.failed_uids, f"{peer} could not send it"))


class _Lines:
    """The connections that peers open to us."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def __call__(self, event: Event) -> None:
        transport = event.assoc.dul.socket
        if transport is not None and transport.socket is not None:
            transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport.socket.settimeout(DEFAULT_PATIENCE.negotiate)  # for the rest of what has begun to come
            setattr(transport, "recv", partial(_bounded, transport.recv))  # noqa: B010 - pynetdicom believes 4 GiB
            self._sockets.append(transport.socket)

    def close(self) -> None:
        for line in self._sockets:
            line.close()


def _bounded(receive: Callable[[int], bytearray], nr_bytes: int) -> bytearray:
    """So many bytes. Raises OSError, which ends the connection, for an absurd number."""
    if nr_bytes > MAX_PDU + _SLACK:
        raise OSError(f"the peer announces a PDU of {nr_bytes} bytes")
    return receive(nr_bytes)


@contextmanager
def listening(destination: Destination, inbox: Inbox, patience: Patience) -> Iterator[None]:
    """The storage SCP; gone on leaving, with its associations. Raises ConfigError where the port cannot be had."""
    ae, lines = AE(ae_title=destination.ae_title), _Lines()
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.maximum_pdu_size = MAX_PDU
    ae.acse_timeout = patience.negotiate
    ae.dimse_timeout = ae.network_timeout = patience.respond
    ae.require_called_aet = True
    restricted = pynetdicom_config.UNRESTRICTED_STORAGE_SERVICE
    pynetdicom_config.UNRESTRICTED_STORAGE_SERVICE = True  # what is expected may be of a private SOP class
    try:
        server = _open(ae, destination, [(evt.EVT_CONN_OPEN, lines), (evt.EVT_C_STORE, inbox)], patience)
        try:
            yield
        finally:
            server.shutdown()
            _end(server)
            lines.close()
    finally:
        pynetdicom_config.UNRESTRICTED_STORAGE_SERVICE = restricted


def _open(ae: AE, destination: Destination, handlers: list[evt.EventHandlerType], patience: Patience) -> ThreadedAssociationServer:
    """Waits for a port in use: another worker may be reading back. Raises ConfigError."""
    context = server_context(destination.tls, destination.client_certificates) if destination.tls else None
    door = Door(context, patience.negotiate)
    until = time.monotonic() + patience.negotiate
    while True:
        try:
            server = ae.make_server((destination.host, destination.port), evt_handlers=handlers, server_class=Listener, door=door)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < until:
                time.sleep(0.1)
                continue
            raise ConfigError(
                f"Port {destination.port} of {destination.host}, for reading back by C-MOVE, cannot be used: {error.strerror}.",
                hint="Set move_port in [forward] to a free port, and make the PACS know it.",
            ) from error
        ae._servers.append(server)  # what AE.start_server does; server.shutdown() takes it out again
        threading.Thread(target=server.serve_forever, args=(0.05,), name="destination", daemon=True).start()
        return server


def _end(server: ThreadedAssociationServer) -> None:
    until = time.monotonic() + _GRACE
    while server.active_associations and time.monotonic() < until:
        time.sleep(0.02)
    for association in server.active_associations:
        association.abort()
