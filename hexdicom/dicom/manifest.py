"""What an archive says of itself, as JSON: how to make the sources from the payload, and how to prove that they are right.

It holds no time and nothing random, so the same sources give the same manifest. UIDs, descriptions and everything else that
stands in the sources is in the headers and not repeated here. Fields: docs/format.md, "Manifest".
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from hexdicom import __version__
from hexdicom.dicom.geometry import Geometry
from hexdicom.dicom.streams import Reader, Writer
from hexdicom.errors import ArchiveError

MAGIC: Final = b"HXM1"
FORMAT: Final = 1
_LARGEST: Final = 1 << 26
_KINDS: Final = ("lossless", "near-lossless", "lossy")


@dataclass(frozen=True, slots=True)
class Manifest:
    """kind, profile, max_error, psnr_db: how the values were coded; psnr_db None where they are exact. max_error is the
    largest error that there is. worst_frame_psnr_db, ssim: None there too, and in older manifests.

    sha256: of the data set of each source, in the order of the headers; for recoded ones, as a restore writes it.
    recoded_from: transfer syntax of each source that came compressed, else ""; empty where none did.
    received_sha256: of those data sets as they came; "" for the others.
    headers_sha256, payload_sha256, payload_bytes: of what lies beside the manifest.
    """

    study_instance_uid: str
    series_instance_uid: str
    modality: str
    time_key: str
    time_values: tuple[str, ...]
    component: str
    notes: tuple[str, ...]
    kind: str
    profile: str
    max_error: int
    psnr_db: float | None
    geometry: Geometry
    sha256: tuple[str, ...]
    recoded_from: tuple[str, ...]
    received_sha256: tuple[str, ...]
    headers_sha256: str
    payload_sha256: str
    payload_bytes: int
    writer: str = f"hexdicom {__version__}"
    worst_frame_psnr_db: float | None = None
    ssim: float | None = None

    @property
    def lossless(self) -> bool:
        return self.kind == "lossless"

    @property
    def instances(self) -> int:
        return len(self.sha256)

    def recoded(self, source: int) -> bool:
        return bool(self.recoded_from and self.recoded_from[source])


def encode_manifest(manifest: Manifest) -> bytes:
    fields = asdict(manifest) | {"format": FORMAT, "geometry": manifest.geometry.to_json()}
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    writer = Writer()
    writer.raw(MAGIC)
    writer.stream(text.encode())
    return writer.bytes()


def decode_manifest(data: bytes) -> Manifest:
    """Read a manifest that nobody vouches for. Raises ArchiveError."""
    reader = Reader(data)
    if reader.raw(len(MAGIC)) != MAGIC:
        raise ArchiveError("The manifest of the archive object is not in a form that this version reads.")
    text = reader.stream(_LARGEST)
    reader.end()
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArchiveError("The manifest of the archive object is not JSON.") from error
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise ArchiveError("The manifest of the archive object has another format.", hint="Use a later hexdicom.")
    manifest = Manifest(
        geometry=Geometry.from_json(fields.get("geometry")),
        study_instance_uid=_text(fields, "study_instance_uid"),
        series_instance_uid=_text(fields, "series_instance_uid"),
        modality=_text(fields, "modality"),
        time_key=_text(fields, "time_key"),
        time_values=_texts(fields, "time_values"),
        component=_text(fields, "component"),
        notes=_texts(fields, "notes"),
        kind=_text(fields, "kind"),
        profile=_text(fields, "profile"),
        max_error=_whole(fields, "max_error", 1 << 16),
        psnr_db=_number(fields, "psnr_db"),
        sha256=_texts(fields, "sha256"),
        recoded_from=_texts(fields, "recoded_from"),
        received_sha256=_texts(fields, "received_sha256"),
        headers_sha256=_text(fields, "headers_sha256"),
        payload_sha256=_text(fields, "payload_sha256"),
        payload_bytes=_whole(fields, "payload_bytes", 1 << 44),
        writer=_text(fields, "writer"),
        worst_frame_psnr_db=_number(fields, "worst_frame_psnr_db"),
        ssim=_number(fields, "ssim"),
    )
    if manifest.kind not in _KINDS:
        raise ArchiveError(f"The manifest of the archive object has an unknown kind of coding, {manifest.kind[:40]!r}.")
    for listed in (manifest.recoded_from, manifest.received_sha256):
        if len(listed) not in (0, manifest.instances):
            raise ArchiveError("The manifest of the archive object counts its sources in two ways.")
    if len(manifest.geometry.lengths) != manifest.instances:
        raise ArchiveError("The manifest of the archive object counts its sources in two ways.")
    return manifest


def _field(fields: dict[str, Any], name: str, kinds: tuple[type, ...]) -> Any:
    value = fields.get(name)
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise ArchiveError(f"The manifest of the archive object has no valid {name}.")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    return str(_field(fields, name, (str,)))


def _texts(fields: dict[str, Any], name: str) -> tuple[str, ...]:
    values = _field(fields, name, (list,))
    if not all(isinstance(value, str) for value in values):
        raise ArchiveError(f"The manifest of the archive object has no valid {name}.")
    return tuple(values)


def _whole(fields: dict[str, Any], name: str, most: int) -> int:
    value = int(_field(fields, name, (int,)))
    if not 0 <= value <= most:
        raise ArchiveError(f"The manifest of the archive object has no valid {name}.")
    return value


def _number(fields: dict[str, Any], name: str) -> float | None:
    value = _field(fields, name, (int, float, type(None)))
    return None if value is None else float(value)
