from __future__ import annotations

import io
from datetime import datetime
from typing import Any

import pytest
from pydicom import dcmread, dcmwrite

from hexdicom.dicom.archive import ArchiveFile, build, is_archive_object, join, read_part
from hexdicom.dicom.headers import Header
from hexdicom.dicom.pixels import locate_pixel_data
from hexdicom.dicom.private import CREATOR, GROUP
from hexdicom.dicom.uids import archive_series_uid
from hexdicom.errors import ArchiveError

NOW = datetime(2026, 1, 2, 3, 4, 5)
REFERENCES = [("1.2.840.10008.5.1.4.1.1.4", f"1.2.3.{k}") for k in range(5)]
MANIFEST, HEADERS, PAYLOAD = b"manifest!", b"headers", bytes(range(256)) * 4 + b"x"


def header(ds: Any, series: Any) -> Header:
    file = series.part10(ds)
    span = locate_pixel_data(file)
    return Header(file[: span.start], file[span.end :], span.data_set, span.transfer_syntax_uid)


def parts(series: Any, *, largest_part: int = 1 << 20, payload: bytes = PAYLOAD, **attributes: Any) -> list[ArchiveFile]:
    source = header(series.image(series.noise((4, 4)), 1, **attributes), series)
    return list(
        build(
            source, REFERENCES, MANIFEST, HEADERS, payload, source_series_uid="1.2.3", now=NOW, largest_part=largest_part
        )
    )  # fmt: skip


def test_an_archive_object_says_what_it_is(series: Any) -> None:
    attributes = {
        "PatientName": "Müller^Jörg", "SpecificCharacterSet": "ISO_IR 100", "PatientID": "7", "StudyDate": "20260101",
        "SeriesNumber": 12, "Manufacturer": "Scanner", "BodyPartExamined": "HEART", "SeriesDescription": "cine " * 12,
    }  # fmt: skip
    [part] = parts(series, **attributes)
    ds = dcmread(io.BytesIO(part.data))
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert (ds.SOPClassUID.name, ds.Modality, ds.Manufacturer) == ("Raw Data Storage", "OT", "hexdicom")
    assert ds.SOPInstanceUID == part.sop_instance_uid
    assert ds.SeriesInstanceUID == archive_series_uid("1.2.826.0.1.3680043.8.498.7.3")
    assert (ds.PatientName, ds.PatientID, ds.StudyDate) == ("Müller^Jörg", "7", "20260101")
    assert ds.SeriesDescription.startswith("hexdicom archive: cine")
    assert len(ds.SeriesDescription) <= 64
    assert (ds.ContentDate, ds.ContentTime[:6], ds.SeriesNumber) == ("20260102", "030405", 9012)
    assert [
        (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID)) for item in ds.ReferencedInstanceSequence
    ] == REFERENCES
    assert ds.ReferencedInstanceSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "121320"
    assert ds.ContributingEquipmentSequence[0].Manufacturer == "Scanner"
    declared = ds.PrivateDataElementCharacteristicsSequence[0]
    assert (declared.PrivateGroupReference, declared.PrivateCreatorReference) == (GROUP, CREATOR)
    assert declared.BlockIdentifyingInformationStatus == "UNSAFE"


def test_an_archive_object_is_read_back(series: Any) -> None:
    [part] = parts(series)
    assert is_archive_object(part.data)
    archive = join([read_part(part.data)])
    assert (archive.manifest, archive.headers, archive.payload) == (MANIFEST, HEADERS, PAYLOAD)
    assert (archive.uid, archive.created) == (part.sop_instance_uid, "20260102030405")


def test_the_same_contents_have_the_same_uids(series: Any) -> None:
    [one], [again], [other] = parts(series), parts(series), parts(series, payload=b"another")
    assert one.sop_instance_uid == again.sop_instance_uid != other.sop_instance_uid


def test_parts_come_together_in_any_order(series: Any) -> None:
    files = parts(series, largest_part=100)
    assert len(files) == 11
    read = [read_part(file.data) for file in files]
    assert join(read[::-1]).payload == PAYLOAD
    assert join([*read, read[3]]).payload == PAYLOAD
    assert len({file.sop_instance_uid for file in files}) == 11
    with pytest.raises(ArchiveError, match="Of the 11 parts of the archive, 2 are missing: 1, 5"):
        join([*read[1:4], *read[5:]])


def test_parts_of_different_archives_stay_apart(series: Any) -> None:
    source = header(series.image(series.noise((4, 4)), 1), series)
    other = build(source, REFERENCES, b"other manifest", HEADERS, PAYLOAD, source_series_uid="1.2.3", now=NOW, largest_part=100)
    read = [read_part(file.data) for file in parts(series, largest_part=100)]
    with pytest.raises(ArchiveError, match="different archives"):
        join([*read[:-1], read_part(list(other)[-1].data)])
    with pytest.raises(ArchiveError, match="no archive object"):
        join([])


@pytest.mark.parametrize("block", [0x10, 0x11, 0xFF])
@pytest.mark.parametrize("group", [GROUP, 0x1F01])
@pytest.mark.parametrize("unknown", [False, True])
def test_the_block_is_found_wherever_a_peer_moved_it(series: Any, block: int, group: int, unknown: bool) -> None:
    [part] = parts(series)
    ds = dcmread(io.BytesIO(part.data))
    elements = [element for element in ds if element.tag.group == GROUP]
    for element in elements:
        del ds[element.tag]
        moved = block if element.tag.element == 0x10 else block << 8 | element.tag.element & 0xFF
        value = element.value
        if unknown:
            value = value.to_bytes(4, "little") if isinstance(value, int) else value.encode() if isinstance(value, str) else value
        ds.add_new((group, moved), "UN" if unknown else element.VR, value)
    if block != 0x10:
        ds.add_new((group, 0x10), "LO", "SOMEBODY ELSE")
    out = io.BytesIO()
    ds.save_as(out)
    assert join([read_part(out.getvalue())]).payload == PAYLOAD


@pytest.mark.parametrize("syntax", [1, 2])
def test_another_transfer_syntax_is_read(series: Any, syntax: int) -> None:
    [part] = parts(series)
    ds = dcmread(io.BytesIO(part.data))
    ds.file_meta.TransferSyntaxUID = series.syntaxes[syntax]
    out = io.BytesIO()
    for _ in ds.iterall():
        pass  # decoded, so that numbers are turned on writing
    dcmwrite(out, ds, implicit_vr=syntax == 1, little_endian=syntax != 2)
    assert join([read_part(out.getvalue())]).payload == PAYLOAD


def test_what_is_not_an_archive_object_is_refused(series: Any) -> None:
    plain = series.part10(series.image(series.noise((4, 4)), 1))
    assert not is_archive_object(plain)
    assert not is_archive_object(b"not DICOM")
    with pytest.raises(ArchiveError, match="not an archive object"):
        read_part(plain)
    with pytest.raises(ArchiveError, match="cannot be read"):
        read_part(b"not DICOM")
