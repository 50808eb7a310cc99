"""The process that brings reports to who asked for commitment, and asks PACS for theirs. What it has to do, the catalog says."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.uid import generate_uid

from hexdicom.errors import HexdicomError, PeerError
from hexdicom_services import child
from hexdicom_services.catalog import commitments
from hexdicom_services.catalog.session import open_catalog
from hexdicom_services.commitment.answer import Answers
from hexdicom_services.commitment.evidence import Evidence, reason_for_all
from hexdicom_services.scu import commitment as network
from hexdicom_services.scu.association import Patience
from hexdicom_services.statuses import Failure
from hexdicom_services.vitals import keep_beating

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hexdicom_services.catalog.commitments import Instance, Transaction
    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.peer import Peer
    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)

_POLL = 0.25  # seconds between looks for work
_MOST = 500  # instances in one question
_LISTEN = 2.0  # seconds that a PACS may take to answer on the association of the question
PATIENCE = Patience(connect=5.0, negotiate=15.0, respond=60.0)


@dataclass(slots=True)
class Courier:
    """Everything that is due, once each time it is asked."""

    settings: Settings
    catalog: Catalog
    clock: Callable[[], float] = time.time

    def report_due(self) -> int:
        """Brings every report that is due; returns how many were taken."""
        with self.catalog.read() as connection:
            waiting = commitments.due(connection, self.clock())
        return sum(self._report(one) for one in waiting)

    def ask_due(self) -> int:
        """Asks the PACS of [forward] for what they hold and are not committed to; returns how many questions were taken."""
        return sum(self._ask(target) for target in self.settings.forward.targets)

    def _report(self, one: Transaction) -> bool:
        with self.catalog.read() as connection:
            asked = commitments.asked_for(connection, one.id)
        extra = {"event": "commitment.reported", "ae_title": one.peer}
        try:
            peer = self._requester(one.peer)
            if one.duplicate:
                failed = reason_for_all(asked, Failure.DUPLICATE_TRANSACTION)
            else:
                failed = Evidence(self.settings, self.catalog).failures(asked)
            network.report(peer, one.transaction_uid, _references(asked), failed, self.settings.node.ae_title, patience=PATIENCE)
        except HexdicomError as error:
            self._put_off(one, error)
            return False
        with self.catalog.write() as connection:
            commitments.reported(connection, one.id, failed, self.clock())
        log.info("%s knows that %d of %d instances are safe", one.peer, len(asked) - len(failed), len(asked), extra=extra)
        return True

    def _requester(self, ae_title: str) -> Peer:
        for name in self.settings.peers:
            peer = self.settings.peer(name)
            if peer.ae_title == ae_title:
                return peer
        raise PeerError(f"{ae_title} is no longer in [peers].", hint="Its report waits; put it back, with host and port.")

    def _put_off(self, one: Transaction, error: HexdicomError) -> None:
        section, now = self.settings.commitment, self.clock()
        given_up = now - one.created_at > section.give_up_hours * 3600
        delay = min(section.max_delay, section.retry_delay * 2 ** min(one.attempts, 16))
        with self.catalog.write() as connection:
            if given_up:
                commitments.give_up(connection, one.id, now, str(error))
            else:
                commitments.put_off(connection, one.id, now + delay, str(error))
        if given_up:
            log.error("a commitment was never reported: %s", error, extra={"event": "commitment.failed", "ae_title": one.peer})
        else:
            log.warning("a commitment could not be reported: %s", error, extra={"event": "commitment.retry", "ae_title": one.peer})

    def _ask(self, target: str) -> bool:
        section, forward, now = self.settings.commitment, self.settings.forward, self.clock()
        states = ("VERIFIED", "SENT") if forward.read_back == "off" else ("VERIFIED",)
        transaction_uid = str(generate_uid(prefix=None))
        with self.catalog.write() as connection:
            items = commitments.uncommitted(connection, target, states, now, _MOST)
            if not items:
                return False
            # Each question waits longer for its answer; what was refused is asked anew at the same time.
            attempts = max(one.attempts for one in items)
            again = now + min(section.max_delay, section.answer_timeout * 2 ** min(attempts, 16))
            commitments.request(connection, target, transaction_uid, items, now, again)
        peer = self.settings.peer(target)
        answers = Answers(self.settings, self.catalog, self.clock)
        try:
            references = _references([one.instance for one in items])
            handler = answers.from_target(target)
            network.ask(peer, transaction_uid, references, handler, wait=_LISTEN, patience=PATIENCE)
        except HexdicomError as error:
            delay = min(section.max_delay, section.retry_delay * 2 ** min(attempts, 16))
            with self.catalog.write() as connection:
                commitments.unanswered(connection, transaction_uid, str(error), self.clock() + delay)
            log.warning("%s was not asked for commitment: %s", target, error, extra={"event": "commitment.retry", "target": target})
            return False
        extra = {"event": "commitment.asked", "target": target}
        log.info("%s was asked to commit itself to %d objects", target, len(items), extra=extra)
        return True


def _references(instances: Sequence[Instance]) -> network.References:
    return tuple((one.sop_class_uid, one.sop_instance_uid) for one in instances)


def main(name: str) -> None:
    """The courier process (see child.py)."""
    settings, stop = child.begin()
    keep_beating(settings.vitals, name, stop)
    courier = Courier(settings, open_catalog(settings.database))
    while not stop.wait(_POLL):
        try:
            courier.report_due()
            if settings.forward.commitment:
                courier.ask_due()
        except Exception:  # the catalog is locked or its disk is full: that may pass
            log.exception("commitments could not be worked on", extra={"event": "loop.error"})
