"""A beating heart to try things on: a short-axis cine series as a scanner would send it, deterministic by its seed.

The picture is drawn in millimetres: chest wall, lungs, spine and liver at rest; left ventricle, right ventricle and
papillary muscles contracting through the cycle. It is blurred as by an acquisition of finite resolution, shaded as by
surface coils, and noisy as a magnitude image is (Rician). Knows no files and no clock.

    >>> first = next(iter(beating_heart(slices=1, phases=2, rows=32, columns=32)))
    >>> first.SOPClassUID.name, float(first.TriggerTime), first.pixel_array.shape
    ('MR Image Storage', 0.0, (32, 32))
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage
from pydicom.valuerep import DSfloat

from hexdicom.dicom.uids import IMPLEMENTATION_CLASS_UID, uid_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Image = NDArray[np.float64]

FIELD_OF_VIEW = 290.0  # mm, along the rows
SLICE_STEP = 10.0  # mm: 8 mm slices and a gap of 2 mm
CYCLE = 900.0  # ms between two R waves
AIR, LUNG, MUSCLE, LIVER, FAT, BLOOD, MYOCARDIUM = 0.0, 30.0, 260.0, 330.0, 620.0, 760.0, 240.0


def beating_heart(
    *,
    slices: int = 6,
    phases: int = 16,
    rows: int = 128,
    columns: int = 128,
    seed: int = 1,
    noise: float = 9.0,
    bits_stored: int = 16,
    started: datetime = datetime(2026, 1, 5, 9, 30),
) -> Iterator[FileDataset]:
    """The instances of one series in the order a scanner sends them: slice by slice, each through the cardiac cycle.

    noise: standard deviation of each of the two channels, in stored values (blood is about 760).
    bits_stored: 16 for signed 16-bit values as GE writes them, 12 for unsigned ones as Siemens and Philips do.
    started: study date and time; what else depends on time is derived from it.
    Everything, UIDs included, follows from the arguments alone. Raises ValueError for an impossible size.
    """
    if min(slices, phases) < 1 or min(rows, columns) < 16 or bits_stored not in (12, 16):
        raise ValueError("The phantom needs at least 1 slice, 1 phase, 16 rows and columns, and 12 or 16 bits stored.")
    identity = f"{slices}/{phases}/{rows}/{columns}/{seed}/{noise}/{bits_stored}/{started.isoformat()}"
    for z in range(slices):
        scene = _Scene(rows, columns, depth=z / max(slices - 1, 1), seed=seed + 1000 * z)
        for t in range(phases):
            image = scene.acquire(t / phases, np.random.default_rng([seed, z, t]), noise)
            yield _instance(identity, image, z, t, slices, phases, bits_stored, started)


def contraction(phase: float) -> float:
    """How far the ventricle is contracted, 0 (end-diastole) to 1 (end-systole), at a phase of the cycle in 0..1."""
    if phase < 0.36:  # systole
        return 0.5 - 0.5 * float(np.cos(np.pi * phase / 0.36))
    if phase < 0.62:  # rapid filling
        return 0.12 + 0.88 * (0.5 + 0.5 * float(np.cos(np.pi * (phase - 0.36) / 0.26)))
    if phase < 0.86:  # diastasis
        return 0.12
    return 0.12 * (0.5 + 0.5 * float(np.cos(np.pi * (phase - 0.86) / 0.14)))  # atrial kick


@dataclass(frozen=True, slots=True)
class _Scene:
    """One slice of the body. depth: 0 at the base of the heart, 1 near its apex."""

    rows: int
    columns: int
    depth: float
    seed: int

    def acquire(self, phase: float, rng: np.random.Generator, noise: float) -> Image:
        """(Y, X) magnitude image: drawn, sampled in k-space out to 85 % of its extent, with complex noise."""
        complex_noise = rng.normal(0, noise, (2, self.rows, self.columns))
        signal = self.draw(phase) * _shading(self.rows, self.columns)
        channels = signal + complex_noise[0] + 1j * complex_noise[1]
        spectrum = np.fft.fft2(channels) * _aperture(self.rows, self.columns)
        magnitude: Image = np.abs(np.fft.ifft2(spectrum))
        return magnitude

    def draw(self, phase: float) -> Image:
        """(Y, X) signal without noise."""
        step = FIELD_OF_VIEW / self.columns
        y, x = np.mgrid[: self.rows, : self.columns].astype(float)
        x = (x - (self.columns - 1) / 2) * step
        y = (y - (self.rows - 1) / 2) * step
        scale = min(1.0, self.rows / self.columns)  # a flat matrix still shows a whole chest
        y = y / scale

        def ellipse(cx: float, cy: float, rx: float, ry: float, tilt: float = 0.0) -> Image:
            """Share of each voxel inside, with an edge one voxel wide."""
            if min(rx, ry) < 1:
                return np.zeros_like(x)
            c, s = np.cos(tilt), np.sin(tilt)
            u, v = (x - cx) * c + (y - cy) * s, (y - cy) * c - (x - cx) * s
            distance = (np.hypot(u / rx, v / ry) - 1) * min(rx, ry)
            inside: Image = np.clip(0.5 - distance / step, 0, 1)
            return inside

        image = np.full((self.rows, self.columns), AIR)

        def paint(value: float, where: Image) -> None:
            image[:] = image * (1 - where) + value * where

        body = ellipse(0, 0, 130, 100)
        paint(FAT, ellipse(0, 0, 140, 110))
        paint(MUSCLE, body)
        paint(LUNG, ellipse(-74, -6, 46, 78, 0.12))
        paint(LUNG, ellipse(82, 6, 40, 74, -0.12))
        paint(LIVER, body * ellipse(-62, 76, 62, 30 + 26 * self.depth, 0.1))
        paint(MUSCLE * 1.25, ellipse(0, 80, 24, 19))
        paint(FAT * 0.75, ellipse(0, 80, 17, 13))
        paint(BLOOD * 0.95, ellipse(24, 56, 11, 11))  # descending aorta
        self._paint_heart(contraction(phase), ellipse, paint)
        texture = _smooth_field(self.rows, self.columns, self.seed)
        return image * (1 + 0.05 * texture)

    def _paint_heart(self, squeeze: float, ellipse: Callable[..., Image], paint: Callable[[float, Image], None]) -> None:
        size = 1.2 * (1 - 0.45 * self.depth**2)
        x, y = 20 + 6 * self.depth, -14 + 3 * squeeze  # mm
        inner = size * (25 - 9.5 * squeeze)
        outer = float(np.sqrt(inner**2 + size**2 * (34**2 - 25**2)))  # the wall keeps its area, so it thickens
        right = 1 - 0.75 * self.depth
        rx, ry = outer + 5 * right, outer * right
        paint(FAT * 0.8, ellipse(x - 15 * right, y + 1, outer + 26 * right + 4, outer + 7))
        paint(MYOCARDIUM, ellipse(x - 30 * right, y + 5, rx + 3, ry + 3, 0.25))
        paint(BLOOD, ellipse(x - 30 * right, y + 5, rx - 4 * squeeze, ry - 5 * squeeze, 0.25))
        paint(MYOCARDIUM, ellipse(x, y, outer, outer * 1.04))
        paint(BLOOD, ellipse(x, y, inner, inner * 1.04))
        for angle in (0.7, 2.4):  # papillary muscles turn with the wall
            turned = angle + 0.22 * squeeze * (1 - 1.6 * self.depth)
            radius = size * (3.4 + 0.9 * squeeze)
            centre = x + 0.66 * inner * np.cos(turned), y + 0.66 * inner * np.sin(turned)
            paint(MYOCARDIUM * 1.1, ellipse(*centre, radius, radius))


def _shading(rows: int, columns: int) -> Image:
    """(Y, X) receive sensitivity of an anterior and a posterior coil, about 1 in the heart."""
    y, x = np.mgrid[: 1 : rows * 1j, : 1 : columns * 1j]
    front = np.exp(-((y - 0.1) ** 2 + 0.5 * (x - 0.55) ** 2) / 0.35)
    back = np.exp(-((y - 0.95) ** 2 + 0.5 * (x - 0.5) ** 2) / 0.45)
    shading: Image = 0.3 + 0.75 * front + 0.5 * back
    return shading


def _aperture(rows: int, columns: int) -> Image:
    """(Y, X) k-space window: an ellipse of 85 % of each extent with a soft rim."""
    radius = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None, :]) / 0.5
    window: Image = np.clip((0.95 - radius) / 0.2, 0, 1)
    return window


def _smooth_field(rows: int, columns: int, seed: int) -> Image:
    """(Y, X) random field of unit variance, a few voxels wide."""
    white = np.random.default_rng([seed, 7]).normal(size=(rows, columns))
    radius = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None, :])
    field = np.fft.ifft2(np.fft.fft2(white) * np.exp(-((radius / 0.08) ** 2))).real
    unit: Image = field / max(float(field.std()), 1e-9)
    return unit


def _instance(
    identity: str, image: Image, z: int, t: int, slices: int, phases: int, bits_stored: int, started: datetime
) -> FileDataset:
    """One frame as MR Image Storage (PS3.3 A.4), with what a cine needs of PS3.3 C.8.3.1."""
    dtype, highest = (np.int16, 32767) if bits_stored == 16 else (np.uint16, 4095)
    values = np.clip(np.rint(image), 0, highest).astype(dtype)
    acquired = started + timedelta(seconds=60 + 12 * z)
    instance_uid = UID(uid_from("hexdicom phantom", identity, z, t))

    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = instance_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)

    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    ds.InstanceCreationDate, ds.InstanceCreationTime = _date_time(acquired + timedelta(seconds=5, milliseconds=t))
    ds.SOPClassUID = MRImageStorage
    ds.SOPInstanceUID = instance_uid
    ds.StudyDate, ds.StudyTime = _date_time(started)
    ds.SeriesDate, ds.SeriesTime = _date_time(started + timedelta(seconds=60))
    ds.AcquisitionDate, ds.AcquisitionTime = _date_time(acquired)
    ds.ContentDate, ds.ContentTime = _date_time(acquired + timedelta(seconds=5))
    ds.AccessionNumber = "PHANTOM1"
    ds.Modality = "MR"
    ds.Manufacturer = "hexdicom"
    ds.InstitutionName = "hexdicom phantom"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "Cardiac function"
    ds.SeriesDescription = "Cine short axis"
    ds.ManufacturerModelName = "Beating heart"
    ds.PatientName = "Phantom^Beating Heart"
    ds.PatientID = "HEXDICOM-PHANTOM"
    ds.PatientBirthDate = "19700101"
    ds.PatientSex = "O"
    ds.BodyPartExamined = "HEART"
    ds.ScanningSequence = "GR"
    ds.SequenceVariant = "SS"
    ds.ScanOptions = "CG"
    ds.MRAcquisitionType = "2D"
    ds.SequenceName = "bSSFP"
    ds.SliceThickness = 8
    ds.RepetitionTime = 3.2
    ds.EchoTime = 1.6
    ds.NumberOfAverages = 1
    ds.ImagingFrequency = 63.87
    ds.ImagedNucleus = "1H"
    ds.MagneticFieldStrength = 1.5
    ds.SpacingBetweenSlices = SLICE_STEP
    ds.EchoTrainLength = 1
    ds.DeviceSerialNumber = "1"
    ds.SoftwareVersions = "1"
    ds.ProtocolName = "Cine short axis"
    ds.TriggerTime = DSfloat(round(CYCLE * t / phases, 3))
    ds.NominalInterval = round(CYCLE)
    ds.BeatRejectionFlag = "N"
    ds.HeartRate = round(60000 / CYCLE)
    ds.CardiacNumberOfImages = phases
    ds.TriggerWindow = 10
    ds.FlipAngle = 50
    ds.PatientPosition = "HFS"
    ds.StudyInstanceUID = uid_from("hexdicom phantom", identity, "study")
    ds.SeriesInstanceUID = uid_from("hexdicom phantom", identity, "series")
    ds.StudyID = "1"
    ds.SeriesNumber = 7
    ds.AcquisitionNumber = 1
    ds.InstanceNumber = z * phases + t + 1
    ds.ImagesInAcquisition = slices * phases
    _place(ds, z, slices, *values.shape)
    ds.FrameOfReferenceUID = uid_from("hexdicom phantom", identity, "frame of reference")
    ds.PositionReferenceIndicator = ""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = values.shape
    ds.BitsAllocated = 16
    ds.BitsStored = bits_stored
    ds.HighBit = bits_stored - 1
    ds.PixelRepresentation = 1 if bits_stored == 16 else 0
    ds.SmallestImagePixelValue = int(values.min())
    ds.LargestImagePixelValue = int(values.max())
    ds.WindowCenter = 420
    ds.WindowWidth = 840
    ds.PixelData = values.astype("<u2" if bits_stored == 12 else "<i2").tobytes()
    return ds


def _place(ds: FileDataset, z: int, slices: int, rows: int, columns: int) -> None:
    """Position and orientation of a double-oblique short axis (PS3.3 C.7.6.2)."""
    row = np.array([0.7071, 0.6124, -0.3536])
    column = np.array([0.1830, 0.3170, 0.9306])
    row /= np.linalg.norm(row)
    column -= row * (row @ column)
    column /= np.linalg.norm(column)
    spacing = FIELD_OF_VIEW / columns
    normal = np.cross(row, column)
    centre = np.array([-20.0, -45.0, 60.0]) + normal * SLICE_STEP * (z - (slices - 1) / 2)
    corner = centre - spacing * ((columns - 1) / 2 * row + (rows - 1) / 2 * column)
    ds.ImagePositionPatient = [_ds(v) for v in corner]
    ds.ImageOrientationPatient = [_ds(v) for v in (*row, *column)]
    ds.SliceLocation = _ds(float(normal @ corner))
    ds.PixelSpacing = [_ds(spacing), _ds(spacing)]


def _ds(value: float) -> DSfloat:
    return DSfloat(f"{value:.8f}".rstrip("0").rstrip("."))


def _date_time(when: datetime) -> tuple[str, str]:
    return when.strftime("%Y%m%d"), when.strftime("%H%M%S.%f")
