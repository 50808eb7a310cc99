"""The seam to the codec: one 4-D group in, proved archive objects out. Only `PipelineArchiver` ever loads torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from hexdicom.codec.interface import Progress
    from hexdicom.codec.profile import Profile
    from hexdicom.dicom.plan import SeriesPlan


@dataclass(frozen=True, slots=True)
class Archived:
    """The files of one archive, decoded again and compared with every source; `report` is plain JSON."""

    files: tuple[Path, ...]
    report: dict[str, Any]


class Archiver(Protocol):
    """Encodes a group into `out` and proves it. Raises SeriesError or VolumeError for what is better passed through."""

    @property
    def name(self) -> str:
        """What decides the result, so that it is known whether an archive that is there is still the right one."""

    def __call__(self, plan: SeriesPlan, out: Path, *, now: datetime, progress: Progress) -> Archived: ...


class PipelineArchiver:
    """hexdicom.pipeline, loaded with the first group."""

    def __init__(self, profile: Profile, device: str) -> None:
        self._profile, self._device = profile, device

    @property
    def name(self) -> str:
        return repr(self._profile)

    def __call__(self, plan: SeriesPlan, out: Path, *, now: datetime, progress: Progress) -> Archived:
        from hexdicom import pipeline  # loads torch: not before there is work

        report = pipeline.compress_group(plan, out, self._profile, now=now, device=self._device, progress=progress)
        described = report.to_json()
        described.pop("archive")  # where the worker had it; the catalog knows where it went
        return Archived(report.archives, described)
