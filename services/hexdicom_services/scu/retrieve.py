"""C-GET: instances from a peer over our own association (PS3.4 C.4.3), written as the bytes that arrived."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet  # type: ignore[attr-defined]

from hexdicom.errors import NotFound, PeerError, StoreError
from hexdicom_services.scu.association import DEFAULT_PATIENCE, MAX_CONTEXTS, Patience, associate, failure, status_of
from hexdicom_services.scu.classes import COMMON_CLASSES, TRANSFER_SYNTAXES
from hexdicom_services.scu.find import find_instances
from hexdicom_services.scu.inbox import Inbox, Received
from hexdicom_services.scu.move import failed_uids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pynetdicom.presentation import PresentationContext

    from hexdicom_services.peer import Peer

MODEL = StudyRootQueryRetrieveInformationModelGet
LIST = 50  # UIDs in one request at IMAGE level (list of UID matching, PS3.4 C.2.2.2.2)
_PENDING, _OK = 0xFF00, (0x0000, 0xB000)


def get(
    peer: Peer,
    identifier: Dataset | Sequence[Dataset],
    into: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    patience: Patience = DEFAULT_PATIENCE,
) -> tuple[Received, ...]:
    """Fetch what an identifier names, or instances that `find_instances` returned, into `into`/<SOP Instance UID>.dcm.

    What lies there already is not fetched again, so a call that was interrupted goes on where it stopped; a broken
    association is followed by another as long as each brings something. Raises NotFound if the peer has nothing that
    matches, PeerError if no association came about or not one instance arrived, StoreError if one could not be written.
    """
    wanted = find_instances(peer, identifier, patience=patience) if isinstance(identifier, Dataset) else list(identifier)
    if not wanted:
        raise NotFound(f"{peer} has nothing that matches.", hint="`hexdicom find --from` lists what it has.")
    into.mkdir(parents=True, exist_ok=True)
    inbox = Inbox(into, progress, total=len(wanted))
    present = {str(item.SOPInstanceUID) for item in wanted if inbox.has(item.SOPInstanceUID)}
    inbox.done = len(present)
    problem: PeerError | None = None
    fruitless, fine = 0, False
    while fruitless < patience.attempts:
        missing = [item for item in wanted if not inbox.has(item.SOPInstanceUID)]
        if not missing:
            break
        if fruitless:
            time.sleep(patience.delay)
        try:
            _fetch(peer, missing, inbox, whole_series=not fine, patience=patience)
        except PeerError as error:
            if not inbox.reached:
                raise
            problem = error
        if inbox.error is not None:
            raise StoreError(
                f"{into} could not take an instance: {inbox.error}.", hint="Free some space or choose another folder."
            ) from inbox.error
        came = sum(not inbox.has(item.SOPInstanceUID) for item in missing) < len(missing)
        fruitless = 0 if came else fruitless + 1
        fine = True  # from the second association on, instances are asked for by their UIDs
    results = tuple(inbox.result(item, problem, present=item.SOPInstanceUID in present) for item in wanted)
    if problem is not None and all(result.state == "failed" for result in results):
        raise problem
    return results


def _fetch(peer: Peer, missing: Sequence[Dataset], inbox: Inbox, *, whole_series: bool, patience: Patience) -> None:
    """One association; raises PeerError where it cannot be made or breaks."""
    contexts = get_contexts({str(item.SOPClassUID) for item in missing})
    roles = [build_role(uid, scp_role=True) for uid in sorted({str(cx.abstract_syntax) for cx in contexts[1:]})]
    with associate(peer, contexts, roles=roles, handlers=[(evt.EVT_C_STORE, inbox)], patience=patience) as assoc:
        inbox.reached = True
        for query in _queries(missing, whole_series=whole_series):
            for status, failed in assoc.send_c_get(query, MODEL):
                code = status_of(peer, assoc, status, "C-GET")
                if code in (_PENDING, *_OK):
                    inbox.failed.update(dict.fromkeys(failed_uids(failed), f"{peer} could not send it"))
                else:
                    problem = failure(peer, status, "C-GET")
                    for uid in failed_uids(failed) or _uids(query):
                        inbox.failed[uid] = problem.message


def _queries(missing: Sequence[Dataset], *, whole_series: bool) -> Iterator[Dataset]:
    """The requests: per series, or lists of instances of a series."""
    series: dict[tuple[str, str], list[str]] = {}
    for item in missing:
        series.setdefault((item.StudyInstanceUID, item.SeriesInstanceUID), []).append(item.SOPInstanceUID)
    for (study_uid, series_uid), uids in series.items():
        for start in range(0, len(uids), LIST):
            query = Dataset()
            query.StudyInstanceUID, query.SeriesInstanceUID = study_uid, series_uid
            query.QueryRetrieveLevel = "SERIES" if whole_series else "IMAGE"
            if whole_series:
                yield query
                break
            query.SOPInstanceUID = uids[start : start + LIST]
            yield query


def _uids(query: Dataset) -> tuple[str, ...]:
    value = query.get("SOPInstanceUID") or ()
    return (str(value),) if isinstance(value, str) else tuple(map(str, value))


def get_contexts(classes: set[str]) -> list[PresentationContext]:
    """C-GET itself, then the storage classes: known ones in every transfer syntax, else the common ones in few.

    One context per syntax, so that a compressed instance comes as it is stored (a peer picks one syntax per context).
    """
    if "" in classes or not classes:
        pairs = [(uid, syntax) for uid in COMMON_CLASSES for syntax in TRANSFER_SYNTAXES[:2]]
        pairs += [(uid, syntax) for syntax in TRANSFER_SYNTAXES[2:] for uid in COMMON_CLASSES[:6]]
    else:
        pairs = [(uid, syntax) for syntax in TRANSFER_SYNTAXES for uid in sorted(classes)]
    return [build_context(MODEL), *(build_context(uid, syntax) for uid, syntax in pairs[: MAX_CONTEXTS - 1])]
