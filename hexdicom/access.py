"""Single originals out of an archive, decoding no more slices than they need. Knows both codec and DICOM, as `pipeline` does.

archive = Access(paths)
for slices in archive.batches(uids, 2):
    for restored in archive.restore(slices): ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexdicom import codec
from hexdicom.dicom import shelf
from hexdicom.dicom.geometry import slices_of
from hexdicom.dicom.headers import decode_headers
from hexdicom.dicom.restore import check_payload, open_archive, originals, received
from hexdicom.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from hexdicom.dicom.restore import Restored


class Access:
    """An opened archive: its payload, decoded as far as all slices need, and its headers.

    received: SHA-256 of the data set as it was received, by SOP Instance UID. Raises ArchiveError, BitstreamError,
    StoreError; ArchiveError also for an archive with loss, which holds no originals.
    """

    def __init__(self, parts: Sequence[Path], *, device: str = "auto") -> None:
        opened = open_archive([shelf.read(path) for path in parts])
        self._manifest, payload = opened.manifest, bytes(opened.archive.payload)
        if not self._manifest.lossless:
            raise ArchiveError("The archive was made with loss, so no original comes out of it.")
        info = codec.inspect(payload)
        check_payload(self._manifest, info.shape, info.dtype)  # before memory is taken for a volume of that size
        self._headers = list(decode_headers(opened.archive.headers))
        self.received = received(opened)
        self._slices = dict(zip(self.received, slices_of(self._manifest.geometry), strict=True))
        self._frames = codec.open(payload, device=device)

    def batches(self, uids: Iterable[str], most: int) -> Iterator[tuple[int, ...]]:
        """Groups of slices that are worth decoding together, until all these instances are there: the first as small as can be.

        uids: SOP Instance UIDs, the most urgent first. most: slices to decode at once, once the first instance is there.
        """
        every = tuple(range(self._manifest.geometry.shape[1]))
        needed = [self._slices[uid] for uid in uids]
        if not needed:
            return
        if not self._frames.slices_alone or any(len(slices) > 1 for slices in needed):
            yield every
            return
        order = list(dict.fromkeys(slice_ for slices in needed for slice_ in slices))
        yield (order[0],)
        for start in range(1, len(order), most):
            yield tuple(order[start : start + most])

    def restore(self, slices: Sequence[int]) -> Iterator[Restored]:
        """Every instance that lies within these slices, proved by its SHA-256. Raises ArchiveError, BitstreamError."""
        here = frozenset(slices)
        sources = [source for source, needed in enumerate(self._slices.values()) if needed <= here]
        values = self._frames.values(slices=slices)
        yield from originals(self._manifest, self._headers, sources, values, slices)

    def original(self, time: int, slice_: int) -> Restored:
        """The instance that holds a frame, proved by its SHA-256.

        Raises ProfileError where there is no such frame, ArchiveError (one that does not come back as it was, too), BitstreamError.
        """
        self._frames.check([time], [slice_])
        geometry = self._manifest.geometry
        source = geometry.frames[time * geometry.shape[1] + slice_].instance
        needed = sorted(list(self._slices.values())[source])
        values = self._frames.values(slices=needed)
        (one,) = originals(self._manifest, self._headers, [source], values, needed)
        if one.state == "damaged":
            raise ArchiveError(f"Instance {one.sop_instance_uid} is damaged: it does not come back as it was archived.")
        return one
