"""Performed procedure steps (PS3.4 annex F): what a modality says it has made, as far as it tells when a series is complete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Connection, delete, insert, select, update

from hexdicom_services.catalog.models import instance, performed_series, procedure_step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IN_PROGRESS, COMPLETED, DISCONTINUED = "IN PROGRESS", "COMPLETED", "DISCONTINUED"
Outcome = Literal["kept", "known", "unknown", "final"]


@dataclass(frozen=True, slots=True)
class Performed:
    """What a step that has ended says of a series. missing: instances that it lists and that were not received."""

    state: str
    listed: int
    missing: int


def create(connection: Connection, uid: str, state: str, peer: str, now: float) -> Outcome:
    """A step begins; `known` where there is one with this SOP Instance UID."""
    if _state(connection, uid) is not None:
        return "known"
    values = {"sop_instance_uid": uid, "state": state, "peer": peer, "created_at": now, "changed_at": now}
    connection.execute(insert(procedure_step).values(values))
    return "kept"


def change(connection: Connection, uid: str, state: str, series: Mapping[str, Sequence[str]] | None, now: float) -> Outcome:
    """A step goes on or ends. series: SOP Instance UIDs by Series Instance UID, instead of what was said before; None: no news.

    `unknown` where there is no such step, `final` where it has ended.
    """
    now_in = _state(connection, uid)
    if now_in is None:
        return "unknown"
    if now_in != IN_PROGRESS:
        return "final"
    here = procedure_step.c.sop_instance_uid == uid
    connection.execute(update(procedure_step).where(here).values(state=state, changed_at=now))
    if series is not None:
        connection.execute(delete(performed_series).where(performed_series.c.step_uid == uid))
        rows = [{"step_uid": uid, "series_instance_uid": one, "instances": list(uids)} for one, uids in series.items()]
        if rows:
            connection.execute(insert(performed_series), rows)
    return "kept"


def performed(connection: Connection, series_instance_uid: str) -> Performed | None:
    """What the last step that has ended and names a series says of it; None where none does."""
    wanted = select(procedure_step.c.state, performed_series.c.instances)
    wanted = wanted.join(performed_series, performed_series.c.step_uid == procedure_step.c.sop_instance_uid)
    wanted = wanted.where(performed_series.c.series_instance_uid == series_instance_uid, procedure_step.c.state != IN_PROGRESS)
    row = connection.execute(wanted.order_by(procedure_step.c.changed_at.desc()).limit(1)).first()
    if row is None:
        return None
    came = select(instance.c.sop_instance_uid).where(instance.c.series_instance_uid == series_instance_uid)
    listed = set(row.instances or ())
    return Performed(row.state, len(listed), len(listed - set(connection.scalars(came).all())))


def _state(connection: Connection, uid: str) -> str | None:
    return connection.scalar(select(procedure_step.c.state).where(procedure_step.c.sop_instance_uid == uid))
