"""The short way of an instance: the thread that has read it serves it, and waits for nothing but the disk.

pynetdicom passes each message from the thread that reads to one that serves and looks for it once a millisecond, and the response
back to the first, to be sent. That is kept for everything but a C-STORE request that comes while its association does nothing
else, which is what scanners send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pynetdicom import evt
from pynetdicom.dimse_messages import DIMSEMessage

from hexdicom_services.part10 import file_head
from hexdicom_services.scp import store_messages
from hexdicom_services.scp.incoming import Incoming

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pynetdicom.association import Association
    from pynetdicom.pdu_primitives import P_DATA

    from hexdicom_services.scp.incoming import Limits
    from hexdicom_services.scp.store_messages import StoreRequest

_COMMAND, _LAST = 1, 2  # bits of the message control header (PS3.8 annex E.2)
_RESPONSE_FITS = 1024  # bytes; a peer that takes only smaller PDUs is answered by pynetdicom, which divides the response
_DATA_TRANSFER = "Sta6"


class ShortWay:
    """What comes on one association. Only the thread that reads uses it."""

    def __init__(self, association: Association, limits: Limits) -> None:
        self._association, self._limits = association, limits
        self._message = DIMSEMessage()  # stands in for what is coming, so that whoever looks sees that something is
        self._request: StoreRequest | None = None  # whose data set is coming
        self._context_id = 0

    def takes(self, primitive: P_DATA) -> bool:
        """Whether all of it has gone this way; pynetdicom is to have what is left. Raises ValueError for what cannot be."""
        values = primitive.presentation_data_value_list
        taken = 0
        while taken < len(values) and self._take(*values[taken]):
            taken += 1
        if 0 < taken < len(values):
            primitive.presentation_data_value_list = values[taken:]
        return taken == len(values) > 0

    def _take(self, context_id: int, value: bytes) -> bool:
        control = value[0]
        if self._request is None:
            return control & _COMMAND != 0 and control & _LAST != 0 and self._begins(context_id, value[1:])
        if control & _COMMAND:
            raise ValueError("a command set came within a data set")
        cast("Incoming", self._request.DataSet).write(memoryview(value)[1:])
        if control & _LAST:
            self._serve(self._request)
        return True

    def _begins(self, context_id: int, command: bytes) -> bool:
        if context_id not in self._association._accepted_cx or not self._is_free():
            return False
        request = store_messages.read_request(command)
        if request is None:
            return False
        self._message.data_set = request.DataSet = _Stored(self._association, self._message, self._limits, request, context_id)
        self._association.dimse.message = self._message
        self._request, self._context_id = request, context_id
        return True

    def _is_free(self) -> bool:
        association, dimse = self._association, self._association.dimse
        return (
            association.is_acceptor
            and association.is_established
            and association.dul.state_machine.current_state == _DATA_TRANSFER
            and dimse.message is None
            and dimse.msg_queue.empty()
            and not 0 < dimse.maximum_pdu_size < _RESPONSE_FITS
        )

    def _serve(self, request: StoreRequest) -> None:
        association, dul = self._association, self._association.dul
        self._request = self._message.data_set = association.dimse.message = None
        context = association._accepted_cx[self._context_id].as_tuple
        dul._idle_timer.stop()  # nobody ends the association for its silence meanwhile
        try:
            answer = evt.trigger(association, evt.EVT_C_STORE, {"request": request, "context": context})
        finally:
            dul._idle_timer.restart()
        if association.is_established and dul.socket is not None:
            dul.socket.send(store_messages.response(request, self._context_id, cast("int | Dataset", answer)))


class _Stored(Incoming):
    """The data set of a request that was read here."""

    def __init__(
        self, association: Association, message: DIMSEMessage, limits: Limits, request: StoreRequest, context_id: int
    ) -> None:
        super().__init__(association, message, limits)
        self._request, self._context_id = request, context_id

    def _is_stored(self) -> bool:
        return True

    def _head(self) -> bytes:
        syntax = str(self._association._accepted_cx[self._context_id].transfer_syntax[0])
        uids = (self._request.AffectedSOPClassUID, self._request.AffectedSOPInstanceUID, syntax)
        return file_head(*uids, self._association.requestor.ae_title)
