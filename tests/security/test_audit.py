"""The audit trail: its messages have the structure of PS3.15 A.5.1.1, none is lost, and no collector holds anything up."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from pydicom.dataset import Dataset

from hexdicom.errors import ConfigError, PeerError
from hexdicom_services import scu
from hexdicom_services.audit import occasions
from hexdicom_services.audit.message import to_xml
from hexdicom_services.audit.occasions import Party, Study
from hexdicom_services.audit.shipper import Shipper
from hexdicom_services.audit.trail import Trail
from hexdicom_services.catalog import audit_rows
from hexdicom_services.catalog.session import Catalog, open_catalog
from hexdicom_services.collector import Collector
from hexdicom_services.elements import Identity
from hexdicom_services.scp.auditor import Auditor, decoded
from hexdicom_services.sections import AuditSection, NodeSection, TlsSection
from hexdicom_services.settings import Settings
from hexdicom_services.status import status

from .conftest import MR, Authority, Pair, peer, receiving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NODE, SCANNER = Party("HEXDICOM", "10.0.0.1"), Party("SCANNER", "10.0.0.7")
STUDY = Study("1.2.3", "P-1", {MR: 3})
NOW = 1_800_000_000.25
CODED = {"csd-code", "codeSystemName", "originalText"}


def check_structure(text: str) -> ElementTree.Element:
    """The schema of PS3.15 A.5.1.1, as far as we use it; what is not in it fails."""
    root = ElementTree.fromstring(text)
    assert root.tag == "AuditMessage"
    assert not root.attrib
    order = [child.tag for child in root]
    known = ["EventIdentification", "ActiveParticipant", "AuditSourceIdentification", "ParticipantObjectIdentification"]
    assert order == sorted(order, key=known.index)
    assert (order.count(known[0]), order.count(known[2])) == (1, 1)
    assert order.count(known[1]) >= 1
    event = root[0]
    assert set(event.attrib) == {"EventActionCode", "EventDateTime", "EventOutcomeIndicator"}
    assert event.get("EventActionCode") in tuple("CRUDE")
    assert event.get("EventOutcomeIndicator") in ("0", "4", "8", "12")
    assert [child.tag for child in event] in (
        ["EventID"], ["EventID", "EventTypeCode"], ["EventID", "EventOutcomeDescription"],
        ["EventID", "EventTypeCode", "EventOutcomeDescription"],
    )  # fmt: skip
    for participant in root.findall("ActiveParticipant"):
        assert set(participant.attrib) - {"NetworkAccessPointID", "NetworkAccessPointTypeCode"} == {"UserID", "UserIsRequestor"}
        assert participant.get("UserIsRequestor") in ("true", "false")
        assert participant.get("NetworkAccessPointTypeCode") in (None, "1", "2")
        assert [child.tag for child in participant] in ([], ["RoleIDCode"], ["RoleIDCode", "MediaIdentifier"])
        assert [child.tag for child in participant.iter("MediaType")] in ([], ["MediaType"])
    source = root.find("AuditSourceIdentification")
    assert source is not None
    assert set(source.attrib) <= {"AuditEnterpriseSiteID", "AuditSourceID"}
    assert source.get("AuditSourceID")
    assert [dict(child.attrib) for child in source] == [{"csd-code": "4"}]
    for subject in root.findall("ParticipantObjectIdentification"):
        assert set(subject.attrib) == {"ParticipantObjectID", "ParticipantObjectTypeCode", "ParticipantObjectTypeCodeRole"}
        tags = [child.tag for child in subject]
        assert tags[0] == "ParticipantObjectIDTypeCode"
        assert tags[1] in ("ParticipantObjectName", "ParticipantObjectQuery")
        assert set(tags[2:]) <= {"ParticipantObjectDetail", "ParticipantObjectDescription"}
        for detail in subject.findall("ParticipantObjectDetail"):
            assert set(detail.attrib) == {"type", "value"}
            base64.b64decode(detail.attrib["value"], validate=True)
        for sop_class in subject.findall("ParticipantObjectDescription/SOPClass"):
            assert set(sop_class.attrib) == {"UID", "NumberOfInstances"}
    for name in ("EventID", "EventTypeCode", "RoleIDCode", "ParticipantObjectIDTypeCode", "MediaType"):
        for code in root.iter(name):
            assert set(code.attrib) == CODED
    return root


def event_of(root: ElementTree.Element) -> tuple[str, str, str]:
    code = root.find("EventIdentification/EventID")
    assert code is not None
    return code.attrib["csd-code"], root[0].attrib["EventActionCode"], root[0].attrib["EventOutcomeIndicator"]


MESSAGES = [
    (occasions.started(NODE, NOW), ("110100", "E", "0")),
    (occasions.stopped(NODE, NOW), ("110100", "E", "0")),
    (occasions.transfer_begun(SCANNER, NODE, STUDY, NOW), ("110102", "E", "0")),
    (occasions.transferred(SCANNER, NODE, STUDY, NOW, action="C", requestor=SCANNER), ("110104", "C", "0")),
    (occasions.queried(SCANNER, NODE, "1.2", "1.2.840.10008.1.2", b"\0\xff", NOW), ("110112", "E", "0")),
    (occasions.exported(NODE, Party("alice", "host"), "file:///media/usb", STUDY, NOW), ("110106", "R", "0")),
    (occasions.accessed(NODE, Party("alice", "host"), STUDY, NOW), ("110103", "R", "0")),
    (occasions.protection_changed(NODE, Party("alice", "host"), STUDY, "legal hold ended", NOW), ("110113", "E", "0")),
    (occasions.refused(NODE, SCANNER, "not known", NOW), ("110113", "E", "4")),
    (occasions.instances_deleted(NODE, STUDY, "retention: 30 days", NOW), ("110103", "D", "0")),
    (occasions.instances_deleted(NODE, STUDY, "retention: 30 days", NOW, Party("alice", "host")), ("110103", "D", "0")),
    (occasions.study_deleted(NODE, STUDY, "retention: 30 days", NOW), ("110105", "D", "0")),
]


@pytest.mark.parametrize(("message", "expected"), MESSAGES)
def test_every_message_has_the_structure_of_the_schema(message: Any, expected: tuple[str, str, str]) -> None:
    root = check_structure(to_xml(message, "HEXDICOM", "site"))
    assert event_of(root) == expected
    assert root[0].attrib["EventDateTime"] == "2027-01-15T08:00:00.250+00:00"


def test_a_message_about_images_names_study_patient_and_numbers() -> None:
    root = check_structure(to_xml(MESSAGES[3][0], "HEXDICOM"))
    subjects = [one.attrib["ParticipantObjectID"] for one in root.findall("ParticipantObjectIdentification")]
    assert subjects == ["1.2.3", "P-1"]
    (sop_class,) = root.iter("SOPClass")
    assert sop_class.attrib == {"UID": MR, "NumberOfInstances": "3"}
    assert [one.attrib["UserIsRequestor"] for one in root.findall("ActiveParticipant")] == ["true", "false"]


def test_a_very_long_query_is_kept_in_part() -> None:
    root = check_structure(to_xml(occasions.queried(SCANNER, NODE, "1.2", "1.2.840.10008.1.2", bytes(1 << 22), NOW), "HEXDICOM"))
    (asked,) = root.iter("ParticipantObjectQuery")
    assert len(base64.b64decode(asked.text or "")) == 1 << 15
    details = {one.attrib["type"]: base64.b64decode(one.attrib["value"]) for one in root.iter("ParticipantObjectDetail")}
    assert details == {"TransferSyntax": b"1.2.840.10008.1.2", "Length": b"4194304"}


def test_what_a_peer_writes_cannot_break_the_message() -> None:
    evil = Party('"><x/>\0\x1b', "10.0.0.7")
    study = Study("1.2<&>", "\x07<script>\ud800", {"1.2\x01": 1})
    check_structure(to_xml(occasions.transfer_begun(evil, NODE, study, NOW), "HEXDICOM"))


def test_patient_ids_are_decoded_by_their_character_set() -> None:
    assert decoded(Identity(patient_id=b"A-1")) == "A-1"
    assert decoded(Identity(patient_id="Ä1".encode(), character_set="ISO_IR 192")) == "Ä1"
    assert decoded(Identity(patient_id="Ä1".encode("latin-1"), character_set="ISO_IR 100")) == "Ä1"
    assert "1" in decoded(Identity(patient_id=b"\xff1", character_set="NONSENSE"))


@pytest.mark.filterwarnings("ignore:Unknown encoding")
def test_what_a_receiver_does_is_in_the_trail(tmp_path: Path, phantom_files: list[Path]) -> None:
    with receiving(tmp_path, receiver={"calling_ae_titles": ("SCANNER",)}) as (running, settings):
        scu.store(peer(running), phantom_files)
        scu.store(peer(running), phantom_files[:1])
        query = Dataset()
        query.PatientID = "NOBODY"
        scu.find(peer(running), query, "STUDY")
        with pytest.raises(PeerError):
            scu.echo(peer(running, calling="STRANGER"))
    roots = [check_structure(row.message) for row in rows(settings)]
    assert [event_of(root) for root in roots] == [
        ("110102", "E", "0"), ("110104", "C", "0"), ("110102", "E", "0"), ("110104", "R", "0"),
        ("110112", "E", "0"), ("110113", "E", "4"),
    ]  # fmt: skip
    counts = [int(one.attrib["NumberOfInstances"]) for root in roots for one in root.iter("SOPClass")]
    assert counts == [3, 1]
    (asked,) = roots[4].iter("ParticipantObjectQuery")
    assert b"NOBODY" in base64.b64decode(asked.text or "")
    assert [one.attrib["UserID"] for one in roots[5].findall("ActiveParticipant")] == ["HEXDICOM", "STRANGER"]


def test_a_stranger_who_tries_again_and_again_does_not_fill_the_disk(tmp_path: Path) -> None:
    settings = Settings(node=NodeSection(state_dir=tmp_path))
    catalog, now = open_catalog(settings.database), [NOW]
    auditor = Auditor(Trail.of(settings, catalog), lambda: now[0])
    for _ in range(500):
        auditor.refused("STRANGER", "10.0.0.66", "not known")
    auditor.refused("OTHER", "10.0.0.67", "not known")
    now[0] += 61
    auditor.refused("STRANGER", "10.0.0.66", "not known")
    auditor.close()
    catalog.close()
    roots = [check_structure(row.message) for row in rows(settings)]
    said = [root.findtext("EventIdentification/EventOutcomeDescription") for root in roots]
    assert said == ["not known", "not known", "not known (499 times more since the last message)"]


def rows(settings: Settings) -> list[audit_rows.Row]:
    catalog = open_catalog(settings.database)
    try:
        with catalog.read() as connection:
            return audit_rows.unshipped(connection, 1000)
    finally:
        catalog.close()


class Listening:
    """A syslog server with TLS that counts octets (RFC 5425 section 4.3); `stop` and `start` as often as a test likes."""

    def __init__(self, context: ssl.SSLContext, number: int = 0) -> None:
        self.context, self.messages = context, []  # type: ssl.SSLContext, list[bytes]
        self.port = number
        self.start()

    def start(self) -> None:
        self._open = True
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.settimeout(0.1)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def stop(self) -> None:
        self._open = False
        self._thread.join()

    def _serve(self) -> None:
        with self._listener as listener:
            while self._open:
                with contextlib.suppress(OSError):
                    plain, _ = listener.accept()
                    plain.settimeout(5)
                    with self.context.wrap_socket(plain, server_side=True) as line:
                        line.settimeout(0.05)
                        self._read(line)

    def _read(self, line: ssl.SSLSocket) -> None:
        buffer = b""
        while self._open:
            try:
                data = line.recv(65536)
            except TimeoutError:
                continue
            if not data:
                return
            buffer += data
            while b" " in buffer[:10]:
                length, _, rest = buffer.partition(b" ")
                if len(rest) < int(length):
                    break
                self.messages.append(rest[: int(length)])
                buffer = rest[int(length) :]


@pytest.fixture
def shipping(
    tmp_path: Path, authority: Authority, node_pair: Pair, scanner_pair: Pair
) -> Iterator[tuple[Settings, Catalog, Listening]]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.ca)
    context.load_cert_chain(node_pair.certificate, node_pair.key)
    context.verify_mode = ssl.CERT_REQUIRED
    listening = Listening(context)
    settings = Settings(
        node=NodeSection(state_dir=tmp_path / "state"),
        tls=TlsSection(certificate=scanner_pair.certificate, key=scanner_pair.key, ca=authority.ca),
        audit=AuditSection(collector=f"tls://127.0.0.1:{listening.port}"),
    )
    catalog = open_catalog(settings.database)
    yield settings, catalog, listening
    if listening._open:
        listening.stop()
    catalog.close()


def leave(settings: Settings, catalog: Catalog, first: int, last: int) -> None:
    trail = Trail.of(settings, catalog)
    for number in range(first, last):
        trail.leave(occasions.transfer_begun(SCANNER, NODE, Study(f"1.{number}", f"P{number}", {}), NOW))


def numbers(messages: list[bytes]) -> list[int]:
    found = []
    for message in messages:
        root = check_structure(message.partition(b"\xef\xbb\xbf")[2].decode())
        subject = root.find("ParticipantObjectIdentification")
        assert subject is not None
        found.append(int(subject.attrib["ParticipantObjectID"].partition(".")[2]))
    return found


def wait_for(condition: Any, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_messages_are_shipped_in_order_and_a_collector_that_is_away_loses_none(
    shipping: tuple[Settings, Catalog, Listening], caplog: pytest.LogCaptureFixture
) -> None:
    settings, catalog, listening = shipping
    shipper = Shipper(settings, catalog)
    leave(settings, catalog, 0, 5)
    shipper.start()
    wait_for(lambda: len(listening.messages) >= 5)
    assert listening.messages[0].startswith(b"<85>1 2027-01-15T08:00:00.250Z ")
    assert b" hexdicom " in listening.messages[0]
    assert b" DICOM+RFC3881 - \xef\xbb\xbf<AuditMessage>" in listening.messages[0]
    listening.stop()
    started = time.monotonic()
    leave(settings, catalog, 5, 15)
    assert time.monotonic() - started < 5  # leaving a message does not wait for the collector
    wait_for(lambda: any(getattr(record, "event", "") == "audit.waiting" for record in caplog.records))
    listening.start()
    wait_for(lambda: 14 in numbers(listening.messages))
    shipper.close()
    got = numbers(listening.messages)
    assert sorted(set(got)) == list(range(15))
    assert [n for n in got if n >= 5] == sorted(n for n in got if n >= 5)
    with catalog.read() as connection:
        assert audit_rows.waiting(connection) == 0
    again = Shipper(settings, catalog)  # what is shipped is not shipped again after a restart
    again.start()
    again.close()
    assert len(listening.messages) == len(got)


def test_a_collector_that_cannot_prove_who_it_is_gets_nothing(
    shipping: tuple[Settings, Catalog, Listening], tmp_path: Path
) -> None:
    settings, catalog, listening = shipping
    stranger = Authority(tmp_path / "stranger", "stranger")
    changed = settings.model_copy(update={"tls": settings.tls.model_copy(update={"ca": stranger.ca})})
    leave(settings, catalog, 0, 2)
    assert any("2 messages of the audit trail" in line.what for line in status(settings).attention)
    shipper = Shipper(changed, catalog)
    shipper.start()
    shipper.close()
    assert not listening.messages
    with catalog.read() as connection:
        assert audit_rows.waiting(connection) == 2


def test_udp_takes_one_datagram_each(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(10)
        port = collector.getsockname()[1]
        settings = Settings(node=NodeSection(state_dir=tmp_path), audit=AuditSection(collector=f"udp://127.0.0.1:{port}"))
        catalog = open_catalog(settings.database)
        leave(settings, catalog, 0, 3)
        shipper = Shipper(settings, catalog)
        shipper.start()
        assert numbers([collector.recv(65536) for _ in range(3)]) == [0, 1, 2]
        shipper.close()
        catalog.close()


@pytest.mark.parametrize("text", ["", "10.0.0.1:514", "tcp://10.0.0.1", "tls://", "udp://h:99999", "tls://h/path"])
def test_what_is_no_collector_is_said(text: str) -> None:
    with pytest.raises(ConfigError, match="syslog server"):
        Collector.parse(text)


def test_addresses_of_collectors() -> None:
    assert str(Collector.parse("udp://10.0.0.1")) == "udp://10.0.0.1:514"
    assert str(Collector.parse("tls://[fd00::1]:9999")) == "tls://[fd00::1]:9999"
