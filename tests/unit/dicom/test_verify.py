from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEGLSLossless, RLELossless

from hexdicom import pipeline
from hexdicom.codec import Profile
from hexdicom.dicom.verify import by_instance_uid, check_error
from hexdicom.errors import VerificationError

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 2, 3, 4, 5)


def test_the_largest_error_decides() -> None:
    values = np.array([-32768, 0, 32767], np.int16).reshape(1, 1, 1, 3)
    check_error(values, values.copy(), 0)
    check_error(values, values + np.array([2, -2, -1], np.int16), 2)
    with pytest.raises(VerificationError, match="error of 3"):
        check_error(values, values + np.array([2, -3, -1], np.int16), 2)
    with pytest.raises(VerificationError, match="error of 65535"):
        check_error(values, values[..., ::-1], 100)
    with pytest.raises(VerificationError, match="came back as"):
        check_error(values, values[..., :2], 0)


def test_files_are_found_by_what_they_are(series: Any, write: Any, tmp_path: Path) -> None:
    paths = []
    for number, syntax in enumerate(series.syntaxes):
        paths += write([series.image(series.noise((4, 4)), number)], syntax, prefix=f"s{number}")
    other = tmp_path / "other"
    other.write_bytes(b"text")
    assert by_instance_uid([*paths, other]) == {f"1.2.826.0.1.3680043.8.498.7.1.{k}": path for k, path in enumerate(paths)}


@pytest.mark.usefixtures("stored_codec")
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, "deflated"])
def test_compressed_sources_come_back_in_attributes_and_pixels(series: Any, write: Any, tmp_path: Path, syntax: str) -> None:
    values = series.noise((4, 2, 20, 12), "uint16") & 7
    deflated = syntax == "deflated"
    paths = write(series.cine(values), series.syntaxes[3 if deflated else 0])
    plain = {ds.SOPInstanceUID: ds.pixel_array for ds in map(dcmread, paths)}
    if not deflated:
        for path in paths:
            ds = dcmread(path)
            plugin = "pydicom" if syntax == RLELossless else "pyjpegls"
            ds.compress(syntax, generate_instance_uid=False, encoding_plugin=plugin)
            ds.save_as(path)
    report = pipeline.compress(paths, tmp_path / "out", Profile(), now=NOW)
    assert report.passed_through == ()
    restored = pipeline.restore([tmp_path / "out"], tmp_path / "back", now=NOW)
    for one in restored.instances:
        assert (one.state, one.identical) == ("recoded", True)
        assert one.path is not None
        ds = dcmread(one.path)
        assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
        assert "LossyImageCompression" not in ds
        assert (ds.pixel_array == plain[one.sop_instance_uid]).all()
    verified = pipeline.verify([tmp_path / "out"], paths[0].parent)
    assert verified.ok
    assert verified.archives[0].compared == 8
    ds = dcmread(paths[0])
    ds.PatientName = "Somebody^Else"
    ds.save_as(paths[0])
    assert "attributes differ" in pipeline.verify([tmp_path / "out"], paths[0].parent).archives[0].problems[0]
