"""Whether a PACS keeps archive objects: probes are stored there, found, fetched back by each way, and compared.

A probe is what a real archive object is, a Raw Data instance with our private block around random bytes, of a made-up patient.
Storage of Level 2 (PS3.4 B.4.1) keeps all of it; what a PACS does instead is said in plain words.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from hexdicom.dicom.archive import build, read_part
from hexdicom.dicom.headers import Header
from hexdicom.dicom.phantom import beating_heart
from hexdicom.dicom.private import CREATOR, GROUP
from hexdicom.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, RAW_DATA_STORAGE, uid_from
from hexdicom.errors import ArchiveError, HexdicomError, PeerError
from hexdicom_services import scu
from hexdicom_services.part10 import read_head
from hexdicom_services.scu.association import Patience, associate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from hexdicom_services.peer import Peer

PATIENT_ID: Final = "HEXDICOM-PROBE"
PATIENCE: Final = Patience(attempts=1, delay=0.5)
_INDEXED = 10.0  # seconds that a PACS gets until C-FIND has what was stored
_SERVICES: Final = {
    "C-FIND": StudyRootQueryRetrieveInformationModelFind,
    "C-GET": StudyRootQueryRetrieveInformationModelGet,
    "C-MOVE": StudyRootQueryRetrieveInformationModelMove,
}
_MADE_BY_ANY = ("SpecificCharacterSet", "TimezoneOffsetFromUTC", "InstanceCoercionDateTime")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. ok None: for information."""

    name: str
    ok: bool | None
    message: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """keeps: whether an archive object of every size came back usable by one way at least. largest: bytes of the largest that did.

    study_instance_uid: where the probes are, for whoever removes them.
    """

    peer: str
    keeps: bool
    largest: int
    study_instance_uid: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        if self.keeps:
            return "This PACS keeps archive objects."
        if self.largest:
            return f"This PACS keeps archive objects of {_size(self.largest)}, not larger ones."
        return "This PACS does not keep archive objects: it must not be the only place where they are."


def examine(
    peer: Peer, sizes: Sequence[int], now: datetime, *, destination: scu.Destination | None = None, patience: Patience = PATIENCE
) -> Diagnosis:
    """Tries a PACS with probes of these sizes, bytes of payload; by C-MOVE too where there is a destination for it.

    Raises PeerError where it cannot be reached at all.
    """
    findings = [Finding("C-ECHO", True, f"answers in {scu.echo(peer, patience=patience) * 1000:.0f} ms")]
    offered = _offered(peer, patience)
    findings += [Finding(name, None, "offered" if name in offered else "not offered") for name in _SERVICES]
    syntaxes = [name for name in ("Explicit VR", "Implicit VR") if name in offered]
    findings.append(
        Finding("Raw Data Storage", bool(syntaxes), f"accepted in {' and '.join(syntaxes)}" if syntaxes else "not accepted")
    )
    study = uid_from("hexdicom probe", os.urandom(16))
    kept: list[int] = []
    if syntaxes:
        for size in sorted(sizes):
            with tempfile.TemporaryDirectory(prefix="hexdicom-doctor-") as folder:
                tried, usable = _try_size(peer, _probe(Path(folder), study, size, now), size, offered, destination, patience)
            findings += tried
            if not usable:
                break
            kept.append(size)
    return Diagnosis(str(peer), bool(sizes) and len(kept) == len(sizes), max(kept, default=0), study, tuple(findings))


def _offered(peer: Peer, patience: Patience) -> set[str]:
    asked = {name: build_context(model) for name, model in _SERVICES.items()}
    asked["Explicit VR"] = build_context(RAW_DATA_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)
    asked["Implicit VR"] = build_context(RAW_DATA_STORAGE, IMPLICIT_VR_LITTLE_ENDIAN)
    try:
        with associate(peer, list(asked.values()), patience=patience) as assoc:
            accepted = {(str(cx.abstract_syntax), str(cx.transfer_syntax[0])) for cx in assoc.accepted_contexts}
    except PeerError:
        return set()  # it took C-ECHO, but nothing of this
    services = {str(model): name for name, model in _SERVICES.items()}
    raw = {EXPLICIT_VR_LITTLE_ENDIAN: "Explicit VR", IMPLICIT_VR_LITTLE_ENDIAN: "Implicit VR"}
    return {services.get(abstract) or raw[syntax] for abstract, syntax in accepted}


def _probe(folder: Path, study: str, size: int, now: datetime) -> Path:
    ds = next(iter(beating_heart(slices=1, phases=1, rows=16, columns=16)))
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, uid_from(study, size)
    ds.PatientName, ds.PatientID = "HEXDICOM^PROBE", PATIENT_ID
    ds.StudyDescription = "hexdicom doctor: may be deleted"
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    template = Header(buffer.getvalue(), b"", 0, EXPLICIT_VR_LITTLE_ENDIAN)
    references = [(str(ds.SOPClassUID), str(ds.SOPInstanceUID))]
    payload = os.urandom(size)
    (part,) = build(
        template, references, b"probe", b"probe", payload, source_series_uid=str(ds.SeriesInstanceUID), now=now, largest_part=size
    )
    path = folder / "probe.dcm"
    path.write_bytes(part.data)
    return path


def _try_size(
    peer: Peer, probe: Path, size: int, offered: set[str], destination: scu.Destination | None, patience: Patience
) -> tuple[list[Finding], bool]:
    """What was found with one probe, and whether it came back usable."""
    title = _size(size)
    (sent,) = scu.store(peer, [probe], patience=patience)
    if sent.state != "sent":
        return [Finding(f"store {title}", False, f"refused: {sent.reason}")], False
    findings = [Finding(f"store {title}", True, sent.reason or "taken")]
    identifier = _identifier(probe)
    if "C-FIND" in offered:
        found = _is_found(peer, identifier, patience)
        message = "found by its UIDs" if found else "not found by C-FIND: it may be hidden from queries, or not be kept"
        findings.append(Finding(f"find {title}", found, message))
    ways: list[tuple[str, Callable[[Path], Sequence[scu.Received]]]] = []
    if "C-GET" in offered:
        ways.append(("C-GET", lambda into: scu.get(peer, [identifier], into, patience=patience)))
    if destination is not None and "C-MOVE" in offered:
        there = destination
        ways.append(("C-MOVE", lambda into: scu.get_by_move(peer, [identifier], into, there, patience=patience)))
    usable = False
    for name, fetch in ways:
        try:
            (came,) = fetch(probe.parent / name)
            ok, message = compare(probe, came.path) if came.state != "failed" else (False, f"did not come back: {came.reason}")
        except HexdicomError as error:
            ok, message = False, str(error)
        findings.append(Finding(f"{name} {title}", ok, message))
        usable = usable or ok
    if not ways:
        findings.append(Finding(f"fetch {title}", False, "no way to fetch it back: no C-GET, and no destination for C-MOVE"))
    return findings, usable


def compare(sent: Path, returned: Path) -> tuple[bool, str]:
    """Whether an archive object can still be restored from, and what has happened to it, in words."""
    one, other = read_head(sent), read_head(returned)
    before, after = sent.read_bytes(), returned.read_bytes()
    if one.transfer_syntax_uid == other.transfer_syntax_uid and before[one.offset :] == after[other.offset :]:
        return True, "unchanged, byte for byte"
    mine, back = dcmread(io.BytesIO(before)), dcmread(io.BytesIO(after))
    remarks = _remarks(mine, back)
    if one.transfer_syntax_uid != other.transfer_syntax_uid:
        remarks.insert(0, "it comes back in another transfer syntax")
    try:
        was, now = read_part(before), read_part(after)
    except ArchiveError as error:
        return False, "; ".join([_breakage(back, error), *remarks])
    if (was.manifest, was.headers, was.payload) != (now.manifest, now.headers, now.payload):
        return False, "; ".join(["the contents of the private block have changed", *remarks])
    return True, "; ".join(["everything that a restore needs is unchanged", *remarks])


def _breakage(back: Dataset, error: ArchiveError) -> str:
    private = [element for element in back if element.tag.is_private]
    if not private:
        return "private attributes are removed"
    if not any(element.value == CREATOR for element in private if 0x10 <= element.tag.element <= 0xFF):
        return "our private block is removed, others are not"
    if "cut off" in error.message:
        return f"values are cut off: {error.message}"
    return f"the private block is damaged: {error.message}"


def _remarks(mine: Dataset, back: Dataset) -> list[str]:
    remarks = []
    block = [element for element in back if element.tag.group == GROUP and element.tag.element > 0xFF]
    if any(element.VR == "UN" for element in block):
        remarks.append("private attributes come back as UN, which hexdicom reads")
    names = sorted(
        {
            element.keyword
            for element in mine
            if element.keyword not in ("", *_MADE_BY_ANY)
            and not element.tag.is_private
            and (element.tag not in back or back[element.tag].value != element.value)
        }
    )
    if names:
        shown = ", ".join(names[:5]) + (" and more" if len(names) > 5 else "")
        remarks.append(f"other attributes are changed or missing: {shown}")
    return remarks


def _is_found(peer: Peer, identifier: Dataset, patience: Patience) -> bool:
    """A PACS may need a moment until what it took is in its index."""
    until = time.monotonic() + min(_INDEXED, patience.respond)
    while True:
        try:
            found = scu.find_instances(peer, identifier, patience=patience)
        except PeerError:
            return False
        if any(item.SOPInstanceUID == identifier.SOPInstanceUID for item in found):
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.5)


def _identifier(probe: Path) -> Dataset:
    ds = dcmread(probe, stop_before_pixels=True, defer_size=4096)
    identifier = Dataset()
    for keyword in ("SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(identifier, keyword, ds[keyword].value)
    return identifier


def _size(number: int) -> str:
    return f"{number >> 20} MiB" if number >= 1 << 20 else f"{number >> 10} KiB"
