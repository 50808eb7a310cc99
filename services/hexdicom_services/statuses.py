"""Every status that the node answers as an SCP: one table for each operation, each entry with what it means here.

The handlers answer with these values, and the tables of docs/conformance.md are made from them, so that neither can say what the
other does not. Numbers are those of PS3.7 annex C and of the service classes in PS3.4.
"""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """A status. when: what has happened, as the conformance statement says it."""

    when: str

    def __new__(cls, code: int, when: str) -> Status:
        one = int.__new__(cls, code)
        one._value_ = code
        one.when = when
        return one


class Echo(Status):
    """C-ECHO (PS3.7 9.1.5)."""

    SUCCESS = 0x0000, "the node is there"


class Store(Status):
    """C-STORE (PS3.4 B.2.3)."""

    SUCCESS = 0x0000, "the instance is durable; also where the same bytes were kept before"
    OUT_OF_RESOURCES = (
        0xA700,
        "the disk is below its reserve, the disk or the catalog failed, or the instance is larger than what is taken; "
        "Error Comment says what",
    )
    CANNOT_UNDERSTAND = 0xC000, "the instance could not be kept; Error Comment says why where that is known"


class Find(Status):
    """C-FIND (PS3.4 C.4.1.1.4)."""

    PENDING = 0xFF00, "a match; every key that is supported comes with it"
    SUCCESS = 0x0000, "all matches have been sent"
    CANCEL = 0xFE00, "cancelled by C-CANCEL"
    OUT_OF_RESOURCES = 0xA700, "the catalog or the disk failed"
    IDENTIFIER = 0xA900, "the identifier does not fit the information model"
    UNABLE_TO_PROCESS = 0xC000, "anything else; the log says what"


class Retrieve(Status):
    """C-GET and C-MOVE (PS3.4 C.4.2.1.5, C.4.3.1.4). 0xA702, 0xB000 and 0xFF00 are counted out by pynetdicom."""

    PENDING = 0xFF00, "sub-operations go on; their numbers come with it"
    SUCCESS = 0x0000, "every sub-operation succeeded; also where nothing matches"
    SOME_FAILED = (
        0xB000,
        "some failed or ended with a warning: refused by the peer, no accepted presentation context, or the archive does not give "
        "the instance back; Failed SOP Instance UID List names those that failed",
    )
    CANCEL = 0xFE00, "cancelled by C-CANCEL; nothing more is restored"
    OUT_OF_RESOURCES = 0xA701, "the catalog or the disk failed before the first sub-operation"
    ALL_FAILED = 0xA702, "every sub-operation failed"
    UNKNOWN_DESTINATION = 0xA801, "C-MOVE: the destination is not in `[peers]`, or cannot be reached, or rejects the association"
    IDENTIFIER = 0xA900, "the level is not one of the information model, or its unique key is missing"
    UNABLE_TO_PROCESS = 0xC000, "the request failed; the log says why"
    UNREADABLE_GET = 0xC413, "C-GET: the identifier cannot be decoded"
    UNREADABLE_MOVE = 0xC514, "C-MOVE: the identifier cannot be decoded"
    TOO_MANY_GET = 0xC416, "C-GET: more than 65535 instances match"
    TOO_MANY_MOVE = 0xC516, "C-MOVE: more than 65535 instances match"


class Commit(Status):
    """N-ACTION of the Storage Commitment Push Model (PS3.4 J.3.2.1.4)."""

    SUCCESS = 0x0000, "the request is durable"
    PROCESSING_FAILURE = 0x0110, "the catalog failed"
    NO_SUCH_INSTANCE = 0x0112, "not the well-known SOP Instance 1.2.840.10008.1.20.1.1"
    MISSING = 0x0114, "Transaction UID or Referenced SOP Sequence is missing"
    INVALID = 0x0115, "the request cannot be read"
    NO_SUCH_ACTION = 0x0123, "another action than 1"
    NOT_AUTHORIZED = 0x0124, "the calling AE title is not in `[peers]`, so there is no way to report; the log says so"
    TOO_MUCH = 0x0213, "more than 100 000 instances in one request"


class Failure(Status):
    """Failure Reason (0008,1197) of an instance in a report (PS3.3 C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110, "it was received, and cannot be given back as it was; the log says why"
    NO_SUCH_INSTANCE = 0x0112, "it was never received"
    CLASS_INSTANCE_CONFLICT = 0x0119, "it was received with another SOP class"
    CLASS_NOT_SUPPORTED = 0x0122, "the SOP class is not a storage class"
    DUPLICATE_TRANSACTION = 0x0131, "the Transaction UID is in use for other instances"


class Report(Status):
    """N-EVENT-REPORT of a PACS that was asked for storage commitment (PS3.4 J.3.3)."""

    SUCCESS = 0x0000, "the report is durable"
    PROCESSING_FAILURE = 0x0110, "the catalog failed"
    NO_SUCH_EVENT = 0x0113, "another event type than 1 and 2"
    MISSING = 0x0114, "Transaction UID is missing"
    INVALID = 0x0115, "the report cannot be read, or its Transaction UID was not sent to the PACS of this calling AE title"


class CreateStep(Status):
    """N-CREATE of a performed procedure step or of an availability notification (PS3.4 F.7.2.1, R.3.2)."""

    SUCCESS = 0x0000, "kept"
    INVALID_VALUE = 0x0106, "Performed Procedure Step Status is not IN PROGRESS, or the attributes cannot be read"
    PROCESSING_FAILURE = 0x0110, "the catalog failed"
    DUPLICATE = 0x0111, "there is one with this SOP Instance UID"
    MISSING = 0x0120, "Performed Procedure Step Status is missing"


class SetStep(Status):
    """N-SET of a performed procedure step (PS3.4 F.7.2.2)."""

    SUCCESS = 0x0000, "kept"
    INVALID_VALUE = 0x0106, "Performed Procedure Step Status is not one of the three, or the attributes cannot be read"
    PROCESSING_FAILURE = 0x0110, "the catalog failed; with Error ID 0xA710: the step has ended and may no longer be updated"
    NO_SUCH_INSTANCE = 0x0112, "there is no such step"


class Returned(Status):
    """C-STORE of what the node has asked a PACS for, by C-MOVE or C-GET."""

    SUCCESS = 0x0000, "expected, and written"
    NOT_AUTHORIZED = 0x0124, "C-MOVE: not one of the SOP Instance UIDs that were asked for"
    OUT_OF_RESOURCES = 0xA700, "it could not be written"
    CANNOT_UNDERSTAND = 0xC000, "its SOP Instance UID is not a UID, or its data set is empty or ends within an element"
