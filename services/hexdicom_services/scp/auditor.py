"""What the receiver leaves in the audit trail: transfers by study and association, questions, and callers that were refused.

A transfer leaves a message before its first instance is acknowledged, and another one, with numbers, when the association ends.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydicom.charset import python_encoding
from pynetdicom import evt
from pynetdicom.dimse_messages import C_FIND_RQ, C_GET_RQ, C_MOVE_RQ, C_STORE_RQ, C_STORE_RSP

from hexdicom.errors import StoreError
from hexdicom_services.audit import occasions
from hexdicom_services.audit.occasions import Party, Study
from hexdicom_services.catalog import audit_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from pynetdicom.association import Association
    from pynetdicom.events import Event

    from hexdicom_services.audit.message import AuditMessage
    from hexdicom_services.audit.trail import Trail
    from hexdicom_services.catalog.instances import Outcome
    from hexdicom_services.elements import Identity

log = logging.getLogger(__name__)

_MOST_STUDIES = 64  # of one association in memory; then messages are left early
_QUIET = 60.0  # seconds
_QUERIES = (C_FIND_RQ, C_GET_RQ, C_MOVE_RQ)


@dataclass(slots=True)
class _Tally:
    """What one association has brought or taken so far. Keys are study and patient."""

    came: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    asked: tuple[str, str] = ("", "")  # SOP class and instance of the C-STORE that was sent last
    sent: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Alerted:
    """When an address was last told of, and how often it was turned away since."""

    at: float = -math.inf
    more: int = 0


class Auditor:
    """Watches associations and leaves messages. Methods raise StoreError only where they say so."""

    def __init__(self, trail: Trail, clock: Callable[[], float] = time.time) -> None:
        self._trail, self._clock = trail, clock
        self._tallies: dict[Association, _Tally] = {}
        self._lock = threading.Lock()
        self._here = threading.local()  # the study of the instance that this thread is receiving
        self._alerts: queue.SimpleQueue[AuditMessage | None] = queue.SimpleQueue()
        self._alerted: dict[tuple[str, str], _Alerted] = {}
        self._thread = threading.Thread(target=self._leave_alerts, name="auditor", daemon=True)
        self._thread.start()

    @property
    def handlers(self) -> list[tuple[Any, Callable[[Event], None]]]:
        """What has to be bound to every association, those of C-MOVE included."""
        ends = (evt.EVT_RELEASED, evt.EVT_ABORTED, evt.EVT_CONN_CLOSE)
        return [(evt.EVT_DIMSE_RECV, self._on_message), (evt.EVT_DIMSE_SENT, self._on_sent), *((end, self._on_end) for end in ends)]

    def receiving(self, association: Association, identity: Identity) -> None:
        """An instance has come and is not yet acknowledged. Raises StoreError."""
        tally = self._tally(association)
        key = (identity.study_instance_uid, decoded(identity))
        self._here.key = key
        if key in tally.came:
            return
        if len(tally.came) >= _MOST_STUDIES:
            self._finish(association)
            tally = self._tally(association)
        tally.came[key] = Counter()
        source = _peer(association)
        self._trail.leave(occasions.transfer_begun(source, self._trail.node, Study(*key, {}), self._clock()))

    def received(self, association: Association, sop_class_uid: str, outcome: Outcome) -> None:
        """The instance that this thread spoke of last is kept."""
        tally, key = self._tally(association), self._here.key
        tally.came.setdefault(key, Counter())[sop_class_uid] += 1  # the connection may have ended just now
        tally.outcomes.setdefault(key, set()).add(outcome)

    def refused(self, ae_title: str, address: str, why: str) -> None:
        """A caller was turned away. Does not wait for the catalog: whoever lets callers in may call this.

        The same of the same address is one message a minute, which says how often it was: else a stranger could fill the disk.
        """
        now = self._clock()
        with self._lock:
            self._alerted = {key: last for key, last in self._alerted.items() if now - last.at < 2 * _QUIET}
            last = self._alerted.setdefault((address, why), _Alerted())
            if now - last.at < _QUIET:
                last.more += 1
                return
            text = f"{why} ({last.more} times more since the last message)" if last.more else why
            last.at, last.more = now, 0
        self._alerts.put(occasions.refused(self._trail.node, Party(ae_title, address), text, now))

    def _leave_alerts(self) -> None:
        while (message := self._alerts.get()) is not None:
            self._leave(message)

    def close(self) -> None:
        """Leaves what is still to be said."""
        self._alerts.put(None)
        self._thread.join()
        for association in list(self._tallies):
            self._finish(association)

    def _on_message(self, event: Event) -> None:
        message, association = event.message, event.assoc
        if isinstance(message, _QUERIES):
            context = association._accepted_cx.get(message.context_id or 0)
            syntax = str(context.transfer_syntax[0]) if context is not None else ""
            content = message.data_set.getvalue() if message.data_set is not None else b""
            sop_class = str(message.command_set.AffectedSOPClassUID)
            self._leave(occasions.queried(_peer(association), self._trail.node, sop_class, syntax, content, self._clock()))
        elif isinstance(message, C_STORE_RSP):
            tally = self._tally(association)
            if tally.asked[1] and (message.command_set.Status == 0 or message.command_set.Status >> 12 == 0xB):
                tally.sent.append(tally.asked)
            tally.asked = ("", "")

    def _on_sent(self, event: Event) -> None:
        if isinstance(event.message, C_STORE_RQ):
            command = event.message.command_set
            self._tally(event.assoc).asked = (str(command.AffectedSOPClassUID), str(command.AffectedSOPInstanceUID))

    def _on_end(self, event: Event) -> None:
        self._finish(event.assoc)

    def _tally(self, association: Association) -> _Tally:
        known = self._tallies.get(association)
        if known is not None:
            return known
        for ended in [one for one in list(self._tallies) if not one.is_alive()]:
            self._finish(ended)  # its end was not told
        with self._lock:
            return self._tallies.setdefault(association, _Tally())

    def _finish(self, association: Association) -> None:
        with self._lock:
            tally = self._tallies.pop(association, None)
        if tally is None:
            return
        now, node, peer = self._clock(), self._trail.node, _peer(association)
        messages = []
        for key, counts in tally.came.items():
            outcomes = tally.outcomes.get(key, set())
            action: Literal["C", "R", "U"] = "U" if "version" in outcomes else "C" if "new" in outcomes else "R"
            ended: dict[str, Any] = {} if counts else {"outcome": 4, "description": "no instance was kept"}
            messages.append(occasions.transferred(peer, node, Study(*key, counts), now, action=action, requestor=peer, **ended))
        for study in self._studies_of(tally.sent):
            requestor = node if association.is_requestor else peer
            messages.append(occasions.transferred(node, peer, study, now, action="R", requestor=requestor))
        self._leave(*messages)

    def _studies_of(self, sent: list[tuple[str, str]]) -> list[Study]:
        if not sent:
            return []
        counts: dict[tuple[str, str], Counter[str]] = {}
        with self._trail.catalog.read() as connection:
            for sop_class, uid in sent:
                counts.setdefault(audit_rows.study_of(connection, uid), Counter())[sop_class] += 1
        return [Study(*key, number) for key, number in counts.items()]

    def _leave(self, *messages: AuditMessage) -> None:
        if not messages:
            return
        try:
            self._trail.leave(*messages)
        except StoreError:
            log.exception("an audit message could not be left", extra={"event": "loop.error"})


def decoded(identity: Identity) -> str:
    """The Patient ID as text (PS3.5 section 6.1.2)."""
    # Not by pydicom's decoder: it warns, and quotes what a peer wrote.
    name = identity.character_set.partition("\\")[0].strip()
    try:
        return identity.patient_id.decode(python_encoding.get(name, "ascii"), "replace")
    except LookupError:
        return identity.patient_id.decode("ascii", "replace")


def _peer(association: Association) -> Party:
    other = association.acceptor if association.is_requestor else association.requestor
    return Party(str(other.ae_title).strip(), other.address or "")
