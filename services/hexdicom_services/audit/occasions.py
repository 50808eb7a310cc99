"""The occasions on which the node leaves an audit message (PS3.15 A.5.3), each as a function that makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from hexdicom_services.audit.message import (
    APPLICATION,
    DESTINATION,
    DESTINATION_MEDIA,
    NODE_ID,
    PATIENT_ID,
    SOP_CLASS_UID,
    SOURCE,
    STUDY_INSTANCE_UID,
    URI,
    AuditMessage,
    Code,
    Outcome,
    Participant,
    Subject,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_QUERY: Final = 1 << 15  # bytes of an identifier in a message
_ACTIVITY: Final = Code("110100", "Application Activity")
_BEGIN: Final = Code("110102", "Begin Transferring DICOM Instances")
_ACCESSED: Final = Code("110103", "DICOM Instances Accessed")
_TRANSFERRED: Final = Code("110104", "DICOM Instances Transferred")
_STUDY_DELETED: Final = Code("110105", "DICOM Study Deleted")
_EXPORT: Final = Code("110106", "Export")
_QUERY: Final = Code("110112", "Query")
_ALERT: Final = Code("110113", "Security Alert")
_START: Final = Code("110120", "Application Start")
_STOP: Final = Code("110121", "Application Stop")
_NODE_AUTHENTICATION: Final = Code("110126", "Node Authentication")
_PROTECTION: Final = Code("110135", "Object Security Attributes Changed")


@dataclass(frozen=True, slots=True)
class Party:
    """An application entity and where it is."""

    ae_title: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Study:
    """Whose images of which study, and how many of each SOP class. A message is about one patient."""

    study_instance_uid: str
    patient_id: str
    instances: Mapping[str, int]


def started(node: Party, at: float) -> AuditMessage:
    """The node runs (A.5.3.1)."""
    return AuditMessage(_ACTIVITY, "E", at, (_user(node, APPLICATION),), kind=_START)


def stopped(node: Party, at: float) -> AuditMessage:
    """The node has ended (A.5.3.1)."""
    return AuditMessage(_ACTIVITY, "E", at, (_user(node, APPLICATION),), kind=_STOP)


def transfer_begun(source: Party, destination: Party, study: Study, at: float) -> AuditMessage:
    """The first instance of a study has come (A.5.3.3)."""
    return AuditMessage(_BEGIN, "E", at, _ends(source, destination, source), _about(study))


def transferred(
    source: Party, destination: Party, study: Study, at: float, *,
    action: Literal["C", "R", "U"], requestor: Party, outcome: Outcome = 0, description: str = "",
) -> AuditMessage:  # fmt: skip
    """Instances have been transferred (A.5.3.7). action: C new here, U other content under a known UID, R known or not here."""
    ends = _ends(source, destination, requestor)
    return AuditMessage(_TRANSFERRED, action, at, ends, _about(study), outcome=outcome, description=description)


def exported(node: Party, operator: Party, place: str, study: Study, at: float) -> AuditMessage:
    """A command on the machine has left instances in files (A.5.3.4). place: their folder, as a URI; operator: who ran it."""
    media = Participant(place, DESTINATION_MEDIA, media=URI)
    participants = (_user(node, SOURCE), _user(operator, SOURCE, requestor=True), media)
    return AuditMessage(_EXPORT, "R", at, participants, _about(study))


def accessed(node: Party, operator: Party, study: Study, at: float) -> AuditMessage:
    """A command on the machine opens archive objects of the store (A.5.3.6). operator: who runs it."""
    participants = (_user(node, APPLICATION), _user(operator, None, requestor=True))
    return AuditMessage(_ACCESSED, "R", at, participants, _about(study))


def queried(source: Party, node: Party, sop_class_uid: str, transfer_syntax_uid: str, identifier: bytes, at: float) -> AuditMessage:
    """A peer has asked what there is, or for it; or a command here asks a PACS (A.5.3.10). A long identifier is kept in part."""
    details = [("TransferSyntax", transfer_syntax_uid)]
    if len(identifier) > _MOST_QUERY:
        details.append(("Length", str(len(identifier))))
    subject = Subject(sop_class_uid, SOP_CLASS_UID, "2", "3", tuple(details), query=identifier[:_MOST_QUERY])
    return AuditMessage(_QUERY, "E", at, _ends(source, node, source), (subject,))


def refused(node: Party, caller: Party, why: str, at: float) -> AuditMessage:
    """A caller was turned away (A.5.3.11)."""
    subject = Subject(caller.address or "unknown", NODE_ID, "2", "13", details=(("Alert Description", why),))
    participants = (_user(node, APPLICATION), _user(Party(caller.ae_title or "unknown", caller.address), None, requestor=True))
    return AuditMessage(
        _ALERT, "E", at, participants, (subject,), kind=_NODE_AUTHENTICATION, outcome=4, description=why
    )  # fmt: skip


def instances_deleted(node: Party, study: Study, why: str, at: float, operator: Party | None = None) -> AuditMessage:
    """Some instances of a study were deleted here (A.5.3.6). why: the rule that allowed it; operator: who wanted it now."""
    people = () if operator is None else (_user(operator, None, requestor=True),)
    participants = (_user(node, APPLICATION, requestor=operator is None), *people)
    return AuditMessage(_ACCESSED, "D", at, participants, _about(study, why))


def study_deleted(node: Party, study: Study, why: str, at: float) -> AuditMessage:
    """Everything that was here of a study was deleted (A.5.3.8). why: the rule that allowed it."""
    return AuditMessage(_STUDY_DELETED, "D", at, (_user(node, APPLICATION, requestor=True),), _about(study, why))


def protection_changed(node: Party, operator: Party, study: Study, why: str, at: float) -> AuditMessage:
    """A study was put on legal hold, or its hold was ended (A.5.3.11). why: which of them, and for which reason."""
    participants = (_user(node, APPLICATION), _user(operator, None, requestor=True))
    _, patient = _about(study)
    subject = Subject(study.study_instance_uid, STUDY_INSTANCE_UID, "2", "13", details=(("Alert Description", why),))
    return AuditMessage(_ALERT, "E", at, participants, (subject, patient), kind=_PROTECTION, description=why)


def _user(party: Party, role: Code | None, *, requestor: bool = False) -> Participant:
    return Participant(party.ae_title, role, requestor, party.address)


def _ends(source: Party, destination: Party, requestor: Party) -> tuple[Participant, ...]:
    return (
        _user(source, SOURCE, requestor=requestor is source),
        _user(destination, DESTINATION, requestor=requestor is destination),
    )


def _about(study: Study, why: str = "") -> tuple[Subject, Subject]:
    details = (("Reason", why),) if why else ()
    counts = tuple(sorted(study.instances.items()))
    return (
        Subject(study.study_instance_uid or "unknown", STUDY_INSTANCE_UID, "2", "3", details, counts),
        Subject(study.patient_id or "unknown", PATIENT_ID, "1", "1"),
    )
