"""Who looks on when a command brings patients' images home: nobody here; audit/errand.py for a node's audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pydicom.dataset import Dataset

    from hexdicom_services.peer import Peer


class Witness:
    """Is told of each step when it is done, of `asked` and `opened` before. Methods raise nothing."""

    def asked(self, peer: Peer, identifier: Dataset) -> None:
        """Somebody is about to ask a peer what it holds that matches, and perhaps for that."""

    def opened(self, archives: Iterable[Path]) -> None:
        """Archive files, or folders of them, are about to be restored from."""

    def fetched(self, peer: Peer, files: Iterable[Path]) -> None:
        """These DICOM files came from a peer."""

    def written(self, folder: Path, files: Iterable[Path]) -> None:
        """These DICOM files were left in a folder."""

    def sent(self, peer: Peer, files: Iterable[Path]) -> None:
        """These DICOM files were taken by a peer."""
