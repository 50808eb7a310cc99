"""C-MOVE: ask a peer to send what it has to another one (PS3.4 C.4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove  # type: ignore[attr-defined]

from hexdicom_services.peer import check_ae_title
from hexdicom_services.scu.association import DEFAULT_PATIENCE, Patience, associate, failure, status_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hexdicom_services.peer import Peer

_PENDING, _SUCCESS, _SOME_FAILED = 0xFF00, 0x0000, 0xB000


@dataclass(frozen=True, slots=True)
class Moved:
    """How many instances the peer sent, and which failed (as far as it names them)."""

    completed: int
    failed: int
    failed_uids: tuple[str, ...] = ()


def move(
    peer: Peer,
    identifier: Dataset,
    destination: str,
    *,
    progress: Callable[[int, int], None] | None = None,
    patience: Patience = DEFAULT_PATIENCE,
) -> Moved:
    """Have `peer` send what `identifier` names to the AE title `destination`, which the peer must know.

    The level is the deepest of study, series and instance that the identifier has. Raises PeerError.
    """
    query = Dataset()
    query.update(identifier)
    query.QueryRetrieveLevel = retrieve_level(identifier)
    model = StudyRootQueryRetrieveInformationModelMove
    destination = check_ae_title(destination)
    with associate(peer, [build_context(model)], patience=patience) as assoc:
        for status, failed in assoc.send_c_move(query, destination, model):
            code = status_of(peer, assoc, status, "C-MOVE")
            done = int(status.get("NumberOfCompletedSuboperations") or 0)
            bad = int(status.get("NumberOfFailedSuboperations") or 0)
            if code == _PENDING:
                if progress is not None:
                    progress(done, done + bad + int(status.get("NumberOfRemainingSuboperations") or 0))
            elif code in (_SUCCESS, _SOME_FAILED):
                return Moved(done, bad, failed_uids(failed))
            else:
                raise failure(peer, status, f"C-MOVE to {destination}")
    return Moved(0, 0)


def retrieve_level(identifier: Dataset) -> str:
    """The deepest level that an identifier names."""
    if identifier.get("SOPInstanceUID"):
        return "IMAGE"
    return "SERIES" if identifier.get("SeriesInstanceUID") else "STUDY"


def failed_uids(failed: Dataset | None) -> tuple[str, ...]:
    """Failed SOP Instance UID List (0008,0058) of a final response, one or many."""
    value = failed.get("FailedSOPInstanceUIDList") if failed is not None else None
    if not value:
        return ()
    return (str(value),) if isinstance(value, str) else tuple(map(str, value))
