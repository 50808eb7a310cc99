"""One audit message as XML, by the schema of PS3.15 A.5.1.1. Knows nothing of catalogs, sockets or settings."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal
from xml.etree import ElementTree

Outcome = Literal[0, 4, 8, 12]  # success, minor failure, serious failure, major failure


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept."""

    value: str
    meaning: str
    system: str = "DCM"


APPLICATION: Final = Code("110150", "Application")
SOURCE: Final = Code("110153", "Source Role ID")
DESTINATION: Final = Code("110152", "Destination Role ID")
DESTINATION_MEDIA: Final = Code("110154", "Destination Media")
URI: Final = Code("110037", "URI")
STUDY_INSTANCE_UID: Final = Code("110180", "Study Instance UID")
SOP_CLASS_UID: Final = Code("110181", "SOP Class UID")
NODE_ID: Final = Code("110182", "Node ID")
PATIENT_ID: Final = Code("2", "Patient Number", "RFC-3881")


@dataclass(frozen=True, slots=True)
class Participant:
    """Who took part: an application by its AE title or name, a person, or a medium.

    address: IP address or host name, "" where it has none. media: what kind of medium it is.
    """

    user_id: str
    role: Code | None = None
    is_requestor: bool = False
    address: str = ""
    media: Code | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What it was about. type_code and role: PS3.15 A.5.1.2; instances: how many of each SOP class.

    query: an encoded identifier, which stands in place of a name.
    """

    id: str
    id_type: Code
    type_code: Literal["1", "2"]
    role: str
    details: tuple[tuple[str, str], ...] = ()
    instances: tuple[tuple[str, int], ...] = ()
    query: bytes | None = None


@dataclass(frozen=True, slots=True)
class AuditMessage:
    """What happened, when (seconds since 1970) and how it ended. description: why it failed, in words."""

    event: Code
    action: Literal["C", "R", "U", "D", "E"]
    at: float
    participants: tuple[Participant, ...]
    subjects: tuple[Subject, ...] = ()
    kind: Code | None = None
    outcome: Outcome = 0
    description: str = field(default="")


def to_xml(message: AuditMessage, source_id: str, site: str = "") -> str:
    """The message as an XML document without declaration, on one line."""
    root = ElementTree.Element("AuditMessage")
    identification = ElementTree.SubElement(
        root,
        "EventIdentification",
        {
            "EventActionCode": message.action,
            "EventDateTime": datetime.fromtimestamp(message.at, UTC).isoformat(timespec="milliseconds"),
            "EventOutcomeIndicator": str(message.outcome),
        },
    )
    _code(identification, "EventID", message.event)
    if message.kind is not None:
        _code(identification, "EventTypeCode", message.kind)
    if message.description:
        ElementTree.SubElement(identification, "EventOutcomeDescription").text = _legal(message.description)
    for participant in message.participants:
        _participant(root, participant)
    origin = ElementTree.SubElement(root, "AuditSourceIdentification", {"AuditSourceID": _legal(source_id)})
    if site:
        origin.set("AuditEnterpriseSiteID", _legal(site))
    ElementTree.SubElement(origin, "AuditSourceTypeCode", {"csd-code": "4"})  # application server process
    for subject in message.subjects:
        _subject(root, subject)
    return ElementTree.tostring(root, encoding="unicode")


def _participant(root: ElementTree.Element, participant: Participant) -> None:
    values = {"UserID": _legal(participant.user_id), "UserIsRequestor": "true" if participant.is_requestor else "false"}
    if participant.address:
        by_ip = ":" in participant.address or participant.address.replace(".", "").isdigit()
        values |= {"NetworkAccessPointID": _legal(participant.address), "NetworkAccessPointTypeCode": "2" if by_ip else "1"}
    element = ElementTree.SubElement(root, "ActiveParticipant", values)
    if participant.role is not None:
        _code(element, "RoleIDCode", participant.role)
    if participant.media is not None:
        _code(ElementTree.SubElement(element, "MediaIdentifier"), "MediaType", participant.media)


def _subject(root: ElementTree.Element, subject: Subject) -> None:
    values = {
        "ParticipantObjectID": _legal(subject.id),
        "ParticipantObjectTypeCode": subject.type_code,
        "ParticipantObjectTypeCodeRole": subject.role,
    }
    element = ElementTree.SubElement(root, "ParticipantObjectIdentification", values)
    _code(element, "ParticipantObjectIDTypeCode", subject.id_type)
    if subject.query is not None:
        ElementTree.SubElement(element, "ParticipantObjectQuery").text = base64.b64encode(subject.query).decode()
    else:  # the schema wants a name or a query; a patient's name is not needed to know who it was
        ElementTree.SubElement(element, "ParticipantObjectName").text = ""
    for name, value in subject.details:
        encoded = base64.b64encode(value.encode()).decode()
        ElementTree.SubElement(element, "ParticipantObjectDetail", {"type": name, "value": encoded})
    if subject.instances:
        described = ElementTree.SubElement(element, "ParticipantObjectDescription")
        for uid, number in subject.instances:
            ElementTree.SubElement(described, "SOPClass", {"UID": _legal(uid), "NumberOfInstances": str(number)})


def _code(parent: ElementTree.Element, name: str, code: Code) -> None:
    values = {"csd-code": code.value, "codeSystemName": code.system, "originalText": code.meaning}
    ElementTree.SubElement(parent, name, values)


def _legal(text: str) -> str:
    """Text without what XML 1.0 cannot hold: a peer chooses it."""
    return "".join(c if c >= " " and not 0xD800 <= ord(c) <= 0xDFFF and ord(c) not in (0xFFFE, 0xFFFF) else "?" for c in text)
