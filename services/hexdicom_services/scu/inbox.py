"""Where instances that a peer sends to us are written: as the bytes that arrived, one file each."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from pydicom.dataset import Dataset

from hexdicom_services.elements import what_is_missing
from hexdicom_services.statuses import Returned

if TYPE_CHECKING:
    from collections.abc import Callable, Set
    from pathlib import Path

    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.events import Event

    from hexdicom.errors import PeerError

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one instance: `received` now, `present` already, or `failed` for a `reason`."""

    sop_class_uid: str
    sop_instance_uid: str
    path: Path
    state: Literal["received", "present", "failed"]
    reason: str = ""


class Inbox:
    """Takes C-STORE operations: writes, fsyncs, renames, and only then answers success; refuses a data set that is not whole.

    expected: SOP Instance UIDs; any other is answered 0x0124. None takes everything.
    """

    def __init__(
        self,
        folder: Path,
        progress: Callable[[int, int], None] | None = None,
        *,
        total: int,
        expected: Set[str] | None = None,
    ) -> None:
        self.folder, self.progress, self.total, self.done = folder, progress, total, 0
        self.expected = expected
        self.failed: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.error: OSError | None = None
        self.reached = False  # an association came about, so the next one may too

    def path(self, uid: str) -> Path:
        return self.folder / f"{uid}.dcm"

    def has(self, uid: str) -> bool:
        return self.path(uid).is_file()

    def __call__(self, event: Event) -> int | Dataset:
        uid = str(cast("C_STORE", event.request).AffectedSOPInstanceUID)
        if self.expected is not None and uid not in self.expected:
            return _refusal(Returned.NOT_AUTHORIZED, "Only what was asked for by C-MOVE is taken here.")
        if len(uid) > 64 or not _UID.fullmatch(uid):
            return Returned.CANNOT_UNDERSTAND
        request = cast("C_STORE", event.request)
        content = request.DataSet.getvalue() if request.DataSet is not None else b""
        missing = what_is_missing(content, str(event.context.transfer_syntax))
        if missing:
            self.refused[uid] = f"the peer did not send all of its data set: {missing}"
            return _refusal(Returned.CANNOT_UNDERSTAND, f"This data set is not whole: {missing}.")
        unfinished = self.folder / f".{uid}.part"
        try:
            with unfinished.open("wb") as file:
                file.write(event.encoded_dataset())
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self.path(uid))
        except OSError as error:
            self.error = error
            unfinished.unlink(missing_ok=True)
            return Returned.OUT_OF_RESOURCES
        self.done += 1
        if self.progress is not None:
            self.progress(min(self.done, self.total), self.total)
        return Returned.SUCCESS

    def result(self, item: Dataset, problem: PeerError | None, *, present: bool = False) -> Received:
        """What became of an instance that was asked for."""
        uid, sop_class = str(item.SOPInstanceUID), str(item.SOPClassUID)
        if present:
            return Received(sop_class, uid, self.path(uid), "present")
        if self.has(uid):
            return Received(sop_class, uid, self.path(uid), "received")
        reason = self.refused.get(uid) or self.failed.get(uid) or (problem.message if problem else "the peer did not send it")
        return Received(sop_class, uid, self.path(uid), "failed", reason)


def _refusal(status: Returned, comment: str) -> Dataset:
    answer = Dataset()
    answer.Status, answer.ErrorComment = status, comment
    return answer
