"""An instance that goes to a file while it comes: the receiver dies, or its disk fails, at each step of giving it its place."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from hexdicom.errors import StoreError
from hexdicom_services.part10 import file_head
from hexdicom_services.scp.desk import Delivery, Desk
from hexdicom_services.scp.incoming import Limits, Spilled
from hexdicom_services.spool import Spool
from tests.faults.site import EXPLICIT, Site, encoded
from tests.faults.test_every_step import KINDS, cine, through_every_step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import Dataset

    from tests.faults.conftest import Tally
    from tests.faults.crash import Kind

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("stored_codec")]
__all__ = ["cine"]


class LargeSite(Site):
    """Takes everything as if it were large."""

    def receive(self, data_sets: Any, tell: Callable[[str], None] = lambda _: None) -> set[str]:
        taken = set()
        with self.catalog() as catalog:
            spool = Spool(self.settings.spool)
            desk = Desk(catalog, spool, self.clock)
            for ds in data_sets:
                data, names = encoded(ds), (str(ds.SOPClassUID), str(ds.SOPInstanceUID), EXPLICIT)
                spilled = Spilled(Limits(spool.incoming), spool.incoming, file_head(*names, "SCANNER"))
                for start in range(0, len(data), 500):
                    spilled.write(data[start : start + 500])
                try:
                    desk.receive(Delivery(*names, "SCANNER", spilled))
                except StoreError:
                    continue
                finally:
                    spilled.close()
                taken.add(hashlib.sha256(data).hexdigest())
                tell(f"ack {hashlib.sha256(data).hexdigest()}")
            desk.close()
        return taken


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_every_step_of_a_large_one(memory_disk: Path, cine: list[Dataset], kind: Kind, tally: Tally) -> None:
    assert through_every_step(LargeSite(memory_disk / "state"), cine, "receive", kind, set(), tally)
