"""The receiver: an application entity on one port, in a process of its own."""

from __future__ import annotations

import gc
import logging
import socket
import threading
import time
from functools import partial
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

from hexdicom.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from hexdicom.errors import HexdicomError
from hexdicom_services import child
from hexdicom_services.audit.trail import Trail
from hexdicom_services.callers import is_loopback
from hexdicom_services.catalog.session import Catalog, open_catalog
from hexdicom_services.commitment.answer import Answers
from hexdicom_services.listener import Door
from hexdicom_services.listening import listen
from hexdicom_services.scp import counted, low_disk
from hexdicom_services.scp.admission import Admission, explain
from hexdicom_services.scp.auditor import Auditor
from hexdicom_services.scp.commitment import on_action
from hexdicom_services.scp.desk import Desk
from hexdicom_services.scp.handlers import on_echo, on_store
from hexdicom_services.scp.incoming import Limits, on_closed
from hexdicom_services.scp.procedure_step import on_create, on_set
from hexdicom_services.scp.query import on_find
from hexdicom_services.scp.retrieve import on_accepted, on_get, on_move
from hexdicom_services.scp.shared_port import SharedEntity, SharedPort
from hexdicom_services.scp.sources import Sources
from hexdicom_services.scp.transport import configure_pynetdicom
from hexdicom_services.spool import Spool
from hexdicom_services.tls import server_context

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
)  # and storage of everything: scp/negotiation.py; and storage commitment, in both roles

_GRACE = 10.0  # seconds that associations get to end when the receiver stops


class Receiver:
    """A listening receiver. `port` is the one it got; `close` lets associations end, then ends them."""

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        *,
        name: str = "receiver",
        listener: socket.socket | None = None,
    ) -> None:
        receiver, address = settings.receiver, (settings.node.host, settings.node.port)
        context = server_context(settings.tls_files, settings.tls.client_certificates) if settings.tls.enabled else None
        _say_who_may_call(settings)
        listener = listener or listen(*address)
        spool = Spool(settings.spool, receiver.disk_reserve_mb << 20)
        limits = Limits(spool.incoming, most=receiver.max_object_mb << 20, reserve=receiver.disk_reserve_mb << 20)
        configure_pynetdicom(receiver.max_pdu)
        self._catalog: Catalog = open_catalog(settings.database)
        self._desk = Desk(self._catalog, spool, clock)
        self._auditor = Auditor(Trail.of(settings, self._catalog), clock)
        self._ae = application_entity(settings, name)
        self._ae.watchers, self._ae.limits = self._auditor.handlers, limits
        full = partial(low_disk.why_not, spool=spool, services=(*SERVICES, StorageCommitmentPushModel))
        admission = Admission(settings, self._auditor.refused, room=self._ae.room, full=full)
        door = Door(context, receiver.request_timeout, receiver.max_pending, partial(self._auditor.refused, ""))
        peers = [settings.peer(name) for name in settings.peers]
        sources = Sources(settings, self._catalog)
        handlers: list[EventHandlerType] = [
            (evt.EVT_REQUESTED, admission.on_requested),
            (evt.EVT_ACCEPTED, on_accepted),
            (evt.EVT_ACCEPTED, counted.on_accepted),
            (evt.EVT_C_ECHO, on_echo),
            (evt.EVT_C_STORE, counted.counted(on_store), [self._desk, self._auditor]),
            (evt.EVT_C_FIND, on_find, [self._catalog, settings]),
            (evt.EVT_C_GET, on_get, [sources]),
            (evt.EVT_C_MOVE, on_move, [sources, {peer.ae_title: peer for peer in peers}]),
            (evt.EVT_N_CREATE, on_create, [self._catalog]),
            (evt.EVT_N_SET, on_set, [self._catalog]),
            (evt.EVT_N_ACTION, on_action, [self._catalog, settings]),
            (evt.EVT_N_EVENT_REPORT, _on_event_report, [Answers(settings, self._catalog, clock)]),
            (evt.EVT_CONN_CLOSE, on_closed),
            *self._auditor.handlers,
        ]
        self._server = self._ae.make_server(address, evt_handlers=handlers, server_class=SharedPort, listener=listener, door=door)
        self._ae._servers.append(self._server)  # what AE.start_server does; server.shutdown() takes it out again
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
        self._auditor.close()
        self._ae.close()
        self._desk.close()
        self._catalog.close()


def application_entity(settings: Settings, name: str) -> SharedEntity:
    """Who a receiver is, and what it offers."""
    ae = SharedEntity(settings.node.ae_title, settings.vitals, name, settings.receiver.max_associations)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.maximum_associations = 1 << 16  # scp/admission.py counts
    ae.maximum_pdu_size = settings.receiver.max_pdu
    ae.network_timeout = settings.receiver.network_timeout
    ae.acse_timeout = settings.receiver.request_timeout
    ae.dimse_timeout = settings.receiver.network_timeout
    for service in SERVICES:
        ae.add_supported_context(service)
    # A PACS that reports to us is the SCP of an association that it opens (PS3.4 J.3.3).
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    return ae


def _say_who_may_call(settings: Settings) -> None:
    good, message = explain(settings)
    if good is not True and not is_loopback(settings.node.host):
        log.warning("%s", message, extra={"event": "receiver.unguarded"})


def _on_event_report(event: Event, answers: Answers) -> tuple[int, None]:
    return answers(event), None


def main(name: str, listener: str) -> None:
    """A receiver process (see child.py). listener: descriptor of the socket that it inherits."""
    settings, stop = child.begin()
    try:
        receiver = Receiver(settings, name=name, listener=socket.socket(fileno=int(listener)))
    except HexdicomError as error:
        child.tell_parent(error=error.message, hint=error.hint)
        return
    gc.collect()
    gc.freeze()  # what is loaded by now stays: pynetdicom collects every few seconds, and nobody answers meanwhile
    child.tell_parent(port=receiver.port)
    stop.wait()
    receiver.close()
