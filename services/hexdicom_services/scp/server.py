"""The receiver: an application entity on one port, in a process of its own."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from pynetdicom import evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)
from pynetdicom.transport import ThreadedAssociationServer

from hexdicom.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from hexdicom.errors import ConfigError, HexdicomError
from hexdicom_services import child
from hexdicom_services.catalog.session import Catalog, open_catalog
from hexdicom_services.commitment.answer import Answers
from hexdicom_services.scp.commitment import on_action
from hexdicom_services.scp.desk import Desk
from hexdicom_services.scp.handlers import on_echo, on_store
from hexdicom_services.scp.procedure_step import on_create, on_set
from hexdicom_services.scp.query import on_find
from hexdicom_services.scp.retrieve import NodeEntity, on_accepted, on_get, on_move
from hexdicom_services.scp.sources import Sources
from hexdicom_services.scp.transport import configure_pynetdicom
from hexdicom_services.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable

    from pynetdicom.events import Event, EventHandlerType

    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)

SERVICES: Final = (
    Verification,
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)  # and storage of everything: scp/transport.py; and storage commitment, in both roles

_GRACE = 10.0  # seconds that associations get to end when the receiver stops
_BIND_PATIENCE = 5.0  # seconds: a receiver that is just ending may still hold the port


class Receiver:
    """A listening receiver. `port` is the one it got; `close` lets associations end, then ends them."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        configure_pynetdicom(settings.receiver.max_pdu)
        self._catalog: Catalog = open_catalog(settings.catalog)
        self._desk = Desk(self._catalog, Spool(settings.spool, settings.receiver.disk_reserve_mb << 20), clock)
        self._ae = _application_entity(settings)
        peers = [settings.peer(name) for name in settings.peers]
        sources = Sources(settings, self._catalog)
        handlers: list[EventHandlerType] = [
            (evt.EVT_ACCEPTED, on_accepted),
            (evt.EVT_REJECTED, _on_rejected),
            (evt.EVT_C_ECHO, on_echo),
            (evt.EVT_C_STORE, on_store, [self._desk]),
            (evt.EVT_C_FIND, on_find, [self._catalog, settings]),
            (evt.EVT_C_GET, on_get, [sources]),
            (evt.EVT_N_CREATE, on_create, [self._catalog]),
            (evt.EVT_N_SET, on_set, [self._catalog]),
            (evt.EVT_N_ACTION, on_action, [self._catalog, settings]),
            (evt.EVT_N_EVENT_REPORT, _on_event_report, [Answers(settings, self._catalog, clock)]),
            (evt.EVT_C_MOVE, on_move, [sources, {peer.ae_title: peer for peer in peers}]),
        ]
        try:
            self._server = _listen(self._ae, settings, handlers)
        except BaseException:
            self._desk.close()
            self._catalog.close()
            raise
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="listener", daemon=True)
        self._thread.start()
        self.port = int(self._server.server_address[1])

    def close(self, grace: float = _GRACE) -> None:
        self._server.shutdown()
        self._thread.join()
        until = time.monotonic() + grace
        while self._server.active_associations and time.monotonic() < until:
            time.sleep(0.05)
        for association in self._server.active_associations:
            association.abort()
        self._desk.close()
        self._catalog.close()


def _application_entity(settings: Settings) -> NodeEntity:
    ae = NodeEntity(ae_title=settings.node.ae_title)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.maximum_associations = settings.receiver.max_associations
    ae.maximum_pdu_size = settings.receiver.max_pdu
    ae.network_timeout = settings.receiver.network_timeout
    ae.acse_timeout = settings.receiver.network_timeout
    ae.dimse_timeout = settings.receiver.network_timeout
    ae.require_calling_aet = list(settings.receiver.calling_ae_titles)
    for service in SERVICES:
        ae.add_supported_context(service)
    # A PACS that reports to us is the SCP of an association that it opens (PS3.4 J.3.3).
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    return ae


def _listen(ae: NodeEntity, settings: Settings, handlers: list[EventHandlerType]) -> ThreadedAssociationServer:
    address = (settings.node.host, settings.node.port)
    until = time.monotonic() + _BIND_PATIENCE
    while True:
        try:
            server = ae.make_server(address, evt_handlers=handlers, server_class=ThreadedAssociationServer)
        except OSError as error:
            if time.monotonic() < until and isinstance(error, OSError) and settings.node.port:
                time.sleep(0.1)
                continue
            raise ConfigError(
                f"Port {address[1]} of {address[0]} cannot be used: {error.strerror}.",
                hint="Another node or PACS may hold it; set host and port in [node].",
            ) from error
        ae._servers.append(server)  # what AE.start_server does; server.shutdown() takes it out again
        return server


def _on_event_report(event: Event, answers: Answers) -> tuple[int, None]:
    return answers(event), None


def _on_rejected(event: Event) -> None:
    log.warning("an association was refused", extra={"event": "association.refused"})


def main(name: str) -> None:
    """The receiver process (see child.py)."""
    settings, stop = child.begin()
    try:
        receiver = Receiver(settings)
    except HexdicomError as error:
        child.tell_parent(error=error.message, hint=error.hint)
        return
    child.tell_parent(port=receiver.port)
    stop.wait()
    receiver.close()
