"""C-STORE: files to a peer, byte for byte, taken up again where an association broke."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.dsutils import split_dataset

from hexdicom.errors import PeerError
from hexdicom_services.scu.association import DEFAULT_PATIENCE, MAX_CONTEXTS, Patience, associate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pynetdicom.association import Association

    from hexdicom_services.peer import Peer

State = Literal["waiting", "sent", "refused", "failed"]
_CONVERTIBLE = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
_OUT_OF_RESOURCES = range(0xA700, 0xA800)


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one file.

    state: `sent` (the peer answered success or a warning), `refused` (it answered a failure: sending it again will not
    help), `failed` (no answer, or the file cannot be sent). `reason` says why, where it is not plainly sent.
    """

    path: Path
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    transfer_syntax_uid: str = ""
    state: State = "waiting"
    reason: str = ""


def store(
    peer: Peer,
    paths: Sequence[Path],
    *,
    progress: Callable[[int, int], None] | None = None,
    patience: Patience = DEFAULT_PATIENCE,
) -> tuple[Sent, ...]:
    """Send Part-10 files; the answer has one entry per path, in their order. `progress(done, total)` after each.

    Data sets go out as they lie in the file; only where the peer takes nothing but the other little-endian encoding, an
    uncompressed one is converted. Raises PeerError if not one association came about.
    """
    outbox = _Outbox({path: _identify(path) for path in paths}, progress)
    fruitless, problem = 0, ""
    while waiting := outbox.waiting():
        try:
            for batch in _batches(waiting):
                _send(peer, batch, outbox, patience)
        except PeerError as error:
            if not outbox.reached:
                raise
            problem = error.message
        left = outbox.waiting()
        fruitless = 0 if len(left) < len(waiting) else fruitless + 1
        if left and fruitless >= patience.attempts:
            for item in left:
                outbox.take(replace(item, state="failed", reason=item.reason or problem))
        elif left:
            time.sleep(patience.delay)
    return tuple(outbox.items[path] for path in paths)


class _Outbox:
    """The files and what became of each so far."""

    def __init__(self, items: dict[Path, Sent], progress: Callable[[int, int], None] | None) -> None:
        self.items, self.progress = items, progress
        self.reached = False  # an association came about, so the next one may too
        self.done = len(items) - len(self.waiting())

    def waiting(self) -> list[Sent]:
        return [item for item in self.items.values() if item.state == "waiting"]

    def take(self, item: Sent) -> None:
        self.items[item.path] = item
        self.done += item.state != "waiting"
        if self.progress is not None:
            self.progress(self.done, len(self.items))


def _identify(path: Path) -> Sent:
    """What a file is, read from its file meta group (PS3.10 section 7.1)."""
    try:
        meta, _ = split_dataset(path)
        return Sent(
            path,
            str(meta.MediaStorageSOPClassUID),
            str(meta.MediaStorageSOPInstanceUID),
            str(meta.TransferSyntaxUID),
        )
    except OSError as error:
        return Sent(path, state="failed", reason=f"cannot be read: {error.strerror}")
    except (InvalidDicomError, AttributeError, KeyError, ValueError, EOFError, NotImplementedError, struct.error):
        return Sent(path, state="failed", reason="is not a DICOM file with file meta information")


def _batches(items: Sequence[Sent]) -> Iterator[list[Sent]]:
    """Items in their order, cut where another association is needed because its contexts are used up."""
    batch: list[Sent] = []
    kinds: set[tuple[str, str]] = set()
    for item in items:
        kind = (item.sop_class_uid, item.transfer_syntax_uid)
        if kind not in kinds and 2 * (len(kinds) + 1) > MAX_CONTEXTS:
            yield batch
            batch, kinds = [], set()
        kinds.add(kind)
        batch.append(item)
    if batch:
        yield batch


def _send(peer: Peer, batch: Sequence[Sent], outbox: _Outbox, patience: Patience) -> None:
    """One association; raises PeerError where it cannot be made or breaks."""
    kinds = {(item.sop_class_uid, item.transfer_syntax_uid) for item in batch}
    kinds |= {(uid, other) for uid, syntax in kinds if syntax in _CONVERTIBLE for other in _CONVERTIBLE}
    contexts = [build_context(uid, syntax) for uid, syntax in sorted(kinds)]
    with associate(peer, contexts, patience=patience) as assoc:
        outbox.reached = True
        accepted = {(str(cx.abstract_syntax), str(cx.transfer_syntax[0])) for cx in assoc.accepted_contexts}
        for item in batch:
            outbox.take(_send_one(peer, assoc, item, accepted))


def _send_one(peer: Peer, assoc: Association, item: Sent, accepted: set[tuple[str, str]]) -> Sent:
    if (item.sop_class_uid, item.transfer_syntax_uid) in accepted:
        response = assoc.send_c_store(item.path)
    elif item.transfer_syntax_uid in _CONVERTIBLE and any((item.sop_class_uid, s) in accepted for s in _CONVERTIBLE):
        response = assoc.send_c_store(dcmread(item.path))
    else:
        return replace(item, state="refused", reason=f"{peer} does not accept its SOP class or transfer syntax")
    if "Status" not in response:
        raise PeerError(
            f"{peer} broke the association while {item.sop_instance_uid} was being sent.",
            hint="Look into its log, then run the command again.",
        )
    status = int(response.Status)
    comment = str(response.get("ErrorComment") or "")
    answer = f"status 0x{status:04X}" + (f" ({comment})" if comment else "")
    if status == 0x0000:
        return replace(item, state="sent")
    if status >> 12 == 0xB or status == 0x0001:
        return replace(item, state="sent", reason=f"{peer} answered a warning, {answer}")
    if status in _OUT_OF_RESOURCES:  # worth another try later
        return replace(item, reason=f"{peer} is out of resources, {answer}")
    return replace(item, state="refused", reason=f"{peer} answered {answer}")
