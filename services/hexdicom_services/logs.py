"""Logging of a process of the node: one line per message on stderr, as text or JSON, without a patient's data.

Every message about the work of the node carries one of EVENTS as `extra={"event": …}`; UIDs appear as short hashes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hexdicom_services.sections import LoggingSection

EVENTS: Final = {
    "node.ready": "the node listens; port and AE title follow",
    "node.stopping": "the node was asked to stop",
    "node.stopped": "every process of the node has ended",
    "node.recovered": "what a crash had left was put in order",
    "catalog.migrated": "a catalog of an earlier version was brought to the schema of this one; a copy was kept",
    "catalog.salvaged": "the catalog was damaged; what could be read of it went into a new one, the rest came from the files",
    "process.died": "a process of the node ended by itself and is started again",
    "association.refused": "a peer was not let in",
    "connection.closed": "a connection was cut: TLS failed, too many, too slow, or not DICOM",
    "tls.revocation": "a new revocation list cannot be read; the one before counts until it ends",
    "receiver.unguarded": "who may call is not said, so others than the peers are refused",
    "audit.waiting": "the collector of the audit trail does not take messages; they wait in the catalog",
    "audit.resumed": "the collector of the audit trail takes messages again",
    "instance.version": "an instance came again with other content; both are kept",
    "instance.unreadable": "the data set of an instance cannot be read; it is kept as it is",
    "instance.refused": "an instance could not be kept; the peer got a failure status",
    "series.queued": "a series is complete and waits for a worker",
    "series.archived": "a series was archived, read back and compared",
    "series.failed": "a series could not be encoded and was archived untouched",
    "series.passed_through": "a group cannot be archived exactly, so its instances are kept untouched",
    "instance.lost": "an original in the spool is damaged or gone; it is replaced out of the archive where that can be",
    "series.released": "originals left the spool: their archive was read back, decoded and compared",
    "series.recalled": "originals were brought back to the spool out of the archive",
    "release.refused": "originals stay in the spool: the store could not prove that it gives them back",
    "archive.damaged": "a file in the store is not what was stored",
    "archive.repaired": "a damaged file in the store was replaced",
    "scrub.failed": "a PACS could not replace a damaged file",
    "archive.proved": "an archive was read back and gave every instance back",
    "archive.rewritten": "an archive that was there with other bytes was written anew",
    "instance.damaged": "an instance that is not what was archived was not restored",
    "fit.failed": "the network could not learn from a series; the archive is exact all the same, and larger",
    "header.failed": "a header made the reader fail; its file is kept untouched",
    "job.retry": "work on a series failed and will be tried again",
    "job.timeout": "a job took too long; its worker was ended and the job will be tried again",
    "job.lost": "a worker lost the lease on its job to another one",
    "forward.sent": "a PACS accepted what was forwarded; by configuration it was not read back",
    "forward.verified": "a PACS gave back what was forwarded, unchanged",
    "forward.retry": "forwarding failed and will be tried again",
    "retrieve.failed": "a stored object could not be sent",
    "restore.ready": "the process that restores originals for peers is warm",
    "restore.failed": "an archive could not be restored for a peer, or the process that does it went away",
    "commitment.asked": "a PACS was asked to commit itself to what was forwarded to it",
    "commitment.committed": "a PACS committed itself to what was forwarded to it",
    "commitment.reported": "a peer took our report of a storage commitment",
    "commitment.refused": "a request for commitment was refused, or a report came that nobody had asked for",
    "commitment.retry": "a peer could not be asked or told about a commitment; that is tried again",
    "commitment.failed": "a PACS does not keep what it got, a report was given up, or an archive cannot be read for one",
    "loop.error": "an unexpected error was caught; the process goes on",
}

_FIELDS = ("event", "series", "job", "port", "ae_title", "worker", "seconds", "target", "status", "peer", "calling")


def short(uid: str) -> str:
    """A name for a UID in log lines: the same for the same UID, and not the UID."""
    return hashlib.sha256(uid.encode()).hexdigest()[:12]


def printable(text: str) -> str:
    """What a stranger wrote, fit for a line of a log."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text[:64])


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        entry.update({name: getattr(record, name) for name in _FIELDS if hasattr(record, name)})
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configure(section: LoggingSection) -> None:
    """Sends the messages of this process to stderr as the settings say."""
    handler = logging.StreamHandler(sys.stderr)
    as_text = section.format == "text" or (section.format == "auto" and sys.stderr.isatty())
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
    handler.setFormatter(text if as_text else _JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("hexdicom", "hexdicom_services"):
        logging.getLogger(name).setLevel(section.level.upper())
    logging.getLogger("pynetdicom").setLevel(section.pynetdicom.upper())
    logging.getLogger("pydicom").setLevel(logging.ERROR)  # its warnings quote values of data sets
