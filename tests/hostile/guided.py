"""Fuzzing that follows the code: atheris (libFuzzer) changes bytes so that they reach further into the parsers.

    pip install atheris
    python -m tests.hostile.guided headers -max_total_time=600

Targets: message, identity, archive, headers, layer. What is not a clear error ends it, and leaves the bytes in a file `crash-…`.
"""

from __future__ import annotations

import io
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import atheris

with atheris.instrument_imports(include=["hexdicom", "hexdicom_services"]):
    from hexdicom import codec
    from hexdicom.codec import container
    from hexdicom.codec.container import Container, Layer
    from hexdicom.dicom.archive import read_part
    from hexdicom.dicom.headers import Header, decode_headers, encode_headers
    from hexdicom.dicom.phantom import beating_heart
    from hexdicom.dicom.restore import open_archive
    from hexdicom.errors import ArchiveError, BitstreamError
    from hexdicom_services.elements import identify
    from hexdicom_services.scp.store_messages import read_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
BITSTREAMS = [container.unpack((GOLDEN / f"{name}.hxd").read_bytes()) for name in ("sparse-wide-uint16", "v1-lossless-int8")]
SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")


def message(data: bytes) -> None:
    """The command set of a C-STORE."""
    read_request(data)


def identity(data: bytes) -> None:
    """A data set that came, its transfer syntax chosen by the first byte."""
    found = identify(data[1:], SYNTAXES[(data[:1] or b"\0")[0] % len(SYNTAXES)])
    assert all(len(text) <= 128 for text in (found.sop_instance_uid, found.study_instance_uid, found.series_instance_uid))


def archive(data: bytes) -> None:
    """An archive object."""
    with suppress(ArchiveError, BitstreamError):
        open_archive([read_part(data)])


def headers(data: bytes) -> None:
    """The tables of what is not a pixel."""
    with suppress(ArchiveError):
        for _ in decode_headers(data):
            pass


def layer(data: bytes) -> None:
    """A layer of a bitstream behind a right checksum; the first byte says which."""
    layers = [(parsed, one.kind) for parsed in BITSTREAMS for one in parsed.layers]
    parsed, kind = layers[(data[:1] or b"\0")[0] % len(layers)]
    changed = tuple(Layer(one.kind, data[1:] if one.kind == kind else one.data) for one in parsed.layers)
    with suppress(BitstreamError):
        codec.decode(container.pack(Container(parsed.shape, parsed.dtype, parsed.max_error, changed)), device="cpu")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "message": message, "identity": identity, "archive": archive, "headers": headers, "layer": layer,
}  # fmt: skip


def seeds(name: str) -> Iterator[bytes]:
    """Sound ones, to begin with."""
    files = []
    for ds in beating_heart(slices=1, phases=2, rows=16, columns=16):
        buffer = io.BytesIO()
        ds.save_as(buffer, enforce_file_format=True)
        files.append(buffer.getvalue())
    if name == "identity":
        yield from (bytes([1]) + file[file.index(b"\x08\0\x05\0") :] for file in files if b"\x08\0\x05\0" in file)
    if name == "archive":
        yield (GOLDEN / "v1-archive.dcm").read_bytes()
    if name == "headers":
        yield encode_headers([Header(file, b"", 0, SYNTAXES[1]) for file in files])
    if name == "layer":
        every = [one for parsed in BITSTREAMS for one in parsed.layers]
        yield from (bytes([number]) + one.data for number, one in enumerate(every))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds(sys.argv[1])):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], *sys.argv[2:], corpus], TARGETS[sys.argv[1]])
        atheris.Fuzz()
