"""A PACS as a second store: objects go there by C-STORE, come back by C-GET or C-MOVE, and are compared.

A PACS may recode a data set and correct patient and study attributes (PS3.4 B.4.1.3). What may not change is what an
archive restores from, and every other attribute of an instance that was passed through.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

from pydicom import dcmread
from pydicom.dataset import Dataset

from hexdicom.dicom.archive import read_part
from hexdicom.dicom.attributes import UNREADABLE
from hexdicom.errors import ArchiveError, PeerError, StoreError
from hexdicom_services import scu
from hexdicom_services.part10 import read_head

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hexdicom_services.catalog.holdings import Holding
    from hexdicom_services.peer import Peer
    from hexdicom_services.stores.folder import FolderStore

COERCIBLE: Final = frozenset(
    (
        "AccessionNumber", "InstanceCoercionDateTime", "IssuerOfPatientID", "ModifiedAttributesSequence",
        "OriginalAttributesSequence", "OtherPatientIDs", "PatientBirthDate", "PatientID", "PatientName", "PatientSex",
        "ReferringPhysicianName", "SpecificCharacterSet", "StudyDescription", "StudyID",
    )
)  # fmt: skip


def send(peer: Peer, store: FolderStore, files: Sequence[Holding]) -> dict[str, str]:
    """Sends files; returns what the peer refused, by SOP Instance UID, and why. Raises PeerError if it is away."""
    refused: dict[str, str] = {}
    for sent in scu.store(peer, [store.path(file.key) for file in files]):
        if sent.state == "refused":
            refused[sent.sop_instance_uid] = sent.reason
        elif sent.state != "sent":
            raise PeerError(f"{peer} did not take everything: {sent.reason}")
    return refused


def fetch_back(peer: Peer, files: Sequence[Holding], into: Path, destination: scu.Destination | None = None) -> dict[str, Path]:
    """Fetches the same files, by C-MOVE to a destination or else by C-GET; by SOP Instance UID.

    What did not come is missing. Raises PeerError.
    """
    wanted = [_identifier(file) for file in files]
    received = scu.get_by_move(peer, wanted, into, destination) if destination else scu.get(peer, wanted, into)
    return {one.sop_instance_uid: one.path for one in received if one.state != "failed"}


def changed(sent: Path, returned: Path) -> str:
    """What a PACS did to an object that it must not do, in words; "" where nothing."""
    try:
        one, other = read_head(sent), read_head(returned)
        data, back = sent.read_bytes(), returned.read_bytes()
    except (OSError, StoreError) as error:
        return f"it cannot be read: {error}"
    if data[one.offset :] == back[other.offset :] and one.transfer_syntax_uid == other.transfer_syntax_uid:
        return ""
    try:
        original = read_part(data)
    except ArchiveError:
        return _changed_attributes(sent, returned)
    try:
        part = read_part(back)
    except ArchiveError as error:
        return error.message
    same = (
        (part.number, part.count, part.manifest_sha256) == (original.number, original.count, original.manifest_sha256)
        and bytes(part.manifest) == bytes(original.manifest)
        and bytes(part.headers) == bytes(original.headers)
        and bytes(part.payload) == bytes(original.payload)
    )
    return "" if same else "what it restores from has changed"


def _changed_attributes(sent: Path, returned: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            one, other = dcmread(sent), dcmread(returned)
            names = sorted(
                {
                    element.keyword or str(element.tag)
                    for element in one
                    if element.keyword not in COERCIBLE
                    and element.tag.element != 0
                    and (element.tag not in other or other[element.tag].value != element.value)
                }
            )
        except UNREADABLE as error:
            return f"it cannot be compared: {type(error).__name__}"
    return f"changed or missing: {', '.join(names[:5])}" + (" and more" if len(names) > 5 else "") if names else ""


def _identifier(file: Holding) -> Dataset:
    identifier = Dataset()
    identifier.SOPClassUID = file.sop_class_uid
    identifier.StudyInstanceUID = file.study_instance_uid
    identifier.SeriesInstanceUID = file.series_instance_uid
    identifier.SOPInstanceUID = file.sop_instance_uid
    return identifier
