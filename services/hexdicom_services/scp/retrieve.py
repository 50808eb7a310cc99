"""C-GET and C-MOVE: stored objects are sent from their files as they are (PS3.4 C.4.2, C.4.3).

pynetdicom counts the sub-operations and reads the cancel; `Stored` lets it send a file instead of a data set. An object
for which the peer has no presentation context is a failed sub-operation, and the final status is 0xB000.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context

from hexdicom.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from hexdicom.errors import HexdicomError, SeriesError
from hexdicom_services.catalog import found
from hexdicom_services.catalog.keys import LEVELS, UNIQUE
from hexdicom_services.scp.query import CANCEL, PATIENT_ROOT, PENDING, UNABLE_TO_PROCESS, level_of, wanted
from hexdicom_services.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pynetdicom.association import Association
    from pynetdicom.events import Event, EventHandlerType

    from hexdicom_services.catalog.found import Sendable
    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.peer import Peer

log = logging.getLogger(__name__)

_CONVERTIBLE = frozenset((EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN))
_MAX_CONTEXTS = 128  # PS3.8 section 9.3.2.2


class Stored(Dataset):
    """A stored object: its identity as a data set, and where its file is."""

    file: Path
    syntax: str


class NodeEntity(AE):
    """An application entity that sends stored objects from their files, also to where C-MOVE tells it to.

    watchers: handlers of every association that it opens.
    """

    watchers: Sequence[EventHandlerType] = ()

    def associate(self, *args: Any, **kwargs: Any) -> Association:
        kwargs["evt_handlers"] = [*(kwargs.get("evt_handlers") or ()), *self.watchers]
        association = super().associate(*args, **kwargs)
        send_from_files(association)
        return association


def send_from_files(association: Association) -> None:
    """Makes an association send `Stored` from its file."""
    setattr(association, "send_c_store", partial(_send, association, association.send_c_store))  # noqa: B010


def _send(association: Association, plain: Callable[..., Dataset], dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
    if not isinstance(dataset, Stored):
        return plain(dataset, *args, **kwargs)
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


def on_get(event: Event, catalog: Catalog, store: Path) -> Iterator[Any]:
    """Yields as pynetdicom wants it: the number of objects, then status and object."""
    try:
        objects = _asked_for(event, catalog)
    except HexdicomError as error:
        yield 0
        yield error.dimse_status, None
        return
    yield len(objects)
    yield from _objects(event, objects, store)


def on_move(event: Event, catalog: Catalog, store: Path, destinations: dict[str, Peer]) -> Iterator[Any]:
    """Yields as pynetdicom wants it: where to, the number of objects, then status and object. 0xA801: not known."""
    destination = destinations.get(str(event.move_destination).strip())
    if destination is None:
        yield None, None
        return
    try:
        objects = _asked_for(event, catalog)
    except HexdicomError as error:
        yield destination.host, destination.port
        yield 0
        yield error.dimse_status, None
        return
    tls = (client_context(destination.tls), destination.host) if destination.tls else None
    yield destination.host, destination.port, {"contexts": _contexts(objects), "ae_title": destination.ae_title, "tls_args": tls}
    yield len(objects)
    yield from _objects(event, objects, store)


def _asked_for(event: Event, catalog: Catalog) -> list[Sendable]:
    """Raises SeriesError (0xA900) where the unique key of the level is missing."""
    identifier = event.identifier
    level = level_of(identifier, patient_root=event.request.AffectedSOPClassUID in PATIENT_ROOT)
    keys = {keyword: value for keyword, value in wanted(identifier).items() if keyword in UNIQUE.values()}
    if UNIQUE[level] not in keys:
        raise SeriesError(f"A retrieve request of level {level} names no {UNIQUE[level]}.")
    above = {UNIQUE[name] for name in LEVELS[: LEVELS.index(level) + 1]}
    with catalog.read() as connection:
        return found.sendable(connection, {keyword: keys[keyword] for keyword in keys if keyword in above})


def _objects(event: Event, objects: Sequence[Sendable], store: Path) -> Iterator[tuple[int, Dataset | None]]:
    try:
        for item in objects:
            if event.is_cancelled:
                yield CANCEL, None
                return
            stored = Stored()
            stored.SOPClassUID, stored.SOPInstanceUID = item.sop_class_uid, item.sop_instance_uid
            stored.file, stored.syntax = store / item.key, item.transfer_syntax_uid
            yield PENDING, stored
    except Exception:
        log.exception("a retrieve request failed", extra={"event": "retrieve.failed"})
        yield UNABLE_TO_PROCESS, None


def _contexts(objects: Sequence[Sendable]) -> list[Any]:
    kinds: dict[tuple[str, str], None] = {}
    for item in objects:
        kinds[item.sop_class_uid, item.transfer_syntax_uid] = None
    for uid, syntax in list(kinds):
        if syntax in _CONVERTIBLE:
            kinds |= dict.fromkeys((uid, other) for other in sorted(_CONVERTIBLE))
    return [build_context(uid, syntax) for uid, syntax in list(kinds)[:_MAX_CONTEXTS]]
