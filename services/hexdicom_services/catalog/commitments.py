"""Storage commitments (PS3.4 annex J) that survive a restart: what peers asked us for, and what we asked PACS for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Connection, and_, func, insert, select, update

from hexdicom_services.catalog.models import commitment, commitment_item, delivery, stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Accepted = Literal["new", "again", "duplicate"]


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance of which a transaction speaks."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """One that is open. peer: AE title of who asked. duplicate: its UID was in use for other instances."""

    id: int
    peer: str
    transaction_uid: str
    duplicate: bool
    attempts: int
    created_at: float


@dataclass(frozen=True, slots=True)
class Uncommitted:
    """A delivered object that its PACS has not committed itself to."""

    delivery_id: int
    attempts: int
    instance: Instance


_COLUMNS = tuple(commitment.c[name] for name in Transaction.__slots__)


def accept(connection: Connection, peer: str, transaction_uid: str, asked: Sequence[Instance], now: float) -> Accepted:
    """Keeps a request of a peer. The same one again is reported again; other instances under its UID are a duplicate."""
    same = and_(commitment.c.role == "scp", commitment.c.peer == peer, commitment.c.transaction_uid == transaction_uid)
    lines = sorted(f"{one.sop_instance_uid} {one.sop_class_uid}" for one in asked)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    known = {row.digest: row.id for row in connection.execute(select(commitment.c.digest, commitment.c.id).where(same))}
    if digest in known:
        again = update(commitment).where(commitment.c.id == known[digest])
        connection.execute(again.values(state="OPEN", attempts=0, not_before=now, created_at=now, error=""))
        return "again"
    _add(connection, "scp", peer, transaction_uid, digest, [(one, 0) for one in asked], now, duplicate=bool(known))
    return "duplicate" if known else "new"


def due(connection: Connection, now: float) -> list[Transaction]:
    """Requests of peers that wait for our report, the oldest first."""
    wanted = select(*_COLUMNS).where(commitment.c.role == "scp", commitment.c.state == "OPEN", commitment.c.not_before <= now)
    return [Transaction(*row) for row in connection.execute(wanted.order_by(commitment.c.not_before, commitment.c.id))]


def asked_for(connection: Connection, transaction_id: int) -> list[Instance]:
    """The instances of a transaction, in the order of the request."""
    columns = commitment_item.c.sop_class_uid, commitment_item.c.sop_instance_uid
    wanted = select(*columns).where(commitment_item.c.commitment_id == transaction_id).order_by(commitment_item.c.id)
    return [Instance(*row) for row in connection.execute(wanted)]


def reported(connection: Connection, transaction_id: int, failed: Mapping[str, int], now: float) -> None:
    """The peer has taken our report. failed: reasons, by SOP Instance UID."""
    _close(connection, transaction_id, failed, now)


def put_off(connection: Connection, transaction_id: int, not_before: float, error: str) -> None:
    """The report could not be brought; it is tried again."""
    values = {"attempts": commitment.c.attempts + 1, "not_before": not_before, "error": error}
    connection.execute(update(commitment).where(commitment.c.id == transaction_id).values(values))


def give_up(connection: Connection, transaction_id: int, now: float, error: str) -> None:
    """The report could not be brought for too long."""
    here = commitment.c.id == transaction_id
    connection.execute(update(commitment).where(here).values(state="FAILED", finished_at=now, error=error))


def uncommitted(connection: Connection, target: str, states: Iterable[str], now: float, most: int) -> list[Uncommitted]:
    """What a PACS has and is to be asked for now: for the first time, or because it did not answer or refused."""
    columns = delivery.c.id, delivery.c.commitment_attempts, stored.c.sop_class_uid, stored.c.sop_instance_uid
    wanted = select(*columns).join(stored, stored.c.id == delivery.c.stored_id)
    wanted = wanted.where(
        delivery.c.target == target,
        delivery.c.state.in_(list(states)),
        delivery.c.committed_at == 0,
        delivery.c.commitment_due <= now,
    )
    rows = connection.execute(wanted.order_by(delivery.c.id).limit(most))
    return [Uncommitted(row[0], row[1], Instance(row[2], row[3])) for row in rows]


def request(
    connection: Connection, target: str, transaction_uid: str, items: Sequence[Uncommitted], now: float, due_at: float
) -> None:
    """A PACS is going to be asked; if nothing has come by `due_at`, it is asked anew."""
    instances = [(one.instance, one.delivery_id) for one in items]
    _add(connection, "scu", target, transaction_uid, "", instances, now)
    here = delivery.c.id.in_([one.delivery_id for one in items])
    values = {"commitment": "REQUESTED", "commitment_due": due_at, "commitment_attempts": delivery.c.commitment_attempts + 1}
    connection.execute(update(delivery).where(here).values(values))


def answered(
    connection: Connection,
    targets: Iterable[str],
    transaction_uid: str,
    committed: Iterable[str],
    failed: Mapping[str, int],
    now: float,
) -> bool:
    """A PACS has answered; False where none of these PACS was asked so. Both by SOP Instance UID; said twice, it counts once."""
    same = and_(commitment.c.role == "scu", commitment.c.peer.in_(list(targets)), commitment.c.transaction_uid == transaction_uid)
    transaction_id = connection.scalar(select(commitment.c.id).where(same))
    if transaction_id is None:
        return False
    columns = commitment_item.c.sop_instance_uid, commitment_item.c.delivery_id
    waiting = select(*columns).where(commitment_item.c.commitment_id == transaction_id)
    deliveries = {row.sop_instance_uid: row.delivery_id for row in connection.execute(waiting)}
    for uid in committed:
        here = and_(delivery.c.id == deliveries.get(uid, 0), delivery.c.committed_at == 0)
        connection.execute(update(delivery).where(here).values(commitment="COMMITTED", committed_at=now))
    for uid in failed:
        here = and_(delivery.c.id == deliveries.get(uid, 0), delivery.c.committed_at == 0)
        connection.execute(update(delivery).where(here).values(commitment="FAILED"))
    _close(connection, transaction_id, failed, now)
    return True


def unanswered(connection: Connection, transaction_uid: str, error: str, due_at: float) -> None:
    """The PACS did not even take the question; it is asked anew at `due_at`."""
    here = and_(commitment.c.role == "scu", commitment.c.transaction_uid == transaction_uid)
    transaction_id = connection.scalar(select(commitment.c.id).where(here))
    connection.execute(update(commitment).where(here).values(state="FAILED", error=error))
    waiting = select(commitment_item.c.delivery_id).where(commitment_item.c.commitment_id == transaction_id)
    open_ones = and_(delivery.c.id.in_(waiting), delivery.c.committed_at == 0)
    connection.execute(update(delivery).where(open_ones).values(commitment_due=due_at))


def _add(
    connection: Connection,
    role: str,
    peer: str,
    transaction_uid: str,
    digest: str,
    instances: Sequence[tuple[Instance, int]],
    now: float,
    *,
    duplicate: bool = False,
) -> None:
    values = {
        "role": role,
        "peer": peer,
        "transaction_uid": transaction_uid,
        "digest": digest,
        "state": "OPEN",
        "duplicate": int(duplicate),
        "created_at": now,
        "not_before": now,
    }
    connection.execute(insert(commitment).values(values))
    number = connection.scalar(
        select(func.max(commitment.c.id)).where(
            commitment.c.role == role, commitment.c.peer == peer, commitment.c.transaction_uid == transaction_uid
        )
    )
    rows = [
        {
            "commitment_id": number,
            "sop_class_uid": one.sop_class_uid,
            "sop_instance_uid": one.sop_instance_uid,
            "delivery_id": delivery_id,
        }
        for one, delivery_id in instances
    ]
    connection.execute(insert(commitment_item), rows)


def _close(connection: Connection, transaction_id: int, failed: Mapping[str, int], now: float) -> None:
    here = commitment.c.id == transaction_id
    connection.execute(update(commitment).where(here).values(state="DONE", finished_at=now, error=""))
    for uid, reason in failed.items():
        item = and_(commitment_item.c.commitment_id == transaction_id, commitment_item.c.sop_instance_uid == uid)
        connection.execute(update(commitment_item).where(item).values(failure_reason=reason))
