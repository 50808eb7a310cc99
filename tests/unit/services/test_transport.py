"""The state machine of an association whose two threads race."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.fsm import ACTIONS, TRANSITION_TABLE
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.pdu_primitives import A_P_ABORT
from pynetdicom.transport import AddressInformation

from hexdicom_services.scp.transport import NodeSocket

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def association() -> Iterator[Association]:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        ours, _ = listener.accept()
        with ours:
            made = Association(AE(), "acceptor")
            made.requestor.address_info = AddressInformation(*ours.getpeername())
            made.set_socket(NodeSocket(made, client_socket=ours))
            yield made


def check_ended(association: Association) -> None:
    assert association.dul.state_machine.current_state == "Sta1"
    assert association.dul.socket is not None
    assert association.dul.socket.socket is None
    assert association.dimse.msg_queue.get(timeout=5) == (None, None)  # whoever waits for a message learns of it
    assert isinstance(association.dul.to_user_queue.get(timeout=5), A_P_ABORT)


@pytest.mark.parametrize("state", ["Sta1", "Sta13"])
def test_what_is_asked_for_when_the_connection_has_gone_is_dropped(association: Association, state: str) -> None:
    machine = association.dul.state_machine
    machine.current_state = state
    machine.do_action("Evt9")  # a P-DATA request primitive: a response was ready
    assert machine.current_state == state
    assert not association._kill


def test_an_event_that_no_state_knows_ends_the_association(association: Association) -> None:
    machine = association.dul.state_machine
    machine.current_state = "Sta3"
    machine.do_action("Evt9")
    check_ended(association)


def test_a_failure_before_there_is_a_connection_ends_nothing_else(
    association: Association, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_: object) -> str:
        raise ValueError("an action failed")

    name = TRANSITION_TABLE["Evt5", "Sta1"]
    monkeypatch.setitem(ACTIONS, name, (ACTIONS[name][0], breaks, ACTIONS[name][2]))
    machine = association.dul.state_machine
    machine.current_state = "Sta1"
    machine.do_action("Evt5")  # a connection came about
    assert machine.current_state == "Sta1"
    assert association.dul.socket is not None
    assert association.dul.socket.socket is None


def test_events_of_the_table_are_done(association: Association) -> None:
    machine = association.dul.state_machine
    machine.current_state = "Sta13"
    machine.do_action("Evt17")  # the connection was closed
    assert machine.current_state == "Sta1"


def test_an_abort_of_no_known_source_ends_the_association(association: Association) -> None:
    machine = association.dul.state_machine
    machine.current_state = "Sta6"
    abort = A_ABORT_RQ()
    abort.decode(struct.pack(">BxIxxBB", 7, 4, 236, 0))  # PS3.8 table 9-26 knows sources 0 and 2
    association.dul._recv_pdu.put(abort)
    machine.do_action("Evt16")  # an A-ABORT PDU was received
    check_ended(association)
