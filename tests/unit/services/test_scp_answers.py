"""What a peer that asks for the wrong thing is told, over a real association with a receiver in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    MRImageStorage,
    PatientRootQueryRetrieveInformationModelFind,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from hexdicom.errors import StoreError
from hexdicom_services.scp import query, retrieve
from hexdicom_services.scp.server import Receiver
from hexdicom_services.sections import NodeSection, ReceiverSection
from hexdicom_services.settings import Settings
from hexdicom_services.statuses import Find, Retrieve, SetStep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pynetdicom.association import Association

FIND, GET = StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet
MOVE = StudyRootQueryRetrieveInformationModelMove
PRIVATE, NEWER = "1.3.12.2.1107.5.9.1", "1.2.840.10008.5.1.4.1.1.999.1"  # Siemens CSA Non-Image; a class that is yet to come
COMMITMENT_PULL = "1.2.840.10008.1.20.2"  # retired, and no storage though its name has the word


def receiver(folder: Path, reserve_mb: int) -> Receiver:
    return Receiver(
        Settings(
            node=NodeSection(port=0, state_dir=folder),
            receiver=ReceiverSection(disk_reserve_mb=reserve_mb),
            peers={"viewer": "VIEWER@127.0.0.1:1"},  # where nobody listens
        )
    )


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    one = receiver(tmp_path_factory.mktemp("node"), 0)
    yield one
    one.close()


def call(node: Receiver, *classes: str) -> Association:
    ae = AE("VIEWER")
    for uid in classes:
        ae.add_requested_context(uid)
    return ae.associate("127.0.0.1", node.port, ae_title="HEXDICOM")


def key(level: str) -> Dataset:
    found = Dataset()
    found.QueryRetrieveLevel, found.StudyInstanceUID = level, "1.2.3"
    return found


@pytest.mark.parametrize("level", ["SERIES", "PATIENT", "FRAME"])  # no Series Instance UID; not in this model; in none
def test_a_retrieve_request_that_does_not_fit_the_model_is_refused(node: Receiver, level: str) -> None:
    association = call(node, GET, MOVE)
    (get,) = [status for status, _ in association.send_c_get(key(level), GET)]
    (move,) = [status for status, _ in association.send_c_move(key(level), "VIEWER", MOVE)]
    association.release()
    assert get.Status == move.Status == Retrieve.IDENTIFIER
    assert get.NumberOfCompletedSuboperations == move.NumberOfCompletedSuboperations == 0


def test_a_request_that_the_catalog_cannot_answer_is_no_success(node: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise StoreError("The catalog failed.")

    monkeypatch.setattr(query, "list_all", broken)
    monkeypatch.setattr(retrieve, "list_all", broken)
    association = call(node, GET, MOVE, FIND)
    (get,) = [status for status, _ in association.send_c_get(key("STUDY"), GET)]
    (move,) = [status for status, _ in association.send_c_move(key("STUDY"), "VIEWER", MOVE)]
    (find,) = [status for status, _ in association.send_c_find(key("STUDY"), FIND)]
    association.release()
    assert get.Status == move.Status == Retrieve.OUT_OF_RESOURCES
    assert find.Status == Find.OUT_OF_RESOURCES


def test_destinations(node: Receiver) -> None:
    association = call(node, MOVE)
    ((unknown, _),) = association.send_c_move(key("STUDY"), "NOBODY", MOVE)
    ((nothing, _),) = association.send_c_move(key("STUDY"), "VIEWER", MOVE)
    association.release()
    assert unknown.Status == Retrieve.UNKNOWN_DESTINATION
    assert nothing.Status == Retrieve.SUCCESS  # nothing matches, so the destination is not called


def test_a_step_that_nobody_has_begun(node: Receiver) -> None:
    association = call(node, ModalityPerformedProcedureStep)
    changed = Dataset()
    changed.PerformedProcedureStepStatus = "COMPLETED"
    status, _ = association.send_n_set(changed, ModalityPerformedProcedureStep, "1.2.3")
    association.release()
    assert status.Status == SetStep.NO_SUCH_INSTANCE


def test_what_is_no_storage_and_not_offered_is_rejected(node: Receiver) -> None:
    association = call(node, MRImageStorage, PRIVATE, NEWER, ModalityWorklistInformationFind, COMMITMENT_PULL, FIND)
    accepted = {context.abstract_syntax for context in association.accepted_contexts}
    rejected = {context.abstract_syntax: context.result for context in association.rejected_contexts}
    association.release()
    assert accepted == {MRImageStorage, PRIVATE, NEWER, FIND}
    assert rejected == {ModalityWorklistInformationFind: 3, COMMITMENT_PULL: 3}


@pytest.mark.parametrize(
    ("classes", "let_in"),
    [
        ((MRImageStorage,), False),
        ((StorageCommitmentPushModel,), True),
        ((PatientRootQueryRetrieveInformationModelFind,), True),
        ((MRImageStorage, StorageCommitmentPushModel), True),
    ],
)
def test_a_full_disk_stops_storage_alone(tmp_path: Path, classes: tuple[str, ...], let_in: bool) -> None:
    node = receiver(tmp_path, 1 << 40)
    try:
        association = call(node, *classes)
        assert association.is_established == let_in
        association.abort()
    finally:
        node.close(0)
