"""From an archive and its decoded values back to instances: the originals byte for byte, or marked derived images.

Every original is proved by the SHA-256 of its data set before anyone gets it. One that does not match is reported as
damaged and its bytes are not given out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hexdicom.dicom.archive import Archive, Part, join
from hexdicom.dicom.derived import Loss, derive
from hexdicom.dicom.geometry import source_values, values_of
from hexdicom.dicom.headers import decode_headers
from hexdicom.dicom.manifest import Manifest, decode_manifest
from hexdicom.dicom.pixels import read_meta
from hexdicom.dicom.received import identity
from hexdicom.errors import ArchiveError, SeriesError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

State = Literal["restored", "recoded", "derived", "damaged"]


@dataclass(frozen=True, slots=True)
class Opened:
    """An archive and its manifest, which fit each other."""

    archive: Archive
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Restored:
    """One instance as a Part 10 file.

    state: `restored` byte for byte; `recoded`: same attributes and pixels, native instead of losslessly compressed;
    `derived`: a new image, made with loss; `damaged`: not what was archived, then `data` is empty.
    sha256: of its data set. source_sop_instance_uid: of the original that it is, or is derived from.
    """

    sop_class_uid: str
    sop_instance_uid: str
    source_sop_instance_uid: str
    transfer_syntax_uid: str
    data: bytes
    sha256: str
    state: State

    @property
    def identical(self) -> bool:
        return self.state in ("restored", "recoded")


def open_archive(parts: Sequence[Part]) -> Opened:
    """Put the parts together and check that manifest, headers and payload belong to each other. Raises ArchiveError."""
    archive = join(parts)
    manifest = decode_manifest(archive.manifest)
    if hashlib.sha256(archive.headers).hexdigest() != manifest.headers_sha256:
        raise ArchiveError("The headers of the archive do not match its manifest.")
    if (len(archive.payload), hashlib.sha256(archive.payload).hexdigest()) != (
        manifest.payload_bytes,
        manifest.payload_sha256,
    ):
        raise ArchiveError("The payload of the archive does not match its manifest.")
    return Opened(archive, manifest)


def instances(opened: Opened, values: NDArray[Any]) -> Iterator[Restored]:
    """Every instance of an archive, in the order of its headers. values: the decoded payload, (T, Z, Y, X).

    Raises ArchiveError where the parts of the archive contradict each other.
    """
    manifest = opened.manifest
    check_payload(manifest, values.shape, values.dtype.name)
    loss = None if manifest.lossless else _loss(opened, values)
    headers = decode_headers(opened.archive.headers)
    pixels = source_values(manifest.geometry, values)
    count = 0
    for source, ((before, after), value) in enumerate(zip(headers, pixels, strict=False)):
        count += 1
        try:
            yield _derived(before, value, after, loss) if loss else _original(manifest, source, before, value, after)
        except SeriesError as error:
            raise ArchiveError(f"Header {source + 1} of the archive is damaged: {error.message}") from error
    if count != manifest.instances:
        raise ArchiveError(f"The archive holds {count} headers for {manifest.instances} sources.")


def received(opened: Opened) -> dict[str, str]:
    """SHA-256 of the data set of every source as it was received, by SOP Instance UID, in the order of the headers.

    Raises ArchiveError where the headers do not fit the manifest.
    """
    manifest = opened.manifest
    try:
        uids = [identity(before)[1] for before, _ in decode_headers(opened.archive.headers)]
    except SeriesError as error:
        raise ArchiveError(f"A header of the archive is damaged: {error.message}") from error
    if len(uids) != manifest.instances:
        raise ArchiveError(f"The archive holds {len(uids)} headers for {manifest.instances} sources.")
    if len(set(uids)) != len(uids):
        raise ArchiveError("The archive holds two instances with the same SOP Instance UID.")
    recoded = manifest.received_sha256 or ("",) * len(uids)
    return {uid: came or sha256 for uid, sha256, came in zip(uids, manifest.sha256, recoded, strict=True)}


def originals(
    manifest: Manifest, headers: Sequence[tuple[bytes, bytes]], sources: Sequence[int], values: NDArray[Any], slices: Sequence[int]
) -> Iterator[Restored]:
    """Some originals of a lossless archive, out of the slices that they lie in; values: (T, len(slices), Y, X).

    headers: of all sources. Raises ArchiveError where a header is damaged.
    """
    for source, value in zip(sources, values_of(manifest.geometry, sources, values, slices), strict=True):
        before, after = headers[source]
        try:
            yield _original(manifest, source, before, value, after)
        except SeriesError as error:
            raise ArchiveError(f"Header {source + 1} of the archive is damaged: {error.message}") from error


def check_payload(manifest: Manifest, shape: tuple[int, ...], dtype: str) -> None:
    """Raises ArchiveError where the payload holds another volume than the manifest describes."""
    geometry = manifest.geometry
    if shape != geometry.shape or dtype != geometry.dtype:
        raise ArchiveError(f"The payload holds {dtype} {shape}; the manifest says {geometry.dtype} {geometry.shape}.")


def _original(manifest: Manifest, source: int, before: bytes, value: bytes, after: bytes) -> Restored:
    data = b"".join((before, value, after))
    syntax, start = read_meta(before)
    sop_class_uid, sop_instance_uid = identity(before)
    sha256 = hashlib.sha256(memoryview(data)[start:]).hexdigest()
    state: State = "recoded" if manifest.recoded(source) else "restored"
    if sha256 != manifest.sha256[source]:
        state, data = "damaged", b""
    return Restored(sop_class_uid, sop_instance_uid, sop_instance_uid, syntax, data, sha256, state)


def _derived(before: bytes, value: bytes, after: bytes, loss: Loss) -> Restored:
    data = derive(b"".join((before, value, after)), loss)
    syntax, start = read_meta(data)
    sop_class_uid, sop_instance_uid = identity(data)
    sha256 = hashlib.sha256(memoryview(data)[start:]).hexdigest()
    return Restored(sop_class_uid, sop_instance_uid, identity(before)[1], syntax, data, sha256, "derived")


def _loss(opened: Opened, values: NDArray[Any]) -> Loss:
    manifest = opened.manifest
    return Loss(
        archive_uid=opened.archive.uid,
        created=opened.archive.created,
        kind=manifest.kind,
        ratio=sum(manifest.geometry.lengths) / max(1, manifest.payload_bytes),
        max_error=manifest.max_error,
        psnr_db=manifest.psnr_db,
        smallest=int(values.min()),
        largest=int(values.max()),
    )
