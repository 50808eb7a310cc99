"""One frame of an instance, as assembly sees it: where it lies, what it shows, when it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hexdicom.dicom.time_key import TimeValue

_COMPONENTS = {
    "M": "magnitude",
    "MAGNITUDE": "magnitude",
    "P": "phase",
    "PHASE": "phase",
    "PHASE MAP": "phase",
    "R": "real",
    "REAL": "real",
    "I": "imaginary",
    "IMAGINARY": "imaginary",
    "VELOCITY": "velocity",
    "VELOCITY MAP": "velocity",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """position: ImagePositionPatient in mm. orientation: ImageOrientationPatient. location: SliceLocation in mm.

    image_type: the first four values of ImageType or FrameType. echo: EchoNumbers and EchoTime.
    spacing: (dy, dx) in mm. thickness: from slice to slice in mm, as the header says it.
    rescale: slope and intercept. times: the candidates that it has.
    """

    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    location: float | None
    image_type: tuple[str, ...]
    component: str
    echo: str
    spacing: tuple[float, ...] | None
    thickness: float | None
    rescale: str
    times: tuple[TimeValue, ...]

    @property
    def placed(self) -> bool:
        """Position and orientation in the patient are known."""
        return self.position is not None and self.orientation is not None


def component_of(explicit: str, image_type: tuple[str, ...]) -> str:
    """magnitude, phase, real, imaginary, velocity; or "" where nothing says it.

    explicit: ComplexImageComponent (0008,9208), where there is one. Philips writes M_FFE, P_SE, … into ImageType.
    """
    for word in (explicit, *image_type[2:]):
        found = _COMPONENTS.get(word) or (_COMPONENTS.get(word[0]) if word[1:2] == "_" else None)
        if found:
            return found
    return explicit.lower()
