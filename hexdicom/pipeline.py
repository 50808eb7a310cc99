"""Files to archive objects and back, with proof. The only module that knows both codec and DICOM.

    compress(files) -> archive objects + untouched copies      restore(archive objects) -> files
    verify(archive objects), describe(archive object)          restored_instances(archive objects) -> for sending
    proofs(archive objects) -> what each source comes back as

An archive is never reported before it was read back from where it is stored, decoded, and compared with its sources.
"""

from __future__ import annotations

import hashlib
import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

from hexdicom import codec, durable
from hexdicom.dicom import shelf
from hexdicom.dicom.archive import LARGEST_PART, build
from hexdicom.dicom.assemble import assemble, geometry_of
from hexdicom.dicom.enhanced import enhanced
from hexdicom.dicom.folder import require_dicom, scan
from hexdicom.dicom.geometry import source_values
from hexdicom.dicom.headers import encode_headers
from hexdicom.dicom.manifest import Manifest, encode_manifest
from hexdicom.dicom.pixels import read_meta
from hexdicom.dicom.plan import PassedThrough
from hexdicom.dicom.received import Received, data_set_sha256, identity, read_received
from hexdicom.dicom.restore import Opened, Restored, check_payload, instances, open_archive
from hexdicom.dicom.series import plan_files
from hexdicom.dicom.verify import by_instance_uid, check_error, data_set_difference, difference
from hexdicom.errors import ArchiveError, BitstreamError, HexdicomError, NotFound, SeriesError, VerificationError, VolumeError
from hexdicom.report import (
    ArchiveInfo,
    CompressReport,
    GroupReport,
    RestoredInstance,
    RestoreReport,
    SourceProof,
    VerifiedArchive,
    VerifyReport,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

    from hexdicom.codec import Profile, Progress
    from hexdicom.dicom.plan import SeriesPlan
    from hexdicom.volume import CineVolume

log = logging.getLogger(__name__)

PASSED_THROUGH = "passed-through"


def compress(
    sources: Sequence[Path],
    out: Path,
    profile: Profile,
    *,
    now: datetime,
    device: str = "auto",
    progress: Progress | None = None,
) -> CompressReport:
    """Archive every 4-D group below `sources` in the folder `out`; all other files are copied to out/passed-through.

    A group that cannot be archived exactly is passed through as well, with the reason. What an earlier run left in `out`
    is not taken for a source. Raises NotFound, also where no DICOM file is, ProfileError, StoreError.
    """
    files = [path for path in scan(sources) if not _made_here(path, out)]
    require_dicom(files, sources)
    assembly = plan_files(files)
    reports: list[GroupReport] = []
    passed = list(assembly.passed_through)
    for group in assembly.groups:
        try:
            reports.append(compress_group(group, out, profile, now=now, device=device, progress=progress))
        except (SeriesError, VolumeError, BitstreamError, ArchiveError, VerificationError) as error:
            level = logging.INFO if isinstance(error, SeriesError) else logging.ERROR
            log.log(level, "series %s is passed through: %s", group.series_instance_uid, error.message,
                    extra={"event": "series.passed_through"})  # fmt: skip
            passed += [
                PassedThrough(path, error.message, group.series_instance_uid, uid)
                for path, uid in zip(group.sources, group.sop_instance_uids, strict=True)
            ]
    copies = [pass_through(one, out) for one in passed]
    return CompressReport(tuple(reports), tuple(passed), tuple(copies))


def pass_through(one: PassedThrough, out: Path) -> Path:
    """Copy a file untouched to out/passed-through. Raises StoreError."""
    with durable.on_disk(one.path):
        data = one.path.read_bytes()
    name = one.path.name if not one.sop_instance_uid else shelf.file_name(one.sop_instance_uid, data)
    return durable.place(out / PASSED_THROUGH, name, data)


def compress_group(
    plan: SeriesPlan,
    out: Path,
    profile: Profile,
    *,
    now: datetime,
    device: str = "auto",
    progress: Progress | None = None,
    largest_part: int = LARGEST_PART,
) -> GroupReport:
    """Archive one group as files <SOP Instance UID>.dcm in `out`, and prove that they give every source back.

    Done again with the same sources and bitstream, it finds its files there and leaves them as they are. Raises SeriesError
    where a source would not come back exactly, VerificationError where it did not (then nothing is left in `out`),
    StoreError, and what the codec raises.
    """
    with durable.on_disk(plan.sources[0].parent):
        volume = assemble(plan)
        geometry = geometry_of(plan)
        pixels = source_values(geometry, volume.values)
        received = [read_received(path, value) for path, value in zip(plan.sources, pixels, strict=True)]
        source_bytes = sum(path.stat().st_size for path in plan.sources)
    headers = encode_headers([one.header for one in received])
    # `_prove` decodes what is stored; only what is lossy it cannot compare with the sources
    encoded = codec.encode(volume, profile, device=device, verify=profile.kind == "lossy", progress=progress)
    recoded = any(one.recoded_from for one in received)
    manifest = Manifest(
        study_instance_uid=plan.study_instance_uid,
        series_instance_uid=plan.series_instance_uid,
        modality=plan.modality,
        time_key=plan.time_key,
        time_values=plan.time_values,
        component=plan.component,
        notes=plan.notes,
        kind=profile.kind,
        profile=profile.name,
        max_error=encoded.report.max_error,
        psnr_db=encoded.report.psnr_db,
        worst_frame_psnr_db=encoded.report.worst_frame_psnr_db,
        ssim=encoded.report.ssim,
        geometry=geometry,
        sha256=tuple(one.sha256 for one in received),
        recoded_from=tuple(one.recoded_from for one in received) if recoded else (),
        received_sha256=tuple(one.received_sha256 if one.recoded_from else "" for one in received) if recoded else (),
        headers_sha256=hashlib.sha256(headers).hexdigest(),
        payload_sha256=hashlib.sha256(encoded.bitstream).hexdigest(),
        payload_bytes=len(encoded.bitstream),
    )
    described = encode_manifest(manifest)
    parts = build(
        received[0].header,
        [(one.sop_class_uid, one.sop_instance_uid) for one in received],
        described,
        headers,
        encoded.bitstream,
        source_series_uid=plan.series_instance_uid,
        now=now,
        largest_part=largest_part,
    )
    paths = [shelf.store(part, out) for part in parts]
    started = perf_counter()
    try:
        opened = open_archive([shelf.read(path) for path in paths])
        _prove(opened, plan, volume, received, device, progress)
    except HexdicomError:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
    report = GroupReport(
        series_instance_uid=plan.series_instance_uid,
        uid=opened.archive.uid,
        instances=len(received),
        source_bytes=source_bytes,
        pixel_bytes=volume.values.nbytes,
        archive_bytes=sum(path.stat().st_size for path in paths),
        header_bytes=len(described) + len(headers),
        encoding=encoded.report,
        verify_seconds=encoded.report.verify_seconds + perf_counter() - started,
        archives=tuple(paths),
    )
    log.info("archive %s gives back every instance", report.uid, extra={"event": "archive.proved"})
    return report


def restore(
    archives: Sequence[Path],
    out: Path,
    *,
    as_: Literal["original", "enhanced"] = "original",
    now: datetime,
    device: str = "auto",
    progress: Progress | None = None,
) -> RestoreReport:
    """Give back every instance of the archives in these files and folders, as <SOP Instance UID>.dcm in `out`.

    Other files of a folder are copied untouched (but for those in `out`), so the folder that `compress` wrote gives
    everything back. An instance
    that is not what was archived is reported as `damaged` and not written; an archive that cannot be read stands in
    `problems`, and the others are restored. A file that is there with the same bytes is left; one with other bytes is kept,
    and the new one gets a number.

    Raises NotFound, StoreError; ArchiveError or BitstreamError where nothing could be restored.
    """
    done: list[RestoredInstance] = []
    failed: list[HexdicomError] = []
    found = shelf.found(archives)
    for paths in found.groups:
        try:
            opened, values = _decoded(paths, device, progress)
            if as_ == "enhanced":
                done.append(_restore_enhanced(opened, values, out, now))
            else:
                done += [_restore_one(one, out) for one in instances(opened, values)]
        except (ArchiveError, BitstreamError, SeriesError, VolumeError) as error:
            failed.append(error)
    failed += [error for _, error in found.damaged]
    here = out.resolve()
    inside = any(here.is_relative_to(path.resolve()) for path in archives)  # then what is in `out` is no source
    others = [path for path in found.others if not (inside and path.resolve().is_relative_to(here))]
    done += [_copy_untouched(path, out) for path in others]
    if failed and not done:
        raise failed[0]
    return RestoreReport(tuple(done), tuple(map(str, failed)))


def restored_instances(
    archives: Sequence[Path], *, device: str = "auto", progress: Progress | None = None
) -> Iterator[tuple[str, str, str, bytes]]:
    """(SOP Class UID, SOP Instance UID, transfer syntax UID, Part 10 file) of every instance, for sending.

    Raises as `restore`, and VerificationError after the last sound instance where others were damaged.
    """
    damaged = []
    found = shelf.found(archives)
    for paths in found.groups:
        opened, values = _decoded(paths, device, progress)
        for one in instances(opened, values):
            if one.state == "damaged":
                damaged.append(one.sop_instance_uid)
            else:
                yield one.sop_class_uid, one.sop_instance_uid, one.transfer_syntax_uid, one.data
    for _, error in found.damaged:
        raise error
    if damaged:
        raise VerificationError(f"{len(damaged)} instances are damaged in the archive: {', '.join(damaged[:5])}.")


def proofs(archives: Sequence[Path], *, device: str = "auto", progress: Progress | None = None) -> Iterator[SourceProof]:
    """Decode these archives, and compare every source with its SHA-256. Raises as `restore` where one cannot be read."""
    found = shelf.found(archives)
    for _, error in found.damaged:
        raise error
    for paths in found.groups:
        opened, values = _decoded(paths, device, progress)
        manifest = opened.manifest
        for number, one in enumerate(instances(opened, values)):
            received = manifest.received_sha256[number] if manifest.recoded(number) else manifest.sha256[number]
            start = read_meta(one.data)[1] if one.data else 0
            yield SourceProof(one.source_sop_instance_uid, received, one.state, one.data[start:])


def verify(
    archives: Sequence[Path], against: Path | None = None, *, device: str = "auto", progress: Progress | None = None
) -> VerifyReport:
    """Decode every archive and prove every data set by its SHA-256; `against`: a folder of originals to compare with.

    What is wrong is in the report, also where an archive cannot be read. Raises NotFound, also where no archive object is.
    """
    originals = by_instance_uid(scan([against])) if against else None
    found = shelf.found(archives)
    if not found.groups and not found.damaged:
        raise NotFound(f"There is no archive object at {', '.join(map(str, archives))}.", hint="Check the path.")
    out = [VerifiedArchive("", (path,), 0, False, 0, (str(error),)) for path, error in found.damaged]
    out += [_verify_one(paths, originals, device, progress) for paths in found.groups]
    return VerifyReport(tuple(out))


def describe(archive: Path) -> ArchiveInfo:
    """What an archive says of itself; all its parts must lie beside `archive`, or below it. Raises as `restore`."""
    found = shelf.found([archive])
    for _, error in found.damaged:
        raise error
    if len(found.groups) != 1:
        raise ArchiveError(f"{archive} holds {len(found.groups)} archives.", hint="Name the one to inspect.")
    paths = found.groups[0]
    opened = open_archive([shelf.read(path) for path in paths])
    manifest, payload = opened.manifest, opened.archive.payload
    return ArchiveInfo(
        uid=opened.archive.uid,
        archive_series_uid=opened.archive.series_instance_uid,
        study_instance_uid=manifest.study_instance_uid,
        series_instance_uid=manifest.series_instance_uid,
        modality=manifest.modality,
        created=opened.archive.created,
        writer=manifest.writer,
        instances=manifest.instances,
        parts=len(paths),
        profile=manifest.profile,
        kind=manifest.kind,
        max_error=manifest.max_error,
        psnr_db=manifest.psnr_db,
        worst_frame_psnr_db=manifest.worst_frame_psnr_db,
        ssim=manifest.ssim,
        time_key=manifest.time_key,
        notes=manifest.notes,
        archive_bytes=sum(path.stat().st_size for path in paths),
        header_bytes=len(opened.archive.manifest) + len(opened.archive.headers),
        payload_bytes=len(payload),
        pixel_bytes=sum(manifest.geometry.lengths),
        info=codec.inspect(payload),
    )


def _made_here(path: Path, out: Path) -> bool:
    """An archive object or a copy that is there from an earlier run, complete or not."""
    if path.resolve().is_relative_to((out / PASSED_THROUGH).resolve()):
        return True
    return path.parent.resolve() == out.resolve() and (durable.is_partial(path) or shelf.is_archive(path))


def _prove(
    opened: Opened,
    plan: SeriesPlan,
    volume: CineVolume,
    received: Sequence[Received],
    device: str,
    progress: Progress | None,
) -> None:
    """Decode what was stored and compare it with the sources, as they lie on disk. Raises VerificationError."""
    values = codec.decode(opened.archive.payload, device=device, progress=progress).values
    manifest = opened.manifest
    if manifest.kind != "lossy":
        check_error(volume.values, values, manifest.max_error)
    for one, path, source in zip(instances(opened, values), plan.sources, received, strict=True):
        if manifest.lossless:
            with durable.on_disk(path):
                wrong = difference(path, one)
            if wrong or one.sha256 != source.sha256:
                raise VerificationError(f"Instance {one.sop_instance_uid} came back wrong: {wrong or 'its SHA-256'}.")
        elif one.state != "derived" or one.source_sop_instance_uid != source.sop_instance_uid:
            raise VerificationError(f"Instance {source.sop_instance_uid} came back as another one.")


def _restore_one(one: Restored, out: Path) -> RestoredInstance:
    path = None
    if one.state == "damaged":
        log.error("instance %s is damaged", one.sop_instance_uid, extra={"event": "instance.damaged"})
    else:
        path = durable.place(out, shelf.file_name(one.sop_instance_uid, one.data), one.data)
    return RestoredInstance(one.sop_instance_uid, path, one.sha256, one.identical, one.state)


def _restore_enhanced(opened: Opened, values: NDArray[Any], out: Path, now: datetime) -> RestoredInstance:
    restored = list(instances(opened, values))
    for one in restored:
        if one.state == "damaged":
            raise ArchiveError(f"Instance {one.sop_instance_uid} is damaged, so no enhanced object can be made.")
    uid, data = enhanced(restored, opened.manifest.geometry, opened.manifest.series_instance_uid, opened.archive.uid, now)
    path = durable.place(out, shelf.file_name(uid, data), data)
    return RestoredInstance(uid, path, data_set_sha256(data), False, "enhanced")


def _copy_untouched(path: Path, out: Path) -> RestoredInstance:
    with durable.on_disk(path):
        data = path.read_bytes()
    try:
        uid, sha256 = identity(data)[1], data_set_sha256(data)
    except SeriesError:
        uid, sha256 = "", hashlib.sha256(data).hexdigest()
    return RestoredInstance(uid, durable.place(out, path.name, data), sha256, True, "untouched")


def _verify_one(
    paths: Sequence[Path], originals: dict[str, Path] | None, device: str, progress: Progress | None
) -> VerifiedArchive:
    uid, count, compared, lossless = "", 0, 0, False
    problems: list[str] = []
    try:
        opened, values = _decoded(paths, device, progress)
        uid, lossless = opened.archive.uid, opened.manifest.lossless
        for one in instances(opened, values):
            count += 1
            wrong = "its SHA-256 is not the archived one" if one.state == "damaged" else ""
            if originals is not None and lossless and not wrong:
                original = originals.get(one.sop_instance_uid)
                compared += original is not None
                wrong = data_set_difference(original, one) if original else "there is no such original"
            if wrong:
                problems.append(f"{one.source_sop_instance_uid}: {wrong}")
    except (ArchiveError, BitstreamError, VolumeError) as error:
        problems.append(str(error))
    return VerifiedArchive(uid, tuple(paths), count, lossless, compared, tuple(problems))


def _decoded(paths: Sequence[Path], device: str, progress: Progress | None) -> tuple[Opened, NDArray[Any]]:
    opened = open_archive([shelf.read(path) for path in paths])
    info = codec.inspect(opened.archive.payload)
    check_payload(opened.manifest, info.shape, info.dtype)  # before a volume of that size is made
    return opened, codec.decode(opened.archive.payload, device=device, progress=progress).values
