"""pynetdicom's transport, made fit for a scanner that sends fast and for a peer that means harm.

What is changed, and why (DESIGN notes, service.md section 3):
- TCP_NODELAY, else each answer can wait 40 ms for the peer's delayed acknowledgement;
- a PDU is read into one buffer, not in pieces of 4096 bytes;
- the length that a peer announces for a PDU is bounded: pynetdicom believes 4 GiB;
- a PDU has to arrive, and to be taken, in time: pynetdicom waits for ever for the rest of one;
- the two threads of an association wait for data and for each other instead of sleeping a millisecond at a time;
- an instance is served by the thread that has read it (scp/short_way.py);
- a connection that ends before its association request frees its place at once, and not when the time for the request is up;
- an answer that is ready when the connection has gone is dropped, and a PDU that the state machine cannot take ends the
  association: pynetdicom's thread dies of both.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import socket
import ssl
import struct
import time
from typing import TYPE_CHECKING, Any

from pynetdicom import _config, transport
from pynetdicom.fsm import TRANSITION_TABLE, StateMachine

from hexdicom_services.listener import say_closed
from hexdicom_services.messages import Messages
from hexdicom_services.scp import incoming, negotiation
from hexdicom_services.scp.short_way import ShortWay

if TYPE_CHECKING:
    from collections.abc import Callable

    from pynetdicom.association import Association

log = logging.getLogger(__name__)

SLACK = 1 << 20  # an association request may be larger than any P-DATA PDU, but not by more
_WAIT = 0.05  # seconds; bounds how late timers and shutdown are noticed
_TIMEVAL = struct.Struct("@ll")  # seconds and microseconds: socket(7)
_CLOSED = ("Sta1", "Sta13")  # no connection; one of which only the end is awaited


class NodeSocket(transport.AssociationSocket):
    """The transport of one association."""

    largest_pdu = 1 << 17

    def __init__(self, assoc: Association, *args: Any, **kwargs: Any) -> None:
        super().__init__(assoc, *args, **kwargs)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._limit = 0.0  # seconds for which the kernel waits
        if self.socket is not None:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            assoc.dul._run_loop_delay = 0
            wake, messages = self._wake, Messages(assoc, patient=True)
            assoc.dimse.msg_queue = messages
            assoc.dul.to_provider_queue = _Telling(lambda _: os.eventfd_write(wake, 1))
            assoc.dul.to_user_queue = _Telling(messages.look_for)
            assoc.dul.state_machine = _States(assoc.dul)
            # Of our own entity alone: whoever else receives in this process looks for a data set in memory.
            limits = getattr(assoc.ae, "limits", None)
            if limits is not None:
                incoming.install(assoc, limits, ShortWay(assoc, limits).takes)

    def __del__(self) -> None:
        os.close(self._wake)

    @property
    def ready(self) -> bool:
        """Whether there is something to read; waits a little for it, or until there is something to send, unless an event waits."""
        if self.socket is None or not self._is_connected:
            time.sleep(0.001)
            return False
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True  # decrypted already, so nothing that select could see
        try:
            poll = select.poll()  # select knows no descriptor beyond 1023, and an association has two
            poll.register(self.socket.fileno(), select.POLLIN)
            poll.register(self._wake, select.POLLIN)
            ready = {descriptor for descriptor, _ in poll.poll(_WAIT * 1000 if self.event_queue.empty() else 0)}
            if self._wake in ready:
                os.eventfd_read(self._wake)
        except (OSError, ValueError):
            self.event_queue.put("Evt17")
            return False
        return len(ready) > (self._wake in ready)

    def recv(self, nr_bytes: int) -> bytearray:
        """So many bytes, or fewer where the connection ends or they do not come in time. Never raises."""
        if nr_bytes > self.largest_pdu + SLACK:
            say_closed(_address(self.assoc), f"it announced a PDU of {nr_bytes} bytes")
            return bytearray()
        if self.socket is None:
            return bytearray()
        buffer = bytearray(nr_bytes)
        view, done = memoryview(buffer), 0
        try:
            done = self._fill(self.socket, view)
        except (TimeoutError, BlockingIOError):
            say_closed(_address(self.assoc), "it did not send the rest of a PDU")
        except OSError:
            log.debug("a connection broke", exc_info=True)
        view.release()
        del buffer[done:]
        return buffer

    def _fill(self, connection: socket.socket, view: memoryview) -> int:
        """How many bytes came before the connection ended. Raises OSError, TimeoutError or BlockingIOError."""
        if not isinstance(connection, ssl.SSLSocket):
            self._limit_waits(connection)
            done = connection.recv_into(view, 0, socket.MSG_WAITALL)
            if done < len(view) and connection.recv(1, socket.MSG_DONTWAIT):  # not the end of the connection, but of our patience
                raise TimeoutError
            return done
        done, until = 0, time.monotonic() + self._patience
        while done < len(view):
            connection.settimeout(max(0.001, until - time.monotonic()))
            count = connection.recv_into(view[done:])
            if count == 0:
                break
            done += count
        return done

    def send(self, bytestream: bytes) -> None:
        """All of it, in time; else the connection counts as closed."""
        if self.socket is None:
            return
        try:
            if isinstance(self.socket, ssl.SSLSocket):
                self.socket.settimeout(self._patience)
                self.socket.sendall(bytestream)
                return
            self._limit_waits(self.socket)
            taken = self.socket.send(bytestream)
        except (TimeoutError, BlockingIOError):
            taken = 0
        except OSError:
            self.event_queue.put("Evt17")
            return
        if taken < len(bytestream):  # the kernel waited as long as it was told
            say_closed(_address(self.assoc), "it did not take what was sent")
            self.event_queue.put("Evt17")

    def _limit_waits(self, connection: socket.socket) -> None:
        """Has the kernel bound each wait: Python's own timeouts ask it three times for one read, and let others in."""
        if connection.gettimeout() is not None:
            connection.settimeout(None)
        patience = self._patience
        if patience != self._limit:
            interval = _TIMEVAL.pack(int(patience), int(patience % 1 * 1e6))
            for direction in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                connection.setsockopt(socket.SOL_SOCKET, direction, interval)
            self._limit = patience

    @property
    def _patience(self) -> float:
        """Seconds: before there is an association, those of the ARTIM timer (PS3.8 section 9.1.5)."""
        seconds = self.assoc.network_timeout if self.assoc.is_established else self.assoc.acse_timeout
        return float(seconds or 60.0)


def _address(association: Association) -> str:
    return str(association.remote.get("address", ""))


class _States(StateMachine):
    """The state machine of PS3.8 section 9.2, which survives what the table does not know.

    One thread asks for a response to be sent while the other learns that the peer has aborted; or a peer sends an A-ABORT whose
    source no standard names. pynetdicom raises, which ends its thread and leaves the connection to the garbage collector.
    """

    def do_action(self, event: str) -> None:
        if (event, self.current_state) not in TRANSITION_TABLE:
            log.debug("event %s came in state %s", event, self.current_state)
            if self.current_state not in _CLOSED:
                self._end(f"{event} cannot be in {self.current_state}")
            return
        before = self.current_state
        try:
            super().do_action(event)
            if self.current_state == "Sta1" != before:
                self._wake_who_waits_for_a_request()
        except Exception:  # whatever a peer's bytes brought about
            log.debug("the state machine failed at %s", event, exc_info=True)
            self._end("it sent a PDU that cannot be read")

    def _wake_who_waits_for_a_request(self) -> None:
        """A connection that has gone without one would keep its place, and two threads, until the ARTIM timer runs out."""
        if self.dul.assoc.is_acceptor and self.dul.assoc.requestor.primitive is None:
            self.dul.to_user_queue.put(None)  # what receive_pdu gives when the time is up

    def _end(self, why: str) -> None:
        say_closed(_address(self.dul.assoc), why)
        if self.dul.socket is not None:
            self.dul.socket.close()
        if ("Evt17", self.current_state) in TRANSITION_TABLE:  # the connection was closed: whoever waits for the peer learns of it
            super().do_action("Evt17")


class _Telling(queue.Queue[Any]):
    """Says what was put into it, so that a thread that waits for something else wakes."""

    def __init__(self, say: Callable[[Any], object]) -> None:
        super().__init__()
        self._say = say

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._say(item)


def configure_pynetdicom(max_pdu: int) -> None:
    """All process-wide switches of pynetdicom, for the process that answers peers."""
    _config.UNRESTRICTED_STORAGE_SERVICE = True  # whatever a study contains, private SOP classes included
    negotiation.install()
    _config.STORE_SEND_CHUNKED_DATASET = True  # stored objects are sent from their files as they are
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    NodeSocket.largest_pdu = max_pdu
    transport.AssociationSocket = NodeSocket  # type: ignore[misc]
