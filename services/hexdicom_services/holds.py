"""Legal holds: a row in the catalog that retention obeys, and a file beside it, so that a damaged catalog ends no hold."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from hexdicom import durable
from hexdicom_services.catalog import originals

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection

    from hexdicom_services.catalog.session import Catalog


def put(
    catalog: Catalog, state: Path, study: str, reason: str, now: float, told: Callable[[Connection], None] | None = None
) -> bool:
    """Nothing of a study may be released from now on; False where it was on hold before. Raises StoreError.

    told: says it elsewhere in the catalog, in the same transaction.
    """
    durable.write(_file(state, study), json.dumps({"study_instance_uid": study, "reason": reason}).encode())
    with catalog.write() as connection:
        if told is not None:
            told(connection)
        return originals.put_on_hold(connection, study, reason, now)


def end(
    catalog: Catalog, state: Path, study: str, reason: str, now: float, told: Callable[[Connection], None] | None = None
) -> bool:
    """Ends a hold; False where there was none. Raises StoreError. told: as above, where there was one."""
    with catalog.write() as connection:
        done = originals.take_off_hold(connection, study, reason, now)
        if done and told is not None:
            told(connection)
    with durable.on_disk(state):
        _file(state, study).unlink(missing_ok=True)
    return done


def put_back(catalog: Catalog, state: Path, now: float) -> int:
    """After the catalog was damaged: every hold gets its row again; returns how many there are. Raises StoreError."""
    files = sorted((state / "holds").glob("*.json"))
    for file in files:
        with durable.on_disk(file):
            entry = json.loads(file.read_bytes())
        with catalog.write() as connection:
            if originals.on_hold(connection, entry["study_instance_uid"]) is None:
                originals.put_on_hold(connection, entry["study_instance_uid"], entry["reason"], now)
    return len(files)


def _file(state: Path, study: str) -> Path:
    return state / "holds" / f"{hashlib.sha256(study.encode()).hexdigest()[:32]}.json"
