"""C-FIND in the Study Root model (PS3.4 C.6.2): which studies, series and instances a peer has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
)

from hexdicom.errors import PeerError
from hexdicom_services.scu.association import DEFAULT_PATIENCE, Patience, associate, failure, status_of

if TYPE_CHECKING:
    from pynetdicom.association import Association

    from hexdicom_services.peer import Peer

Level = Literal["PATIENT", "STUDY", "SERIES", "IMAGE"]
_PENDING = (0xFF00, 0xFF01)


def find(peer: Peer, identifier: Dataset, level: Level, *, patience: Patience = DEFAULT_PATIENCE) -> list[Dataset]:
    """What matches at one level. `identifier` has the keys, without QueryRetrieveLevel. Raises PeerError."""
    model = _model(level)
    with associate(peer, [build_context(model)], patience=patience) as assoc:
        return _matches(peer, assoc, identifier, level)


def find_instances(peer: Peer, identifier: Dataset, *, patience: Patience = DEFAULT_PATIENCE) -> list[Dataset]:
    """Every instance below what matches; `identifier` has a PatientID, StudyInstanceUID or SeriesInstanceUID.

    Each has the UIDs of study, series, instance and SOP class (the last is "" where the peer does not return it).
    One association for all levels (hierarchical search, PS3.4 C.4.1.2). Raises PeerError.
    """
    found: list[Dataset] = []
    with associate(peer, [build_context(_model("IMAGE"))], patience=patience) as assoc:
        for study in _studies(peer, assoc, identifier):
            series_key = Dataset()
            series_key.StudyInstanceUID = study
            series_key.SeriesInstanceUID = identifier.get("SeriesInstanceUID", "")
            for series in _matches(peer, assoc, series_key, "SERIES"):
                key = Dataset()
                key.StudyInstanceUID = study
                key.SeriesInstanceUID = series.SeriesInstanceUID
                key.SOPInstanceUID = identifier.get("SOPInstanceUID", "")
                key.SOPClassUID = ""
                for match in _matches(peer, assoc, key, "IMAGE"):
                    match.StudyInstanceUID = study
                    match.SeriesInstanceUID = series.SeriesInstanceUID
                    match.SOPClassUID = match.get("SOPClassUID") or ""
                    found.append(match)
    return found


def _studies(peer: Peer, assoc: Association, identifier: Dataset) -> list[str]:
    """Study UIDs that an identifier of any level means.

    A series UID without its study is a relational query, which most peers answer.
    """
    if identifier.get("StudyInstanceUID"):
        return [str(identifier.StudyInstanceUID)]
    key = Dataset()
    if identifier.get("PatientID"):
        key.PatientID = identifier.PatientID
        key.StudyInstanceUID = ""
        return [str(match.StudyInstanceUID) for match in _matches(peer, assoc, key, "STUDY")]
    if not identifier.get("SeriesInstanceUID"):
        raise ValueError("An identifier needs PatientID, StudyInstanceUID or SeriesInstanceUID.")
    key.StudyInstanceUID = ""
    key.SeriesInstanceUID = identifier.SeriesInstanceUID
    studies = {str(match.get("StudyInstanceUID") or "") for match in _matches(peer, assoc, key, "SERIES")}
    if "" in studies:
        raise PeerError(f"{peer} does not say to which study a series belongs.", hint="Give the study with --study as well.")
    return sorted(studies)


def _matches(peer: Peer, assoc: Association, identifier: Dataset, level: Level) -> list[Dataset]:
    """All of them before it returns: an association has one operation at a time."""
    query = Dataset()
    query.update(identifier)
    query.QueryRetrieveLevel = level
    matches = []
    for status, match in assoc.send_c_find(query, _model(level)):
        code = status_of(peer, assoc, status, "C-FIND")
        if code in _PENDING and match is not None:
            matches.append(match)
        elif code not in (0x0000, *_PENDING):
            raise failure(peer, status, "C-FIND")
    return matches


def _model(level: Level) -> str:
    if level == "PATIENT":
        return str(PatientRootQueryRetrieveInformationModelFind)
    return str(StudyRootQueryRetrieveInformationModelFind)
