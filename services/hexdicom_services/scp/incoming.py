"""What a peer sends, kept in bounded memory: a small data set as bytes, a large one as a file of the spool.

pynetdicom collects a message of any size in memory. Here the data set of a C-STORE goes to a file once it is large, hashed on its
way, and beyond the largest size its bytes are dropped, so that the peer can be answered; every other message is small or the
association ends. What cannot be decoded ends the association too, where pynetdicom would leave it without a thread.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import uuid
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.pdu import A_ABORT_RQ

from hexdicom_services.listener import say_closed
from hexdicom_services.part10 import file_head

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pynetdicom.association import Association
    from pynetdicom.events import Event
    from pynetdicom.pdu_primitives import P_DATA

log = logging.getLogger(__name__)

_STEP: Final = 64 << 20  # bytes after which the free space is looked at again
_MOST_COMMAND: Final = 1 << 16  # bytes of a command set
_MOST_OTHER: Final = 1 << 22  # bytes of a data set that is not stored: an identifier, an action
_MOST_WAITING: Final = 8  # messages; nobody negotiates an asynchronous window, so a peer waits for each answer


@dataclass(frozen=True, slots=True)
class Limits:
    """folder: for large data sets; None: they stay in memory. spill: bytes from which one is large. most: bytes of the largest.

    reserve: bytes of the disk that stay free.
    """

    folder: Path | None = None
    spill: int = 8 << 20
    most: int = 2048 << 20
    reserve: int = 0


class Spilled:
    """A data set in a file, after the head that makes it a DICOM file; the file goes when this goes, unless it was moved.

    size: bytes of the data set; error: why it is not whole.
    """

    def __init__(self, limits: Limits, folder: Path, head: bytes) -> None:
        self.path = folder / f"large.{uuid.uuid4().hex[:16]}"
        self.offset, self.size, self.error = 0, 0, ""
        self.handle = -1
        self._reserve, self._digest = limits.reserve, hashlib.sha256()
        try:
            self.handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            self.error = f"The spool cannot be written: {error.strerror}."
        self._append(head)
        self.offset = len(head)

    def __del__(self) -> None:
        self.close()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Appends to the data set; after an error does nothing, so that the peer can be answered when it has sent everything."""
        if self.size // _STEP != (self.size + len(data)) // _STEP:
            self._check_space()
        self._append(data)
        self._digest.update(data)
        self.size += len(data)

    def close(self) -> None:
        """Closes the file, and removes it where nobody has given it another name."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1
            self.path.unlink(missing_ok=True)

    def _append(self, data: bytes) -> None:
        position = self.offset + self.size
        try:
            view = memoryview(data)
            while view and not self.error:
                written = os.pwrite(self.handle, view, position)
                view, position = view[written:], position + written
        except OSError as error:
            self.error = f"The spool cannot be written: {error.strerror}."

    def _check_space(self) -> None:
        try:
            if shutil.disk_usage(self.path.parent).free < self._reserve:
                self.error = "Disk is below its reserve."
        except OSError as error:
            self.error = f"The spool is gone: {error.strerror}."


class Incoming(BytesIO):
    """The data set of a message while it comes. Raises ValueError where it is too large and cannot be answered."""

    def __init__(self, association: Association, message: DIMSEMessage, limits: Limits) -> None:
        super().__init__()
        self._association, self._message, self._limits = association, message, limits
        self.spilled: Spilled | None = None
        self.received = 0  # bytes

    @property
    def most(self) -> int:
        """Bytes of the largest data set that is kept."""
        return self._limits.most

    @property
    def is_too_large(self) -> bool:
        return self.received > self.most

    def write(self, data: Any) -> int:
        self.received += len(data)
        if not self._is_stored():
            if self.received > _MOST_OTHER:
                raise ValueError("a data set that is not to be stored is too large")
            return super().write(data)
        if self.received > 4 * self.most:
            raise ValueError("a data set has no end")
        if self.is_too_large:
            self.discard()
        elif self.spilled is not None:
            self.spilled.write(data)
        elif self._limits.folder is not None and self.received > self._limits.spill:
            self._spill(self._limits.folder).write(data)
        else:
            super().write(data)
        return len(data)

    def discard(self) -> None:
        """Gives memory and file back."""
        self.seek(0)
        self.truncate()
        if self.spilled is not None:
            self.spilled.close()
            self.spilled = None

    def _spill(self, folder: Path) -> Spilled:
        self.spilled = spilled = Spilled(self._limits, folder, self._head())
        spilled.write(self.getvalue())
        self.seek(0)
        self.truncate()
        return spilled

    def _is_stored(self) -> bool:
        return isinstance(self._message, C_STORE_RQ)

    def _head(self) -> bytes:
        command = self._message.command_set
        context = self._association._accepted_cx[self._message.context_id or 0]
        uids = (str(command.AffectedSOPClassUID), str(command.AffectedSOPInstanceUID), str(context.transfer_syntax[0]))
        return file_head(*uids, self._association.requestor.ae_title)


class _Command(BytesIO):
    def write(self, data: Any) -> int:
        if self.tell() + len(data) > _MOST_COMMAND:
            raise ValueError("a command set is too large")
        return super().write(data)


def install(association: Association, limits: Limits, takes: Callable[[P_DATA], bool]) -> None:
    """Has what an association receives kept so. takes: whether something else has taken it all; pynetdicom gets what is left."""
    dimse = association.dimse
    plain: Callable[[P_DATA], None] = dimse.receive_primitive

    def receive(primitive: P_DATA) -> None:
        try:
            if takes(primitive):
                return
            _prepare(association, limits)
            plain(primitive)
        except Exception as error:
            say_closed(str(association.remote.get("address", "")), _why(error))
            log.debug("the message that could not be read", exc_info=True)
            _cut(association)

    setattr(dimse, "receive_primitive", receive)  # noqa: B010 - pynetdicom offers no place for it


def _prepare(association: Association, limits: Limits) -> None:
    dimse = association.dimse
    if dimse.msg_queue.qsize() > _MOST_WAITING:
        raise ValueError("the peer does not wait for answers")
    if dimse.message is None:
        dimse.message = DIMSEMessage()
        dimse.message.encoded_command_set = _Command()
        dimse.message.data_set = Incoming(association, dimse.message, limits)


def _cut(association: Association) -> None:
    """A-ABORT, and the end. By the book the peer may go on to send until a timer ends (PS3.8 table 9-10, Sta13)."""
    transport = association.dul.socket
    if transport is not None:
        abort = A_ABORT_RQ()
        abort.source, abort.reason_diagnostic = 2, 0  # service provider, no reason given
        transport.send(abort.encode())
        transport.close()  # tells the state machine


def on_closed(event: Event) -> None:
    """Gives back what a message that did not come to its end has taken."""
    message = event.assoc.dimse.message
    if message is not None and isinstance(message.data_set, Incoming):
        message.data_set.discard()


def _why(error: Exception) -> str:
    return str(error) if type(error) is ValueError else "it sent a message that cannot be read"
