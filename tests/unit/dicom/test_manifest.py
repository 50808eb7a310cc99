from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from hexdicom.dicom.geometry import Geometry
from hexdicom.dicom.manifest import MAGIC, Manifest, decode_manifest, encode_manifest
from hexdicom.dicom.plan import FrameRef
from hexdicom.dicom.streams import Reader, Writer
from hexdicom.errors import ArchiveError

GEOMETRY = Geometry((2, 1, 3, 4), "int16", (1, 1), (FrameRef(0, 0), FrameRef(1, 0)), (24, 24), (False, False))
MANIFEST = Manifest(
    study_instance_uid="1.2",
    series_instance_uid="1.3",
    modality="MR",
    time_key="TriggerTime",
    time_values=("0", "40.5"),
    component="magnitude",
    notes=("RescaleSlope differs per phase",),
    kind="lossless",
    profile="lossless",
    max_error=0,
    psnr_db=None,
    geometry=GEOMETRY,
    sha256=("ab" * 32, "cd" * 32),
    recoded_from=(),
    received_sha256=(),
    headers_sha256="ef" * 32,
    payload_sha256="01" * 32,
    payload_bytes=77,
)


def tampered(**fields: Any) -> bytes:
    reader = Reader(encode_manifest(MANIFEST))
    reader.raw(len(MAGIC))
    found = json.loads(reader.stream(1 << 20)) | fields
    writer = Writer()
    writer.raw(MAGIC)
    writer.stream(json.dumps(found).encode())
    return writer.bytes()


def test_a_manifest_comes_back() -> None:
    for manifest in (
        MANIFEST,
        replace(MANIFEST, kind="lossy", profile="tiny", psnr_db=41.5, recoded_from=("1.2", ""), received_sha256=("a", "")),
    ):
        assert decode_manifest(encode_manifest(manifest)) == manifest
    assert MANIFEST.lossless
    assert not MANIFEST.recoded(0)


def test_the_same_sources_give_the_same_manifest() -> None:
    assert encode_manifest(MANIFEST) == encode_manifest(replace(MANIFEST))


@pytest.mark.parametrize(
    "fields",
    [
        {"format": 2},
        {"geometry": None},
        {"geometry": {"shape": [1, 2]}},
        {"kind": "magic"},
        {"sha256": "abc"},
        {"sha256": ["ab"]},
        {"recoded_from": ["1.2"]},
        {"received_sha256": [1, 2]},
        {"payload_bytes": -1},
        {"payload_bytes": True},
        {"payload_bytes": 1 << 60},
        {"max_error": 1.5},
        {"psnr_db": "high"},
        {"notes": {}},
        {"profile": None},
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ArchiveError):
        decode_manifest(tampered(**fields))


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"[" * 100_000, b"\xff", b"1" * 10_000])
def test_what_is_not_a_manifest_is_refused(text: bytes) -> None:
    writer = Writer()
    writer.raw(MAGIC)
    writer.stream(text)
    with pytest.raises(ArchiveError):
        decode_manifest(writer.bytes())
    with pytest.raises(ArchiveError):
        decode_manifest(text)
