"""One association as requestor: opened with TCP_NODELAY and a large PDU, closed in any case, its errors in words."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pynetdicom import AE, evt
from pynetdicom import _config as pynetdicom_config

from hexdicom.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from hexdicom.errors import PeerError
from hexdicom_services.messages import Messages
from hexdicom_services.scu import checkpoint
from hexdicom_services.tls import client_context, failure_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydicom.dataset import Dataset
    from pynetdicom.association import Association
    from pynetdicom.events import Event
    from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
    from pynetdicom.presentation import PresentationContext

    from hexdicom_services.peer import Peer

MAX_CONTEXTS = 128  # PS3.8 section 9.3.2.2: odd identifiers 1 to 255
_LAST_WORDS = 2.0  # seconds for an association to end that was released or aborted
MAX_PDU = 1 << 17  # bytes that we are ready to receive at once


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a peer, in seconds, and how often to take a broken transfer up again.

    attempts: associations in a row that brought nothing before a transfer is given up.
    """

    connect: float = 10.0
    negotiate: float = 30.0
    respond: float = 120.0
    attempts: int = 4
    delay: float = 2.0


DEFAULT_PATIENCE = Patience()


class _Connection:
    """The TCP connection of an association, which pynetdicom shows only in an event."""

    def __init__(self) -> None:
        self.socket: socket.socket | None = None

    def __call__(self, event: Event) -> None:
        transport = event.assoc.dul.socket
        if transport is not None and transport.socket is not None:
            self.socket = transport.socket
            # Without it each message waits up to 40 ms for the peer's delayed acknowledgement.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self, assoc: Association) -> None:
        """Once nobody uses it any more: pynetdicom leaves a socket open whose other end went first."""
        if assoc.dul.is_alive():
            assoc.dul.join(_LAST_WORDS)
        if self.socket is not None and not assoc.dul.is_alive():
            self.socket.close()


@contextmanager
def associate(
    peer: Peer,
    contexts: Sequence[PresentationContext],
    *,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[tuple[Any, ...]] = (),
    patience: Patience = DEFAULT_PATIENCE,
) -> Iterator[Association]:
    """An established association, released on leaving, aborted if an exception leaves. Raises PeerError."""
    _configure_pynetdicom()
    _check_host(peer)
    connection = _Connection()
    ae = AE(ae_title=peer.calling_ae_title)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.connection_timeout = patience.connect
    ae.acse_timeout = patience.negotiate
    ae.dimse_timeout = patience.respond
    ae.network_timeout = patience.respond
    tls = client_context(peer.tls) if peer.tls else None
    assoc = ae.associate(
        peer.host,
        peer.port,
        contexts=list(contexts),
        ae_title=peer.ae_title,
        max_pdu=MAX_PDU,
        ext_neg=list(roles) or None,
        tls_args=(tls, peer.host) if tls else None,
        evt_handlers=[(evt.EVT_CONN_OPEN, connection), *handlers],
    )
    try:
        if not assoc.is_established:
            if tls is not None and failure_of(tls):
                raise _not_trusted(peer, failure_of(tls))
            raise _refusal(peer, assoc, connected=connection.socket is not None)
        checkpoint.install(assoc)
        assoc.dimse.msg_queue = Messages(assoc)
        try:
            yield assoc
        except BaseException:
            assoc.abort()
            raise
        if assoc.is_established:
            assoc.release()
    finally:
        connection.close(assoc)


def status_of(peer: Peer, assoc: Association, response: Dataset, doing: str) -> int:
    """The status of a response. Raises PeerError where the peer gave none because it is gone."""
    if "Status" in response:
        return int(response.Status)
    went = "aborted the association" if assoc.is_aborted else "did not answer in time"
    raise PeerError(f"{peer} {went} during {doing}.", hint="Look into its log, then run the command again.")


def failure(peer: Peer, response: Dataset, doing: str) -> PeerError:
    """What a peer said by a failure status."""
    comment = f" ({response.ErrorComment})" if response.get("ErrorComment") else ""
    return PeerError(
        f"{peer} failed {doing} with status 0x{response.Status:04X}{comment}.",
        hint="Its log says more; PS3.7 Annex C lists the statuses.",
    )


def _configure_pynetdicom() -> None:
    """Its process-wide switches, all of them: data sets are sent from their files as they are, none is logged."""
    pynetdicom_config.STORE_SEND_CHUNKED_DATASET = True
    pynetdicom_config.LOG_HANDLER_LEVEL = "none"
    pynetdicom_config.LOG_REQUEST_IDENTIFIERS = False
    pynetdicom_config.LOG_RESPONSE_IDENTIFIERS = False


def _check_host(peer: Peer) -> None:
    try:
        socket.getaddrinfo(peer.host, peer.port)
    except OSError as error:
        raise PeerError(
            f"The host name {peer.host!r} of {peer} is not known.", hint="Check its spelling, or give the IP address."
        ) from error


def _refusal(peer: Peer, assoc: Association, *, connected: bool) -> PeerError:
    if not connected:
        return PeerError(
            f"Nothing answers at {peer.host} port {peer.port} ({peer}).",
            hint="Check the address, that the peer is running, and that no firewall is between.",
        )
    if assoc.is_rejected:
        answer = assoc.acceptor.primitive
        reason = getattr(answer, "reason_str", "no reason given")
        known = f"Make {peer.calling_ae_title} known there, and check that its AE title is {peer.ae_title}."
        if peer.calling_ae_title == peer.ae_title:  # `local`: the node calls itself
            known = f"If this is your own node: add {peer.ae_title}@{peer.host} to calling_ae_titles in [receiver]."
        return PeerError(f"{peer} rejected the association: {reason}.", hint=known)
    if assoc.rejected_contexts:
        names = sorted({cx.abstract_syntax.name for cx in assoc.rejected_contexts if cx.abstract_syntax})
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        return PeerError(f"{peer} does not offer {shown}.", hint="Its conformance statement says what it accepts.")
    return PeerError(
        f"{peer} closed the connection before an association was made.",
        hint=(
            f"Its log says why; it may not accept our client certificate, {peer.tls.certificate or 'which is not set in [tls]'}."
            if peer.tls
            else "Check that a DICOM service, without TLS, listens at this port; with TLS it is written AET@HOST:PORT+tls."
        ),
    )


def _not_trusted(peer: Peer, why: str) -> PeerError:
    return PeerError(
        f"TLS with {peer} failed: {why}.",
        hint="Check that it speaks TLS 1.2 or 1.3 there, that its certificate names this host, and ca in [tls].",
    )
