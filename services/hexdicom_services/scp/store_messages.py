"""C-STORE messages as bytes (PS3.7 section 9.3.1): a request as every sender writes it is read, a response is written.

pynetdicom makes a pydicom data set of each, which takes longer than all else that is done for an instance of 131 kB.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from io import BytesIO

    from pydicom.dataset import Dataset

_HEADER: Final = struct.Struct("<HHI")  # implicit VR little endian, always (PS3.7 section 6.3.1)
_NUMBER: Final = struct.Struct("<H")
_PDU: Final = struct.Struct(">BBIIBB")  # P-DATA-TF with one presentation data value (PS3.8 table 9-22)
_P_DATA_TF, _LAST_OF_COMMAND = 0x04, 0x03  # PS3.8 annex E.2
_UID: Final = re.compile(rb"[0-9.]{1,64}")
# Elements (0000,eeee), PS3.7 annex E.
_GROUP_LENGTH, _SOP_CLASS, _FIELD, _MESSAGE_ID, _RESPONDED_TO = 0x0000, 0x0002, 0x0100, 0x0110, 0x0120
_PRIORITY, _DATA_SET_TYPE, _STATUS, _COMMENT, _SOP_INSTANCE = 0x0700, 0x0800, 0x0900, 0x0902, 0x1000
_ORIGINATOR, _ORIGINATOR_MESSAGE = 0x1030, 0x1031  # of a C-MOVE: nobody here asks
_KNOWN: Final = {
    *(_GROUP_LENGTH, _SOP_CLASS, _FIELD, _MESSAGE_ID, _PRIORITY),
    *(_DATA_SET_TYPE, _SOP_INSTANCE, _ORIGINATOR, _ORIGINATOR_MESSAGE),
}
_REQUEST, _RESPONSE = 0x0001, 0x8001
_NO_DATA_SET: Final = 0x0101


@dataclass(slots=True)
class StoreRequest:
    """A C-STORE request, with the names that pynetdicom's has."""

    MessageID: int
    AffectedSOPClassUID: str
    AffectedSOPInstanceUID: str
    DataSet: BytesIO | None = None


def read_request(command: bytes) -> StoreRequest | None:
    """The request of an encoded command set; None where it is another one, or in any way unusual: pynetdicom judges that."""
    values: dict[int, bytes] = {}
    position = 0
    while position + 8 <= len(command):
        group, element, length = _HEADER.unpack_from(command, position)
        values[element] = command[position + 8 : position + 8 + length]
        position += 8 + length
        if group or element not in _KNOWN:
            return None
    sop_class, sop_instance = (values.get(element, b"").rstrip(b"\0") for element in (_SOP_CLASS, _SOP_INSTANCE))
    try:
        (field,), (message_id,), (data_set,) = (
            _NUMBER.unpack(values[element]) for element in (_FIELD, _MESSAGE_ID, _DATA_SET_TYPE)
        )
    except (KeyError, struct.error):
        return None
    if position != len(command) or field != _REQUEST or data_set == _NO_DATA_SET:
        return None
    if not (_UID.fullmatch(sop_class) and _UID.fullmatch(sop_instance)):
        return None
    return StoreRequest(message_id, sop_class.decode("ascii"), sop_instance.decode("ascii"))


def response(request: StoreRequest, context_id: int, answer: int | Dataset) -> bytes:
    """The P-DATA-TF PDU of the response. answer: a status, or a data set with Status and Error Comment."""
    status, comment = (answer, "") if isinstance(answer, int) else (answer.Status, str(answer.get("ErrorComment", "")))
    body = b"".join(
        (
            _element(_SOP_CLASS, request.AffectedSOPClassUID.encode("ascii"), b"\0"),
            _element(_FIELD, _NUMBER.pack(_RESPONSE)),
            _element(_RESPONDED_TO, _NUMBER.pack(request.MessageID)),
            _element(_DATA_SET_TYPE, _NUMBER.pack(_NO_DATA_SET)),
            _element(_STATUS, _NUMBER.pack(status)),
            _element(_COMMENT, comment.encode("ascii", "replace"), b" ") if comment else b"",
            _element(_SOP_INSTANCE, request.AffectedSOPInstanceUID.encode("ascii"), b"\0"),
        )
    )
    command = _element(_GROUP_LENGTH, struct.pack("<I", len(body))) + body
    return _PDU.pack(_P_DATA_TF, 0, len(command) + 6, len(command) + 2, context_id, _LAST_OF_COMMAND) + command


def _element(number: int, value: bytes, padding: bytes = b"") -> bytes:
    if len(value) % 2:
        value += padding
    return _HEADER.pack(0, number, len(value)) + value
