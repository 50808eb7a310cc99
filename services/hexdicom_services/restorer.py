"""Originals back from wherever their archive objects lie: find them at a peer, fetch, decode, prove; write or send.

The peer is our node or any PACS that knows C-FIND and C-GET. What it holds beside archive objects (instances that were
archived untouched, or originals that are still there) is fetched as it is, unless an archive object gave it already.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydicom.dataset import Dataset

from hexdicom import durable, pipeline
from hexdicom.dicom.archive import is_archive_object
from hexdicom.dicom.uids import RAW_DATA_STORAGE, archive_series_uid
from hexdicom.errors import NotFound
from hexdicom.report import RestoredInstance, RestoreReport
from hexdicom_services import scu
from hexdicom_services.scu.association import DEFAULT_PATIENCE, Patience
from hexdicom_services.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from hexdicom.codec import Progress
    from hexdicom_services.peer import Peer

_LIST = 50  # UIDs in one request (list of UID matching, PS3.4 C.2.2.2.2)

Form = Literal["original", "enhanced"]


@dataclass(frozen=True, slots=True)
class Request:
    """What to bring back: a series, a study, or everything of a patient. A series may name its study as well."""

    patient_id: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""

    def __post_init__(self) -> None:
        if not (self.patient_id or self.study_instance_uid or self.series_instance_uid):
            raise ValueError("A request names a patient, a study or a series.")

    @property
    def identifier(self) -> Dataset:
        """The same as the keys of a query."""
        key = Dataset()
        key.PatientID, key.StudyInstanceUID = self.patient_id, self.study_instance_uid
        key.SeriesInstanceUID = self.series_instance_uid
        return key

    def __str__(self) -> str:
        if self.series_instance_uid:
            return f"series {self.series_instance_uid}"
        return f"study {self.study_instance_uid}" if self.study_instance_uid else "this patient"


@dataclass(frozen=True, slots=True)
class Outcome:
    """restored: what was written, with its proof. missing: what the peer has and did not give. sent: where it was sent on."""

    restored: RestoreReport
    missing: tuple[scu.Received, ...] = ()
    sent: tuple[scu.Sent, ...] = ()

    @property
    def complete(self) -> bool:
        return self.restored.ok and not self.missing and all(one.state == "sent" for one in self.sent)

    @property
    def empty(self) -> bool:
        """Whether nothing at all was brought home."""
        if self.sent:
            return not any(one.state == "sent" for one in self.sent)
        return not any(one.path for one in self.restored.instances)


@dataclass(frozen=True, slots=True)
class Work:
    """How to go about it: the same for every instance. witness: is told of what is done."""

    now: datetime
    form: Form = "original"
    device: str = "auto"
    progress: Progress | None = None
    patience: Patience = DEFAULT_PATIENCE
    witness: Witness = field(default_factory=Witness)

    def counted(self, step: str) -> Callable[[int, int], None] | None:
        """The progress callback for things that are counted."""
        progress = self.progress
        if progress is None:
            return None
        return lambda done, total: progress(step, done / max(total, 1))


def fetch(peer: Peer, request: Request, out: Path, work: Work) -> Outcome:
    """Restore what a peer holds into the folder `out`.

    A file that is there with the same bytes is left, so an interrupted run is taken up by running it again. Raises
    NotFound, PeerError, StoreError; ArchiveError or BitstreamError where nothing could be restored.
    """
    return _fetch(peer, request, out, work, keep=True)


def _fetch(peer: Peer, request: Request, out: Path, work: Work, *, keep: bool) -> Outcome:
    """keep: what is written stays there."""
    work.witness.asked(peer, request.identifier)
    held = find(peer, request, work.patience)
    suspects = [item for item in held if _may_be_archive(item)]
    instances: list[RestoredInstance] = []
    missing: list[scu.Received] = []
    problems: list[str] = []
    with _workspace(out) as workspace:
        archives, others = workspace / "archives", workspace / "others"
        others.mkdir()
        if suspects:
            missing += _get(peer, suspects, archives, "fetch archives", work)
            _separate(archives, others)
        if any(archives.glob("*.dcm")):
            report = _restore([archives], out, work, keep=keep)
            instances += report.instances
            problems += report.problems
        given = {one.sop_instance_uid for one in instances}
        for uid in given:
            (others / f"{uid}.dcm").unlink(missing_ok=True)  # it came as it is, and out of an archive too
        known = given | {str(item.SOPInstanceUID) for item in suspects}
        rest = [item for item in held if str(item.SOPInstanceUID) not in known]
        if rest:
            missing += _get(peer, rest, others, "fetch instances", work)
        if any(others.glob("*.dcm")):
            instances += _restore([others], out, work, keep=keep).instances
    return Outcome(RestoreReport(tuple(instances), tuple(problems)), tuple(missing))


def fetch_and_send(peer: Peer, request: Request, destination: Peer, work: Work) -> Outcome:
    """The same, sent on to another peer instead of written."""
    with tempfile.TemporaryDirectory(prefix="hexdicom-") as folder:
        outcome = _fetch(peer, request, Path(folder), work, keep=False)
        return _send(outcome, destination, work)


def restore_and_send(archives: Sequence[Path], destination: Peer, work: Work) -> Outcome:
    """Archive files restored and sent to a peer."""
    work.witness.opened(archives)
    with tempfile.TemporaryDirectory(prefix="hexdicom-") as folder:
        return _send(Outcome(_restore(archives, Path(folder), work, keep=False)), destination, work)


def restore_files(archives: Sequence[Path], out: Path, work: Work) -> Outcome:
    """Archive files restored into a folder."""
    work.witness.opened(archives)
    return Outcome(_restore(archives, out, work, keep=True))


def find(peer: Peer, request: Request, patience: Patience = DEFAULT_PATIENCE) -> list[Dataset]:
    """Every instance that a peer holds of what is asked for, archive objects included. Raises NotFound, PeerError.

    An archive object lies in a series of its own, whose UID follows from that of the series it holds. A node does not list it
    beside the originals, so it is asked for by that UID: it is small, and they are restored here.
    """
    series = request.series_instance_uid
    found: dict[str, Dataset] = {}
    for series_uid in (archive_series_uid(series), series) if series else ("",):
        key = Dataset()
        if request.patient_id:
            key.PatientID = request.patient_id
        if request.study_instance_uid:
            key.StudyInstanceUID = request.study_instance_uid
        if series_uid:
            key.SeriesInstanceUID = series_uid
        found.update((str(item.SOPInstanceUID), item) for item in scu.find_instances(peer, key, patience=patience))
    if not series:
        found |= _hidden_archives(peer, found.values(), patience)
    if not found:
        raise NotFound(f"{peer} has nothing of {request}.", hint=f"`hexdicom find --from {peer}` lists what it has.")
    return list(found.values())


def _hidden_archives(peer: Peer, listed: Iterable[Dataset], patience: Patience) -> dict[str, Dataset]:
    """Archive objects of the listed series that a peer shows only to who names them, by SOP Instance UID."""
    studies: dict[str, dict[str, None]] = {}
    for item in listed:
        studies.setdefault(str(item.StudyInstanceUID), {})[str(item.SeriesInstanceUID)] = None
    found: dict[str, Dataset] = {}
    for study, series in studies.items():
        uids = [uid for uid in map(archive_series_uid, series) if uid not in series]
        for start in range(0, len(uids), _LIST):
            key = Dataset()
            key.StudyInstanceUID, key.SeriesInstanceUID = study, uids[start : start + _LIST]
            found.update((str(item.SOPInstanceUID), item) for item in scu.find_instances(peer, key, patience=patience))
    return found


def _may_be_archive(item: Dataset) -> bool:
    """Raw Data, or a class that the peer did not tell; what it really is, its content says once it is here."""
    return item.SOPClassUID in (RAW_DATA_STORAGE, "")


def _get(peer: Peer, items: Sequence[Dataset], into: Path, step: str, work: Work) -> list[scu.Received]:
    """Fetch; returns what did not come."""
    got = scu.get(peer, items, into, progress=work.counted(step), patience=work.patience)
    work.witness.fetched(peer, [one.path for one in got if one.state == "received"])
    return [one for one in got if one.state == "failed"]


def _separate(archives: Path, others: Path) -> None:
    """Move what is no archive object of ours out of the way."""
    for path in sorted(archives.glob("*.dcm")):
        with durable.on_disk(path):
            if not is_archive_object(path.read_bytes()):
                path.replace(others / path.name)


def _restore(archives: Sequence[Path], out: Path, work: Work, *, keep: bool) -> RestoreReport:
    report = pipeline.restore(archives, out, as_=work.form, now=work.now, device=work.device, progress=work.progress)
    if keep:
        work.witness.written(out, [one.path for one in report.instances if one.path is not None])
    return report


@contextmanager
def _workspace(out: Path) -> Iterator[Path]:
    """A folder for what is fetched, beside `out` where that can be; gone in any case when it is left."""
    with durable.on_disk(out):
        out.mkdir(parents=True, exist_ok=True)
    beside = out.resolve().parent
    place = beside if os.access(beside, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix=".hexdicom-", dir=place) as name:
        yield Path(name)


def _send(outcome: Outcome, destination: Peer, work: Work) -> Outcome:
    paths = [one.path for one in outcome.restored.instances if one.path is not None]
    sent = scu.store(destination, paths, progress=work.counted("send"), patience=work.patience)
    work.witness.sent(destination, [one.path for one in sent if one.state == "sent"])
    return Outcome(outcome.restored, outcome.missing, sent)
