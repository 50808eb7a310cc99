"""Storage classes and transfer syntaxes that we ask a peer for. Data, no behaviour."""

from __future__ import annotations

from typing import Final

_STORAGE = "1.2.840.10008.5.1.4.1.1."

COMMON_CLASSES: Final = tuple(
    _STORAGE + suffix
    for suffix in (
        "66",  # Raw Data: archive objects come first
        "4",  # MR Image
        "4.1",  # Enhanced MR Image
        "4.4",  # Legacy Converted Enhanced MR Image
        "7",  # Secondary Capture
        "2",  # CT Image
        "4.2",  # MR Spectroscopy
        "4.3",  # Enhanced MR Color Image
        "7.1",  # Multi-frame Single Bit Secondary Capture
        "7.2",  # Multi-frame Grayscale Byte Secondary Capture
        "7.3",  # Multi-frame Grayscale Word Secondary Capture
        "7.4",  # Multi-frame True Color Secondary Capture
        "2.1",  # Enhanced CT Image
        "2.2",  # Legacy Converted Enhanced CT Image
        "128",  # Positron Emission Tomography Image
        "20",  # Nuclear Medicine Image
        "6.1",  # Ultrasound Image
        "3.1",  # Ultrasound Multi-frame Image
        "1",  # Computed Radiography Image
        "1.1",  # Digital X-Ray Image, for presentation
        "12.1",  # X-Ray Angiographic Image
        "9.1.1",  # 12-lead ECG Waveform
        "9.1.2",  # General ECG Waveform
        "11.1",  # Grayscale Softcopy Presentation State
        "11.2",  # Color Softcopy Presentation State
        "88.11",  # Basic Text SR
        "88.22",  # Enhanced SR
        "88.33",  # Comprehensive SR
        "88.34",  # Comprehensive 3D SR
        "88.59",  # Key Object Selection
        "88.67",  # X-Ray Radiation Dose SR
        "104.1",  # Encapsulated PDF
        "66.1",  # Spatial Registration
        "66.2",  # Spatial Fiducials
        "66.4",  # Segmentation
        "66.5",  # Surface Segmentation
        "67",  # Real World Value Mapping
        "30",  # Parametric Map
        "481.3",  # RT Structure Set
    )
)

TRANSFER_SYNTAXES: Final = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
    "1.2.840.10008.1.2.2",  # Explicit VR Big Endian
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.51",  # JPEG extended
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.201",  # HTJ2K lossless
    "1.2.840.10008.1.2.4.202",  # HTJ2K lossless RPCL
    "1.2.840.10008.1.2.4.203",  # HTJ2K
)
