"""The tables of the catalog. Times are seconds since 1970 (UTC); flags are 0 or 1.

instance  what was received: one row per SOP Instance UID and content, never deleted
listing   what C-FIND matches and answers of each instance: a row of the same id
series    what becomes of the instances of a series
job       work to do; a job is a row, never only a message
stored    what the store holds: archive objects, and instances that were passed through untouched
delivery  how far a stored object has come at each PACS that gets it too
hold      studies whose originals must not be released, and why
commitment, commitment_item  storage commitments: those that peers asked us for, and those that we asked PACS for
procedure_step, performed_series  what modalities say of the instances of a series
event     what happened, append-only; no patient's name or identifier in it
audit     the audit trail (PS3.15 A.5), append-only; names patients, as it must
meta      schema version; how far the audit trail was shipped; which kinds of jobs are paused
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from hexdicom_services.catalog.keys import KEYS

SCHEMA_VERSION = 2  # an older catalog grows into it: catalog/migrate.py

metadata = MetaData()
_KEY = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows only in a column declared INTEGER


def _text(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False, server_default="")


def _number(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def _time(name: str) -> Column[Any]:
    return Column(name, Float, nullable=False, server_default=text("0"))


instance = Table(
    "instance",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("sop_instance_uid", Text, nullable=False),
    _text("sop_class_uid"),
    _text("transfer_syntax_uid"),
    _text("study_instance_uid"),
    Column("series_instance_uid", Text, nullable=False, index=True),  # "" where the data set cannot be read
    Column("sha256", String(64), nullable=False),  # of the data set, without file meta
    _number("size"),  # of the data set, bytes
    _text("path"),  # below the spool
    Column("version", Integer, nullable=False),  # 1, 2, … where other content came under the same UID
    _time("received_at"),
    _text("calling_ae_title"),
    _time("released_at"),  # when its file was removed from the spool; 0: it is there
    _time("lost_at"),  # when its file was found to be damaged or gone, and nothing could replace it; 0: it is sound
    _time("scrubbed_at"),  # when its file was last compared with its hash
    _number("listed"),  # whether C-FIND has its row in `listing`
    UniqueConstraint("sop_instance_uid", "sha256"),
)

Index("instance_conflict", instance.c.version, sqlite_where=instance.c.version > 1, postgresql_where=instance.c.version > 1)

series = Table(
    "series",
    metadata,
    Column("series_instance_uid", Text, primary_key=True),
    _text("study_instance_uid"),
    Column("state", String(16), nullable=False, index=True),
    _number("generation"),  # rises with every instance that is new
    _number("judged"),  # the generation that intake has last looked into
    _number("instances"),
    _number("bytes"),
    _number("priority"),  # the jobs of a higher one go first
    _time("opened_at"),  # when the first instance of this batch came: starts the force timer
    _time("last_at"),  # when the last one came, or was recalled: starts the silence timer, and the days of retention
    _time("archived_at"),
    _time("weighed_at"),  # when retention last asked whether its originals may go
    _text("reason"),
)

job = Table(
    "job",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("kind", String(16), nullable=False),  # archive | forward
    Column("series_instance_uid", Text, nullable=False),
    Column("target", Text, nullable=False, server_default=""),
    Column("generation", BigInteger, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    _number("attempts"),
    _time("not_before"),
    _time("lease_until"),
    _text("worker"),
    _text("step"),
    _time("fraction"),
    _text("error"),
    _time("created_at"),
    _time("finished_at"),
    UniqueConstraint("kind", "series_instance_uid", "target", "generation"),
)

# Attributes that C-FIND matches and that no other column holds; the rest of an answer comes from `attributes`.
QUERY_COLUMNS = tuple(key.column for keyword, key in KEYS.items() if not keyword.endswith("UID"))

_released, _unlisted = instance.c.released_at > 0, instance.c.listed == 0
Index("instance_released", instance.c.released_at, sqlite_where=_released, postgresql_where=_released)
Index("instance_unlisted", instance.c.id, sqlite_where=_unlisted, postgresql_where=_unlisted)

listing = Table(
    "listing",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # of the instance
    Column("current", Integer, nullable=False, server_default=text("1")),  # whether it is the newest version
    Column("study_instance_uid", Text, nullable=False, server_default="", index=True),
    Column("series_instance_uid", Text, nullable=False, server_default="", index=True),
    Column("sop_instance_uid", Text, nullable=False, index=True),
    _text("sop_class_uid"),
    Column("attributes", JSON, nullable=True),  # DICOM JSON model, PS3.18 annex F
    *(_text(name) for name in QUERY_COLUMNS),
)

stored = Table(
    "stored",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("kind", String(16), nullable=False),  # archive | passed-through
    Column("state", String(16), nullable=False),  # WRITING | STORED | QUARANTINED
    Column("current", Integer, nullable=False, server_default=text("0")),
    Column("source_series_uid", Text, nullable=False, index=True),
    _text("study_instance_uid"),
    Column("series_instance_uid", Text, nullable=False, server_default="", index=True),
    Column("sop_instance_uid", Text, nullable=False, index=True),
    _text("sop_class_uid"),
    _text("transfer_syntax_uid"),
    Column("key", Text, nullable=False, unique=True),  # where it is in the store
    _text("sha256"),  # of the file
    _number("size"),  # of the file, bytes
    _text("sources_digest"),  # what it was made from, and how: the same digest needs no second encoding
    _number("source_bytes"),
    _number("source_instances"),
    _text("reason"),
    Column("report", JSON, nullable=True),
    Column("attributes", JSON, nullable=True),  # DICOM JSON model, PS3.18 annex F
    _number("job_id"),
    _time("created_at"),
    _time("scrubbed_at"),  # when the file was last compared with its hash
    *(_text(name) for name in QUERY_COLUMNS),
)
Index("stored_study", stored.c.study_instance_uid)
Index("stored_scrubbed", stored.c.scrubbed_at)
Index("instance_scrubbed", instance.c.scrubbed_at)

delivery = Table(
    "delivery",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("stored_id", BigInteger, nullable=False),
    Column("target", Text, nullable=False),
    Column("state", String(16), nullable=False),  # PENDING | SENT | VERIFIED | FAILED
    _text("error"),
    _time("changed_at"),
    _text("commitment"),  # "" | REQUESTED | COMMITTED | FAILED: what the PACS says of keeping it
    _time("committed_at"),  # 0: it has not committed itself
    _time("commitment_due"),  # when to ask, or to ask again
    _number("commitment_attempts"),
    UniqueConstraint("stored_id", "target"),
)

hold = Table(
    "hold",
    metadata,
    Column("study_instance_uid", Text, primary_key=True),
    _text("reason"),
    _time("held_at"),
)

commitment = Table(
    "commitment",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("role", String(8), nullable=False),  # scp: a peer asked us | scu: we asked a PACS
    Column("peer", Text, nullable=False),  # scp: AE title of who asked | scu: name of the PACS in [peers]
    Column("transaction_uid", Text, nullable=False),
    Column("digest", String(64), nullable=False),  # of the instances that it names: the same request again is one request
    Column("state", String(16), nullable=False, index=True),  # OPEN | DONE | FAILED
    _number("duplicate"),  # 1: the transaction UID was in use for other instances
    _number("attempts"),
    _time("not_before"),
    _text("error"),
    _time("created_at"),
    _time("finished_at"),
    UniqueConstraint("role", "peer", "transaction_uid", "digest"),
)

commitment_item = Table(
    "commitment_item",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("commitment_id", BigInteger, nullable=False, index=True),
    Column("sop_class_uid", Text, nullable=False),
    Column("sop_instance_uid", Text, nullable=False),
    _number("delivery_id"),  # scu: the delivery that waits for it
    _number("failure_reason"),  # PS3.3 C.14.1.1; 0: none
)

procedure_step = Table(
    "procedure_step",
    metadata,
    Column("sop_instance_uid", Text, primary_key=True),
    Column("state", String(16), nullable=False),  # IN PROGRESS | COMPLETED | DISCONTINUED, PS3.3 C.4.14
    _text("peer"),
    _time("created_at"),
    _time("changed_at"),
)

performed_series = Table(
    "performed_series",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("step_uid", Text, nullable=False, index=True),
    Column("series_instance_uid", Text, nullable=False, index=True),
    Column("instances", JSON, nullable=True),  # their SOP Instance UIDs
)

event = Table(
    "event",
    metadata,
    Column("id", _KEY, primary_key=True),
    _time("at"),
    Column("name", Text, nullable=False),
    _text("series_instance_uid"),
    _number("job_id"),
    Column("detail", JSON, nullable=True),
)

audit = Table(
    "audit",
    metadata,
    Column("id", _KEY, primary_key=True),
    _time("at"),
    Column("event", String(16), nullable=False, server_default=""),  # code of the event, DCM
    _text("message"),  # XML
)

meta = Table("meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))
