"""What a PACS says of the objects that we asked it to commit itself to, wherever it says so."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hexdicom.errors import StoreError
from hexdicom_services.catalog import commitments
from hexdicom_services.scu.commitment import read_report
from hexdicom_services.statuses import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pynetdicom.events import Event

    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answers:
    """Takes N-EVENT-REPORT: on the association of our question, or on one that the PACS opens."""

    settings: Settings
    catalog: Catalog
    clock: Callable[[], float]

    def __call__(self, event: Event) -> int:
        """On an association of the peer's own: only the PACS that was asked may answer."""
        return self._take(event, self._targets_of(event.assoc.requestor.ae_title))

    def from_target(self, target: str) -> Callable[[Event], int]:
        """The handler for an association that we opened to a PACS."""
        return lambda event: self._take(event, [target])

    def _targets_of(self, ae_title: str) -> list[str]:
        peers = {name: self.settings.peer(name) for name in self.settings.peers}
        return [name for name, peer in peers.items() if peer.ae_title == ae_title.strip()]

    def _take(self, event: Event, targets: Sequence[str]) -> int:
        said = read_report(event)
        if isinstance(said, Report):
            return said
        try:
            with self.catalog.write() as connection:
                known = commitments.answered(connection, targets, said.transaction_uid, said.committed, said.failed, self.clock())
        except StoreError:
            log.exception("a commitment could not be kept", extra={"event": "loop.error"})
            return Report.PROCESSING_FAILURE
        if not known:
            refused = {"event": "commitment.refused", "status": Report.INVALID}
            log.warning("a commitment came that was not asked for", extra=refused)
            return Report.INVALID
        target = ", ".join(targets)
        if said.committed:
            extra = {"event": "commitment.committed", "target": target}
            log.info("%s committed itself to %d objects", target, len(said.committed), extra=extra)
        if said.failed:
            reasons = ", ".join(f"0x{reason:04X}" for reason in sorted(set(said.failed.values())))
            extra = {"event": "commitment.failed", "target": target}
            log.error("%s does not keep %d objects (%s)", target, len(said.failed), reasons, extra=extra)
        return Report.SUCCESS
