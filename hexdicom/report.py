"""What the pipeline did, as data: the answers of `hexdicom compress`, `restore`, `verify` and `inspect`.

`to_json` gives exactly the fields of docs/cli-json.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from hexdicom.codec import EncodeReport, Info
    from hexdicom.dicom.plan import PassedThrough


@dataclass(frozen=True, slots=True)
class GroupReport:
    """One 4-D group that was archived, written and proved.

    source_bytes: of the files. pixel_bytes: of the stored values. archive_bytes: of the archive objects.
    header_bytes: what the headers cost: manifest (with the digests) and header table, as they lie in the archive.
    verify_seconds: reading back, decoding and comparing every data set (lossy: and the codec's own check).
    archives: one file per part; uid: SOP Instance UID of the first.
    """

    series_instance_uid: str
    uid: str
    instances: int
    source_bytes: int
    pixel_bytes: int
    archive_bytes: int
    header_bytes: int
    encoding: EncodeReport
    verify_seconds: float
    archives: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        encoding = self.encoding
        return {
            "series_instance_uid": self.series_instance_uid,
            "shape": list(encoding.shape),
            "instances": self.instances,
            "source_bytes": self.source_bytes,
            "pixel_bytes": self.pixel_bytes,
            "archive_bytes": self.archive_bytes,
            "payload_bytes": encoding.bytes,
            "bits_per_voxel": encoding.bits_per_voxel,
            "layers": [{"name": layer.name, "bytes": layer.bytes} for layer in encoding.layers],
            "header_bytes": self.header_bytes,
            "profile": encoding.profile,
            "max_error": encoding.max_error,
            "psnr_db": encoding.psnr_db,
            "worst_frame_psnr_db": encoding.worst_frame_psnr_db,
            "ssim": encoding.ssim,
            "device": encoding.device,
            "fit_seconds": encoding.fit_seconds,
            "encode_seconds": encoding.encode_seconds,
            "verify_seconds": self.verify_seconds,
            "archive": str(self.archives[0]),
        }


@dataclass(frozen=True, slots=True)
class CompressReport:
    """copies: where each of `passed_through` was put, in the same order."""

    series: tuple[GroupReport, ...]
    passed_through: tuple[PassedThrough, ...]
    copies: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "series": [group.to_json() for group in self.series],
            "passed_through": [{"path": str(one.path), "reason": one.reason} for one in self.passed_through],
        }


@dataclass(frozen=True, slots=True)
class RestoredInstance:
    """state: `restored`, `recoded`, `derived`, `damaged` as in hexdicom.dicom.restore; `enhanced`: made of all instances
    of an archive; `untouched`: a file that was never compressed.

    path: None where it was not written. sha256: of the data set. identical: the same data set as was received or, for
    recoded ones, the same attributes and pixels.
    """

    sop_instance_uid: str
    path: Path | None
    sha256: str
    identical: bool
    state: str


@dataclass(frozen=True, slots=True)
class SourceProof:
    """What an archive gives back of one of its sources.

    received_sha256: of the data set that was archived. state: as in RestoredInstance; `restored` is that data set, `recoded`
    has the same attributes and pixels, `derived` is another image, of `damaged` there is none. data_set: without file meta.
    """

    sop_instance_uid: str
    received_sha256: str
    state: str
    data_set: bytes


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """problems: one sentence for each archive that could not be read."""

    instances: tuple[RestoredInstance, ...]
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not (self.damaged or self.problems)

    @property
    def damaged(self) -> tuple[RestoredInstance, ...]:
        """What could not be given back."""
        return tuple(one for one in self.instances if one.state == "damaged")

    def to_json(self) -> dict[str, Any]:
        return {
            "instances": [
                {
                    "sop_instance_uid": one.sop_instance_uid,
                    "path": None if one.path is None else str(one.path),
                    "sha256": one.sha256,
                    "identical": one.identical,
                    "state": one.state,
                }
                for one in self.instances
            ],
            "problems": list(self.problems),
        }


@dataclass(frozen=True, slots=True)
class VerifiedArchive:
    """problems: one sentence for each thing that is wrong. compared: instances that were compared with originals."""

    uid: str
    archives: tuple[Path, ...]
    instances: int
    lossless: bool
    compared: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerifyReport:
    archives: tuple[VerifiedArchive, ...]

    @property
    def ok(self) -> bool:
        return not any(one.problems for one in self.archives)

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "archives": [
                {
                    "uid": one.uid,
                    "archive": str(one.archives[0]),
                    "instances": one.instances,
                    "lossless": one.lossless,
                    "compared": one.compared,
                    "problems": list(one.problems),
                }
                for one in self.archives
            ],
        }


@dataclass(frozen=True, slots=True)
class ArchiveInfo:
    """What an archive says of itself, without decoding its pixels."""

    uid: str
    archive_series_uid: str
    study_instance_uid: str
    series_instance_uid: str
    modality: str
    created: str
    writer: str
    instances: int
    parts: int
    profile: str
    kind: str
    max_error: int
    psnr_db: float | None
    worst_frame_psnr_db: float | None
    ssim: float | None
    time_key: str
    notes: tuple[str, ...]
    archive_bytes: int
    header_bytes: int
    payload_bytes: int
    pixel_bytes: int
    info: Info

    def to_json(self) -> dict[str, Any]:
        t, z, y, x = self.info.shape
        return {
            "uid": self.uid,
            "archive_series_uid": self.archive_series_uid,
            "study_instance_uid": self.study_instance_uid,
            "series_instance_uid": self.series_instance_uid,
            "modality": self.modality,
            "created": self.created,
            "writer": self.writer,
            "shape": [t, z, y, x],
            "dtype": self.info.dtype,
            "instances": self.instances,
            "parts": self.parts,
            "profile": self.profile,
            "kind": self.kind,
            "lossless": self.kind == "lossless",
            "max_error": self.max_error,
            "psnr_db": self.psnr_db,
            "worst_frame_psnr_db": self.worst_frame_psnr_db,
            "ssim": self.ssim,
            "time_key": self.time_key,
            "notes": list(self.notes),
            "archive_bytes": self.archive_bytes,
            "header_bytes": self.header_bytes,
            "payload_bytes": self.payload_bytes,
            "pixel_bytes": self.pixel_bytes,
            "bits_per_voxel": 8 * self.payload_bytes / (t * z * y * x),
            "layers": [{"name": layer.name, "bytes": layer.bytes} for layer in self.info.layers],
        }
