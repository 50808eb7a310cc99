"""Every archive ever written stays readable: frozen bitstreams decode to what they decoded to when they were written."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hexdicom import codec, pipeline
from hexdicom.codec import container
from hexdicom.codec.network import prior
from hexdicom.codec.sparse import expectation, filters

FOLDER = Path(__file__).parent
EXPECTED = json.loads((FOLDER / "expected.json").read_text())


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_decodes_as_ever(name: str) -> None:
    decoded = codec.decode((FOLDER / f"{name}.hxd").read_bytes()).values
    digest = hashlib.sha256(decoded.astype(decoded.dtype.newbyteorder("<")).tobytes()).hexdigest()
    assert {"shape": list(decoded.shape), "dtype": decoded.dtype.name, "sha256": digest} == EXPECTED[name]


def test_archive_object_gives_back_what_it_ever_did(tmp_path: Path) -> None:
    report = pipeline.restore([FOLDER / "v1-archive.dcm"], tmp_path, now=datetime(2046, 11, 22, tzinfo=UTC))
    assert report.ok
    digests = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir())
    assert digests == json.loads((FOLDER / "expected-archive.json").read_text())


def test_every_version_and_every_layer_kind_is_frozen() -> None:
    frozen = [container.unpack((FOLDER / f"{name}.hxd").read_bytes()) for name in EXPECTED]
    assert {item.version for item in frozen} == set(range(1, container.VERSION + 1))
    assert {layer.kind for item in frozen for layer in item.layers} == set(container.LAYER_NAMES)


def test_no_frozen_bitstream_went_missing() -> None:
    assert {path.stem for path in FOLDER.glob("*.hxd")} == set(EXPECTED)


def test_the_attachment_is_as_ever() -> None:
    assert codec.attachment((FOLDER / "v1-stored-with-attachment.hxd").read_bytes()) == b"the caller's own"
    assert codec.attachment((FOLDER / "v1-lossy.hxd").read_bytes()) is None


def test_a_shipped_filter_never_changes() -> None:
    digests = {
        str(number): hashlib.sha256(
            b"".join(
                part.astype("<i4").tobytes()
                for pair in zip(filters.load(number).weights, filters.load(number).biases, strict=True)
                for part in pair
            )
            + bytes(filters.load(number).dilations) * filters.load(number).wide
        ).hexdigest()
        for number in filters.numbers()
    }
    assert digests == json.loads((FOLDER / "expected-filters.json").read_text())


def test_a_shipped_network_never_changes() -> None:
    digests = {}
    for number in expectation.numbers():
        first, positions, later, grades = expectation.load(number).arrays()
        parts = (first, positions, *later, grades)
        digests[str(number)] = hashlib.sha256(b"".join(part.astype("<i4").tobytes() for part in parts)).hexdigest()
    assert digests == json.loads((FOLDER / "expected-networks.json").read_text())


def test_a_shipped_prior_never_changes() -> None:
    """Archives name it by its number: another network under the same number would make them unreadable."""
    digests = {
        str(number): hashlib.sha256(prior.load(number).network.flat().astype("<i4").tobytes()).hexdigest()
        for number in prior.numbers()
    }
    assert digests == json.loads((FOLDER / "expected-priors.json").read_text())
