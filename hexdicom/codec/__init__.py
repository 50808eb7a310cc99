"""The codec: volumes to bytes and back. Knows no DICOM, no files, no clock but a stopwatch.

    encode(volume, profile) -> Encoded      decode(bitstream) -> CineVolume
    preview(bitstream) -> six planes alone  inspect(bitstream) -> Info
"""

from hexdicom.codec.interface import Encoded, EncodeReport, Info, LayerSize, Progress
from hexdicom.codec.profile import Profile

__all__ = ["EncodeReport", "Encoded", "Info", "LayerSize", "Profile", "Progress"]
