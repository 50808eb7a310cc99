"""Whether the store gives every original back, tried out; and bringing originals back to the spool.

Nothing here believes a digest that only a catalog or a manifest says: files are read from the disk, decoded, and every data
set is hashed again.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hexdicom.errors import ArchiveError, BitstreamError, StoreError, VerificationError, VolumeError
from hexdicom_services.catalog import holdings, originals
from hexdicom_services.logs import short
from hexdicom_services.part10 import file_head, read_head
from hexdicom_services.stores.folder import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hexdicom_services.catalog.holdings import Holding
    from hexdicom_services.catalog.originals import Original
    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.spool import Spool
    from hexdicom_services.stores.folder import FolderStore

log = logging.getLogger(__name__)

UNSOUND = (ArchiveError, BitstreamError, StoreError, VerificationError, VolumeError, OSError)
_DAMAGE = (errno.EIO, errno.EUCLEAN, errno.EBADMSG, errno.EISDIR, errno.ENOTDIR)


@dataclass(frozen=True, slots=True)
class Source:
    """What the store gives back of one received instance. state: `restored` (the same data set), `recoded` (the same
    attributes and pixels), `derived` (another image), `damaged` (nothing). received_sha256: of what was received.
    """

    sop_instance_uid: str
    received_sha256: str
    state: str
    data_set: bytes


def sources(store: FolderStore, held: Sequence[Holding], device: str = "auto") -> Iterator[Source]:
    """Every source of these files, decoded and hashed. Raises one of UNSOUND at the first file that is not what was stored."""
    archives: dict[str, list[Path]] = {}
    for holding in held:
        path = store.path(holding.key)
        found = digest(path)
        if (found.sha256, found.size) != (holding.sha256, holding.size):
            raise VerificationError(f"{holding.key} is not what was stored.", hint="Its disk may be failing.")
        if holding.kind == "archive":
            archives.setdefault(holding.sources_digest, []).append(path)
        else:
            data = path.read_bytes()[read_head(path).offset :]
            yield Source(holding.sop_instance_uid, hashlib.sha256(data).hexdigest(), "restored", data)
    for paths in archives.values():
        yield from decoded(paths, device)


def decoded(archive: Sequence[Path], device: str = "auto") -> Iterator[Source]:
    """Every source of the archive in these files. Raises one of UNSOUND."""
    from hexdicom import pipeline  # loads torch: not before there is something to decode

    for one in pipeline.proofs(archive, device=device):
        state = one.state
        if state == "restored" and hashlib.sha256(one.data_set).hexdigest() != one.received_sha256:
            state = "damaged"
        yield Source(one.sop_instance_uid, one.received_sha256, state, one.data_set)


def readable(store: FolderStore, held: Sequence[Holding], device: str = "auto") -> Iterator[Source]:
    """The same, as far as it goes: what is damaged is logged, and nothing comes after it."""
    try:
        yield from sources(store, held, device)
    except UNSOUND as error:
        message = str(error)
        log.error("the store is damaged: %s", message, extra={"event": "archive.damaged"})  # noqa: TRY400 - it says it all


def data_set_sha256(file: Path) -> str:
    """Of what stands behind the file meta group. Raises OSError, StoreError."""
    return hashlib.sha256(file.read_bytes()[read_head(file).offset :]).hexdigest()


def current_and_earlier(held: Sequence[Holding], current: Sequence[Holding]) -> list[Holding]:
    """What answers for the originals of a series: what peers get, and the earlier versions of instances that are kept beside it."""
    keys = {holding.key for holding in current}
    return [*current, *(one for one in held if one.kind == "passed-through" and one.key not in keys)]


def recall(
    catalog: Catalog, spool: Spool, store: FolderStore, uid: str, now: float, device: str = "auto"
) -> tuple[list[Original], list[Original]]:
    """Brings the originals of a series that were released or lost back to the spool, byte for byte, out of the store.

    Returns those that came back and those that the store cannot give back. Done again after a crash it does the rest. Raises
    StoreError where the spool cannot be written.
    """
    with catalog.read() as connection:
        away = [one for one in originals.of_series(connection, uid) if not one.here]
        held = current_and_earlier(holdings.of_source(connection, uid), holdings.of_source(connection, uid, current=True))
    wanted = {(one.sop_instance_uid, one.sha256): one for one in away}
    back: list[Original] = []
    for group in _together(held):
        if not wanted:
            break
        for source in readable(store, group, device):
            one = wanted.get((source.sop_instance_uid, source.received_sha256))
            if one is not None and source.state == "restored":
                _write(spool, one, source.data_set)
                back.append(wanted.pop((one.sop_instance_uid, one.sha256)))
    for path in {(spool.root / one.path).parent for one in back}:
        spool.sync(str(path.relative_to(spool.root) / "x"))
    with catalog.write() as connection:
        originals.unmark(connection, back, now, "series.recalled")
    if back:
        extra = {"event": "series.recalled", "series": short(uid)}
        log.info("%d originals of series %s are in the spool again", len(back), short(uid), extra=extra)
    return back, list(wanted.values())


def make_ready(catalog: Catalog, spool: Spool, store: FolderStore, uid: str, now: float, device: str = "auto") -> None:
    """Before a series is archived: every original that can be had is in the spool, and is what was received. Raises StoreError."""
    with catalog.read() as connection:
        everything = originals.of_series(connection, uid)
    damaged = [one for one in everything if one.here and not is_sound(spool, one)]
    for one in damaged:
        set_aside(catalog, spool, one, now)
    if damaged or not all(one.here for one in everything):
        recall(catalog, spool, store, uid, now, device)


def set_aside(catalog: Catalog, spool: Spool, one: Original, now: float) -> bool:
    """Takes a damaged file out of the spool, and says so; False where it is sound after all, because it was just sent again."""
    with catalog.write() as connection:
        if is_sound(spool, one):
            return False
        aside = spool.set_aside(one.path)
        originals.lose(connection, one, now, f"damaged, kept as {aside.name}" if aside else "its file is gone")
    extra = {"event": "instance.lost", "series": short(one.series_instance_uid)}
    log.error("an original in the spool is %s", "damaged" if aside else "gone", extra=extra)
    return True


def is_sound(spool: Spool, one: Original) -> bool:
    """Whether the file of an original in the spool is what was received. One that cannot be read is read once more first.

    Raises StoreError where the disk, or what this process may do, is at fault and not the file.
    """
    for attempt in (1, 2):
        try:
            file = spool.root / one.path
            data = file.read_bytes()[read_head(file).offset :]
            return (len(data), hashlib.sha256(data).hexdigest()) == (one.size, one.sha256)
        except FileNotFoundError:
            return False
        except (OSError, StoreError) as error:
            if isinstance(error, OSError):
                refuse_unless_damaged(error)
            if attempt == 1:
                time.sleep(0.05)
    return False


def refuse_unless_damaged(error: OSError) -> None:
    """Raises StoreError where an error says nothing about the file: no permission, no descriptor, a disk that is away."""
    if error.errno not in _DAMAGE:
        hint = "Everything below its folder must belong to the user of the node." if error.errno == errno.EACCES else ""
        raise StoreError(f"A file that is kept cannot be read: {error.strerror}.", hint=hint) from error


def _together(held: Sequence[Holding]) -> list[list[Holding]]:
    """Files that only say something together: the parts of one archive."""
    groups: dict[str, list[Holding]] = {}
    for holding in held:
        groups.setdefault(holding.sources_digest or holding.key, []).append(holding)
    return list(groups.values())


def _write(spool: Spool, one: Original, data_set: bytes) -> None:
    head = file_head(one.sop_class_uid, one.sop_instance_uid, one.transfer_syntax_uid, one.calling_ae_title)
    spool.write(one.path, head, data_set)
