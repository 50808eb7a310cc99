"""What a person does with patients' images by a command on the node's machine, in the audit trail of the node.

The receiver sees peers alone; a command that reads the store, or fetches from a PACS under the name of the node, is seen by itself
alone. Who asked, and for what, is in the trail before anything comes; what came, what was written where and what was sent follow
with numbers, one message for each study.
"""

from __future__ import annotations

import logging
import os
import pwd
import socket
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from hexdicom.errors import HexdicomError
from hexdicom_services.audit import occasions
from hexdicom_services.audit.message import Participant
from hexdicom_services.audit.occasions import Party, Study
from hexdicom_services.audit.trail import Trail
from hexdicom_services.catalog.session import open_catalog
from hexdicom_services.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset

    from hexdicom_services.audit.message import AuditMessage
    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.peer import Peer
    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)

_NAMED = ("StudyInstanceUID", "PatientID", "SOPClassUID", "SpecificCharacterSet")


class Errand(Witness):
    """Leaves messages. Where one cannot be left, `complain` is told, once, and the images are given all the same.

    ours: the peer is the node itself, whose receiver leaves what it is asked for and what it gives.
    """

    def __init__(self, trail: Trail, complain: Callable[[str], None], *, ours: bool = False) -> None:
        self._trail, self._complain, self._ours = trail, complain, ours
        self._operator = operator()

    def asked(self, peer: Peer, identifier: Dataset) -> None:
        if not self._ours:
            key = _encoded(identifier)
            model, there = str(StudyRootQueryRetrieveInformationModelFind), Party(peer.ae_title, peer.host)
            message = occasions.queried(self._trail.node, there, model, ExplicitVRLittleEndian, key, time.time())
            self._leave(_by(message, self._operator))

    def opened(self, archives: Iterable[Path]) -> None:
        now, files = time.time(), [file for place in archives for file in _files(place)]
        self._leave(*(occasions.accessed(self._trail.node, self._operator, study, now) for study in _studies(files)))

    def fetched(self, peer: Peer, files: Iterable[Path]) -> None:
        if not self._ours:
            self._transferred(Party(peer.ae_title, peer.host), self._trail.node, files)

    def written(self, folder: Path, files: Iterable[Path]) -> None:
        now, place = time.time(), folder.resolve().as_uri()
        self._leave(*(occasions.exported(self._trail.node, self._operator, place, study, now) for study in _studies(files)))

    def sent(self, peer: Peer, files: Iterable[Path]) -> None:
        self._transferred(self._trail.node, Party(peer.ae_title, peer.host), files)

    def _transferred(self, source: Party, destination: Party, files: Iterable[Path]) -> None:
        now, person = time.time(), self._operator
        made = [occasions.transferred(source, destination, one, now, action="R", requestor=person) for one in _studies(files)]
        self._leave(*(_by(message, person) for message in made))

    def _leave(self, *messages: AuditMessage) -> None:
        if not messages:
            return
        try:
            self._trail.leave(*messages)
        except HexdicomError as error:
            log.debug("an audit message could not be left", exc_info=True)
            self._complain(f"The audit trail of the node does not tell of this: {error.message}")
            self._complain = lambda _: None


@contextmanager
def errand(settings: Settings, complain: Callable[[str], None], *, ours: bool = False) -> Iterator[Witness]:
    """The witness of the node with these settings; one who sees nothing where this machine has no such node.

    Where there is one whose catalog this user cannot open, `complain` is told: they do not act for the node, and what they do
    leaves no trace there.
    """
    catalog = _catalog(settings, complain)
    if catalog is None:
        yield Witness()
        return
    try:
        yield Errand(Trail.of(settings, catalog), complain, ours=ours)
    finally:
        catalog.close()


def _catalog(settings: Settings, complain: Callable[[str], None]) -> Catalog | None:
    try:
        if settings.state.is_dir() and settings.database.exists():
            return open_catalog(settings.database)
    except (HexdicomError, OSError) as error:
        complain(f"The audit trail of the node does not tell of this: its catalog cannot be opened ({error}).")
    return None


def reads_store(settings: Settings, sources: Iterable[Path]) -> bool:
    """Whether one of these files or folders is in the store of a node, or holds it."""
    store = settings.store.resolve()
    places = [source.resolve() for source in sources]
    return any(place.is_relative_to(store) or store.is_relative_to(place) for place in places)


def operator() -> Party:
    """Who runs this command, as the machine knows them, and on which machine."""
    user = os.getuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:  # of a container, often
        name = f"user {user}"
    before = os.environ.get("SUDO_USER", "") if user == 0 else ""
    return Party(f"{before} as {name}" if before else name, socket.gethostname())


def _by(message: AuditMessage, person: Party) -> AuditMessage:
    """The same message, in which a person is who wanted it."""
    others = tuple(replace(one, is_requestor=False) for one in message.participants)
    return replace(message, participants=(*others, Participant(person.ae_title, None, True, person.address)))


def _encoded(identifier: Dataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, identifier)
    return buffer.getvalue()


def _files(place: Path) -> list[Path]:
    try:
        return sorted(one for one in place.rglob("*") if one.is_file()) if place.is_dir() else [place]
    except OSError:
        return []


def _studies(files: Iterable[Path]) -> list[Study]:
    """Whose images these files are, and how many of each SOP class; a file that is not DICOM is nobody's."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for file in files:
        try:
            head = dcmread(file, stop_before_pixels=True, specific_tags=list(_NAMED))
        except (InvalidDicomError, OSError, ValueError, KeyError):
            log.debug("a file has no head that says whose it is", exc_info=True)
            continue
        key = str(head.get("StudyInstanceUID", "")), str(head.get("PatientID", ""))
        counts.setdefault(key, Counter())[str(head.get("SOPClassUID", ""))] += 1
    return [Study(*key, number) for key, number in counts.items()]
