"""A PACS with faults that a test chooses: it strips, recodes, cuts off, changes, refuses, forgets, is slow, or goes away."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from hexdicom_services.peer import Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RAW, MR = "1.2.840.10008.5.1.4.1.1.66", "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


def strip_private(ds: Dataset) -> None:
    """What a PACS of Level 1 storage does (PS3.4 B.4.1)."""
    ds.remove_private_tags()


def as_unknown(ds: Dataset) -> None:
    """Private elements come back as UN, as after a hop through Implicit VR."""
    for element in list(ds):
        if element.tag.is_private and element.tag.element > 0xFF:
            data = element.value if isinstance(element.value, bytes) else int(element.value).to_bytes(4, "little")
            ds.add_new(element.tag, "UN", data)


def truncate(ds: Dataset) -> None:
    """Long values are cut off."""
    for element in ds:
        if element.VR == "OB" and len(element.value) > 65534:
            element.value = element.value[:65534]


def damage(ds: Dataset) -> None:
    """One bit of the longest value is not what it was."""
    longest = max((element for element in ds if isinstance(element.value, bytes)), key=lambda element: len(element.value))
    value = bytearray(longest.value)
    value[len(value) // 2] ^= 1
    longest.value = bytes(value)


def coerce(ds: Dataset) -> None:
    """Patient and study are corrected, as a PACS may (PS3.4 B.4.1.3)."""
    ds.PatientName, ds.AccessionNumber = "Corrected^Name", "4711"


def rename_series(ds: Dataset) -> None:
    """An attribute changes that a PACS has no business with."""
    ds.SeriesDescription = "changed"


@dataclass
class OddPacs:
    """Runs while it is entered. `stored` are the files that it keeps; the fields may be changed at any time.

    mangle: done to everything that it gives back. refuse_above: bytes of a data set; larger ones are answered 0xA700.
    vanish_after: C-STORE requests that are answered before the association is aborted. vanish_giving: the same instead of giving
    anything back. slow: seconds before each answer.
    """

    folder: Path
    mangle: Callable[[Dataset], None] | None = None
    refuse: int = 0
    refuse_above: int = 1 << 40
    vanish_after: int = 1 << 40
    vanish_giving: bool = False
    slow: float = 0.0
    forgets: bool = False
    finds: bool = True
    gets: bool = True
    syntaxes: tuple[str, ...] = (EXPLICIT, IMPLICIT)
    destinations: dict[str, int] = field(default_factory=dict)
    calls: int = 0

    def __enter__(self) -> OddPacs:
        self.folder.mkdir(exist_ok=True)
        _config.UNRESTRICTED_STORAGE_SERVICE = False
        ae = AE(ae_title="ODD")
        ae.maximum_pdu_size = 1 << 17
        ae.add_supported_context(Verification)
        for uid in (RAW, MR):
            ae.add_supported_context(uid, list(self.syntaxes), scu_role=True, scp_role=True)
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
        if self.finds:
            ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        if self.gets:
            ae.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
        ae.requested_contexts = []
        for uid in (RAW, MR):
            ae.add_requested_context(uid, list(self.syntaxes))
        handlers = [
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_C_FIND, self._on_find),
            (evt.EVT_C_GET, self._on_get),
            (evt.EVT_C_MOVE, self._on_move),
        ]
        self._server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        return self

    def __exit__(self, *_: object) -> None:
        for association in self._server.active_associations:
            association.abort()
        self._server.shutdown()

    @property
    def peer(self) -> Peer:
        return Peer("ODD", "127.0.0.1", self._server.server_address[1])

    @property
    def stored(self) -> list[Path]:
        return sorted(self.folder.glob("*.dcm"))

    def _on_store(self, event: Any) -> int:
        self.calls += 1
        time.sleep(self.slow)
        if self.calls > self.vanish_after:
            threading.Thread(target=event.assoc.abort).start()
            time.sleep(0.2)
            return 0xC000
        data = event.encoded_dataset()
        if self.refuse or len(data) > self.refuse_above:
            return self.refuse or 0xA700
        if not self.forgets:
            (self.folder / f"{event.request.AffectedSOPInstanceUID}.dcm").write_bytes(data)
        return 0x0000

    def _matching(self, query: Dataset) -> list[Dataset]:
        found = [dcmread(path) for path in self.stored]
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            wanted = query.get(keyword)
            if wanted:
                several = [wanted] if isinstance(wanted, str) else list(wanted)
                found = [ds for ds in found if ds[keyword].value in several]
        return found

    def _on_find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        time.sleep(self.slow)
        for ds in self._matching(event.identifier):
            answer = Dataset()
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
                setattr(answer, keyword, ds[keyword].value)
            answer.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
            yield 0xFF00, answer

    def _given(self, event: Any) -> list[Dataset]:
        time.sleep(self.slow)
        if self.vanish_giving:
            event.assoc.abort()
            return []
        found = self._matching(event.identifier)
        for ds in found:
            if self.mangle is not None:
                self.mangle(ds)
        return found

    def _on_get(self, event: Any) -> Iterator[Any]:
        found = self._given(event)
        yield len(found)
        for ds in found:
            yield 0xFF00, ds

    def _on_move(self, event: Any) -> Iterator[Any]:
        number = self.destinations.get(str(event.move_destination).strip())
        if number is None:
            yield None, None
            return
        found = self._given(event)
        yield "127.0.0.1", number
        yield len(found)
        for ds in found:
            yield 0xFF00, ds
