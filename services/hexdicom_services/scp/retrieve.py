"""C-GET and C-MOVE: what was received is sent as it came, from its file or restored from its archive (PS3.4 C.4.2, C.4.3).

pynetdicom counts the sub-operations and reads the cancel; `Outgoing` lets it send a file instead of a data set. An object for
which the peer has no presentation context, or that cannot be restored, is a failed sub-operation, and the final status is 0xB000.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pydicom import dcmread
from pynetdicom import AE, build_context

from hexdicom.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from hexdicom.errors import ArchiveError, HexdicomError, SeriesError
from hexdicom_services.catalog import found
from hexdicom_services.catalog.keys import LEVELS, UNIQUE
from hexdicom_services.jobs.listing import list_all
from hexdicom_services.scp.query import PATIENT_ROOT, level_of, wanted
from hexdicom_services.scp.scope import views
from hexdicom_services.scp.sources import Outgoing
from hexdicom_services.statuses import Retrieve
from hexdicom_services.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pydicom.dataset import Dataset
    from pynetdicom.association import Association
    from pynetdicom.events import Event, EventHandlerType

    from hexdicom_services.catalog.found import Sendable
    from hexdicom_services.peer import Peer
    from hexdicom_services.scp.incoming import Limits
    from hexdicom_services.scp.sources import Sources

log = logging.getLogger(__name__)

_CONVERTIBLE = frozenset((EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN))
_MAX_CONTEXTS = 128  # PS3.8 section 9.3.2.2


class NodeEntity(AE):
    """An application entity that sends stored objects from their files, also to where C-MOVE tells it to.

    watchers: handlers of every association that it opens. limits: of what its peers send, see transport.NodeSocket.
    """

    watchers: Sequence[EventHandlerType] = ()
    limits: Limits | None = None

    def associate(self, *args: Any, refused: bool = False, **kwargs: Any) -> Association:
        """refused: nothing will be sent, so nobody is called; pynetdicom wants an association before it takes a status."""
        if refused:
            return cast("Association", _Nobody())
        kwargs["evt_handlers"] = [*(kwargs.get("evt_handlers") or ()), *self.watchers]
        association = super().associate(*args, **kwargs)
        send_from_files(association)
        return association


class _Nobody:
    """Stands in for the association of a C-MOVE that is refused."""

    is_established = True

    def release(self) -> None:
        """There is nothing to release."""


def send_from_files(association: Association) -> None:
    """Makes an association send `Outgoing` from its file."""
    setattr(association, "send_c_store", partial(_send, association, association.send_c_store))  # noqa: B010


def _send(association: Association, plain: Callable[..., Dataset], dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
    if not isinstance(dataset, Outgoing):
        return plain(dataset, *args, **kwargs)
    if dataset.file is None:  # counts as a failed sub-operation
        raise ArchiveError(dataset.problem)
    offered = {
        str(context.transfer_syntax[0])
        for context in association.accepted_contexts
        if context.abstract_syntax == dataset.SOPClassUID and context.as_scu
    }
    if dataset.syntax not in offered and dataset.syntax in _CONVERTIBLE and offered & _CONVERTIBLE:
        return plain(dcmread(dataset.file), *args, **kwargs)
    # Without a context this raises ValueError, which counts as a failed sub-operation.
    return plain(dataset.file, *args, **kwargs)


def on_accepted(event: Event) -> None:
    """A peer has come: what it asks for is sent from files."""
    send_from_files(event.assoc)


def on_get(event: Event, sources: Sources) -> Iterator[Any]:
    """Yields as pynetdicom wants it: the number of objects, then status and object."""
    try:
        objects = _asked_for(event, sources)
    except HexdicomError as error:
        yield 1  # after 0, pynetdicom answers success and does not look at the status
        yield _refused(error), None
        return
    yield len(objects)
    yield from _objects(event, objects, sources)


def on_move(event: Event, sources: Sources, destinations: dict[str, Peer]) -> Iterator[Any]:
    """Yields as pynetdicom wants it: where to, the number of objects, then status and object. 0xA801: not known."""
    destination = destinations.get(str(event.move_destination).strip())
    if destination is None:
        yield None, None
        return
    try:
        objects = _asked_for(event, sources)
    except HexdicomError as error:
        yield destination.host, destination.port, {"refused": True}
        yield 1  # see on_get
        yield _refused(error), None
        return
    tls = (client_context(destination.tls), destination.host) if destination.tls else None
    yield destination.host, destination.port, {"contexts": _contexts(objects), "ae_title": destination.ae_title, "tls_args": tls}
    yield len(objects)
    yield from _objects(event, objects, sources)


def _refused(error: HexdicomError) -> Retrieve:
    log.warning("a retrieve request was refused: %s", type(error).__name__, extra={"event": "retrieve.failed"})
    return Retrieve.IDENTIFIER if isinstance(error, SeriesError) else Retrieve.OUT_OF_RESOURCES


def _asked_for(event: Event, sources: Sources) -> list[Sendable]:
    """Raises SeriesError (0xA900) where the unique key of the level is missing."""
    identifier = event.identifier
    level = level_of(identifier, patient_root=event.request.AffectedSOPClassUID in PATIENT_ROOT)
    keys = {keyword: value for keyword, value in wanted(identifier).items() if keyword in UNIQUE.values()}
    if UNIQUE[level] not in keys:
        raise SeriesError(f"A retrieve request of level {level} names no {UNIQUE[level]}.")
    above = {UNIQUE[name] for name in LEVELS[: LEVELS.index(level) + 1]}
    keys = {keyword: value for keyword, value in keys.items() if keyword in above}
    list_all(sources.catalog, sources.settings.spool, keys)
    objects: dict[str, Sendable] = {}
    with sources.catalog.read() as connection:
        for view in views(event, level, keys, sources.settings.retrieve.archive_ae_title):
            for item in found.sendable(connection, view, keys):
                objects.setdefault(item.sop_instance_uid, item)
    return list(objects.values())


def _objects(event: Event, objects: Sequence[Sendable], sources: Sources) -> Iterator[tuple[int, Dataset | None]]:
    cancelled = _Cancelled(event)
    try:
        for outgoing in sources.of(objects, cancelled):
            if cancelled():
                break
            yield Retrieve.PENDING, outgoing
        if cancelled():
            yield Retrieve.CANCEL, None
    except Exception:
        log.exception("a retrieve request failed", extra={"event": "retrieve.failed"})
        yield Retrieve.UNABLE_TO_PROCESS, None


class _Cancelled:
    """Whether the peer has cancelled: pynetdicom says so once."""

    def __init__(self, event: Event) -> None:
        self._event, self._seen = event, False

    def __call__(self) -> bool:
        self._seen = self._seen or self._event.is_cancelled
        return self._seen


def _contexts(objects: Sequence[Sendable]) -> list[Any]:
    kinds: dict[tuple[str, str], None] = {}
    for item in objects:
        kinds[item.sop_class_uid, item.transfer_syntax_uid] = None
    for item in objects:
        if item.transfer_syntax_uid in _CONVERTIBLE or item.released:  # what came compressed is restored native
            kinds |= dict.fromkeys((item.sop_class_uid, other) for other in sorted(_CONVERTIBLE))
    return [build_context(uid, syntax) for uid, syntax in list(kinds)[:_MAX_CONTEXTS]]
