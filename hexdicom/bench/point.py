"""A lossy codec at one setting on one series: a point of its rate-distortion curve."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """What came out of the bitstream, decoded and rounded to stored values, was compared with what went in.

    setting: the quality that was asked for, in the codec's own words.
    psnr_db: the peak is max − min of the stored values of the series, as everywhere here; None: every value came back.
    worst_frame_db: of the frame that came out worst, with the same peak.
    seconds, cpu_seconds, peak_bytes: as in a Measurement.
    steps, steps_asked: of a model that is fitted: how many were done and how many were asked for; None for the others.
    """

    series: str
    codec: str
    setting: str
    bytes: int
    bits_per_voxel: float
    psnr_db: float | None
    worst_frame_db: float | None
    largest_error: int
    encode_seconds: float
    decode_seconds: float
    encode_cpu_seconds: float
    decode_cpu_seconds: float
    encode_peak_bytes: int | None
    decode_peak_bytes: int | None
    steps: int | None = None
    steps_asked: int | None = None
