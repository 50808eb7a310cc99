"""Messages of C-STORE as bytes: what pynetdicom makes of them, or writes, is what counts."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.dimse_messages import C_STORE_RQ, C_STORE_RSP
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF

from hexdicom.errors import StoreError
from hexdicom_services.scp.handlers import refusal
from hexdicom_services.scp.store_messages import StoreRequest, read_request, response

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MR, EVEN, ODD = "1.2.840.10008.5.1.4.1.1.4", "1.2.3.44", "1.2.3.4"
PLAIN = {0x0002: b"1.2", 0x0100: b"\1\0", 0x0110: b"\7\0", 0x0800: b"\1\0", 0x1000: b"1.2.3\0"}


def element(number: int, value: bytes, group: int = 0) -> bytes:
    return struct.pack("<HHI", group, number, len(value)) + value


def command(elements: dict[int, bytes]) -> bytes:
    return b"".join(element(number, value) for number, value in elements.items())


def written(uid: str, moved: bool = False) -> bytes:
    """The command set of a request as pynetdicom writes it."""
    request = C_STORE()
    request.MessageID, request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = 65535, MR, uid
    if moved:
        request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID = "VIEWER", 3
    request.DataSet = io.BytesIO(b"\0\0")
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    first = next(message.encode_msg(1, 0))
    return bytes(first.presentation_data_value_list[0][1][1:])


@pytest.mark.parametrize("uid", [EVEN, ODD])
@pytest.mark.parametrize("moved", [False, True])
def test_a_request_is_read_as_it_was_written(uid: str, moved: bool) -> None:
    assert read_request(written(uid, moved)) == StoreRequest(65535, MR, uid)


@pytest.mark.parametrize("uid", [EVEN, ODD])
@pytest.mark.parametrize("message", ["", "Disk is below its reserve.", "An odd sentence"])
def test_a_response_has_the_bytes_of_pynetdicom(uid: str, message: str) -> None:
    answer: int | Dataset = refusal(StoreError(message)) if message else 0x0000
    theirs = C_STORE()
    theirs.MessageIDBeingRespondedTo, theirs.AffectedSOPClassUID, theirs.AffectedSOPInstanceUID = 7, MR, uid
    theirs.Status = 0xA700 if message else 0x0000
    if message:
        theirs.ErrorComment = message
    encoded = C_STORE_RSP()
    encoded.primitive_to_message(theirs)
    (data,) = encoded.encode_msg(5, 0)
    assert response(StoreRequest(7, MR, uid), 5, answer) == P_DATA_TF(data).encode()


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({0x0100: b"\x30\0"}, id="another request"),
        pytest.param({0x0800: b"\1\1"}, id="no data set"),
        pytest.param({0x0110: b"\7"}, id="a number of one byte"),
        pytest.param({0x1000: b""}, id="no instance"),
        pytest.param({0x1000: b"1.2.x\0"}, id="no UID"),
        pytest.param({0x1000: b"1" * 65}, id="too long a UID"),
        pytest.param({0x0900: b"\0\0"}, id="an element of a response"),
    ],
)
def test_what_is_unusual_is_left_to_pynetdicom(odd: dict[int, bytes]) -> None:
    assert read_request(command(PLAIN)) == StoreRequest(7, "1.2", "1.2.3")
    assert read_request(command({**PLAIN, **odd})) is None


def test_what_does_not_end_where_it_should_is_left_to_pynetdicom() -> None:
    whole = command(PLAIN)
    assert read_request(whole[:-1]) is None
    assert read_request(whole + b"\0") is None
    assert read_request(whole + element(0x0010, b"", group=8)) is None
    assert read_request(command({number: value for number, value in PLAIN.items() if number != 0x0110})) is None


@given(st.binary(max_size=200))
def test_no_bytes_are_too_odd(data: bytes) -> None:
    assert read_request(data) is None or 0x0100 in struct.unpack(f"<{len(data) // 2}H", data[: len(data) & ~1])
