"""Whether the folder of the store is the one that was used before: a disk that is not mounted leaves an empty folder in its place.

What is written there is hidden as soon as the disk is back, and what was there looks lost meanwhile. So the store holds a mark,
and the state folder remembers that it does. The mark is an empty folder: whoever restores a store has no file too many.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from hexdicom import durable
from hexdicom.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)

MARK: Final = ".hexdicom-store"
_REMEMBERED: Final = "store.marked"


def leave(settings: Settings) -> None:
    """Marks the store of a node that starts, unless it was marked before. Where that fails, a later start does it."""
    try:
        if not _was_marked(settings):
            with durable.on_disk(settings.store):
                (settings.store / MARK).mkdir(parents=True, exist_ok=True)
                durable.sync_folder(settings.store)
            durable.write(settings.state / _REMEMBERED, str(settings.store).encode())
    except StoreError as error:
        log.warning("the store could not be marked: %s", error, extra={"event": "loop.error"})


def check(settings: Settings) -> None:
    """Raises StoreError where the store was marked, and its mark is not there."""
    why = missing(settings)
    if why:
        raise StoreError(why, hint=f"Mount it. If it is the right folder, make an empty folder {MARK} in it.")


def missing(settings: Settings) -> str:
    """What is wrong with the store, in a sentence; "" where nothing is."""
    if not _was_marked(settings) or (settings.store / MARK).is_dir():
        return ""
    return f"The store {settings.store} is not the one that was used before: its disk may not be mounted."


def _was_marked(settings: Settings) -> bool:
    remembered: Path = settings.state / _REMEMBERED
    try:
        return remembered.read_text() == str(settings.store)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(f"{remembered} cannot be read: {error.strerror}.") from error
