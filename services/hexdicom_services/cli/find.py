"""`hexdicom find`: what a node or a PACS holds, and what of it is archived by us."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from pydicom.dataset import Dataset

from hexdicom.dicom.uids import archive_series_uid
from hexdicom.errors import NotFound
from hexdicom_services import scu
from hexdicom_services.cli import witnesses
from hexdicom_services.cli.output import emit, json_option, screen, table
from hexdicom_services.cli.peers import config_option, resolve

if TYPE_CHECKING:
    from pathlib import Path

    from hexdicom_services.peer import Peer

_STUDY_KEYS = ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "StudyDescription")
_SERIES_KEYS = ("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "NumberOfSeriesRelatedInstances")
_LIST = 50  # UIDs in one request (list of UID matching, PS3.4 C.2.2.2.2)
ARCHIVE_DESCRIPTION = "hexdicom archive"  # how the Series Description of an archive begins


@click.command()
@click.option("--from", "node", required=True, metavar="NODE", help="AET@HOST:PORT, a name from [peers], or `local`.")
@click.option("--patient", metavar="ID", default="", help="Patient ID; * and ? are wildcards.")
@click.option("--study", metavar="UID", default="", help="One study.")
@click.option("--date", metavar="DATE", default="", help="Study date: YYYYMMDD, or a range YYYYMMDD-YYYYMMDD.")
@config_option
@json_option
def find(node: str, patient: str, study: str, date: str, config: Path | None, as_json: bool) -> None:
    """List what is archived on a node or a PACS.

    Prints every study and its series; those marked `archive` hold a 4-D series that `hexdicom restore --from` gives back.
    """
    peer = resolve(node, config)
    key = _key(_STUDY_KEYS, PatientID=patient, StudyInstanceUID=study, StudyDate=date)
    with witnesses.of_peer(node, config) as witness:
        witness.asked(peer, key)
    studies = _studies(peer, key)
    if not studies:
        raise NotFound(f"{peer} has no study that matches.")
    if as_json:
        emit({"studies": studies})
        return
    for item in studies:
        head = "  ".join(filter(None, (item["patient_id"], item["patient_name"], item["study_date"], item["study_description"])))
        rows = table("kind", "modality", "no.", "instances", "description", "series UID", right=["no.", "instances"], title=head)
        for series in item["series"]:
            rows.add_row(
                "archive" if series["archive"] else "instances",
                series["modality"],
                series["series_number"],
                str(series["instances"] or ""),
                series["series_description"],
                series["series_instance_uid"],
            )
        screen().print(f"study {item['study_instance_uid']}", soft_wrap=True)
        screen().print(rows, "")


def _studies(peer: Peer, key: Dataset) -> list[dict[str, Any]]:
    return [
        {
            "patient_id": _text(match, "PatientID"),
            "patient_name": _text(match, "PatientName"),
            "study_instance_uid": _text(match, "StudyInstanceUID"),
            "study_date": _text(match, "StudyDate"),
            "study_description": _text(match, "StudyDescription"),
            "series": _series(peer, _text(match, "StudyInstanceUID")),
        }
        for match in scu.find(peer, key, "STUDY")
    ]


def _series(peer: Peer, study: str) -> list[dict[str, Any]]:
    matches = scu.find(peer, _key(_SERIES_KEYS, StudyInstanceUID=study), "SERIES")
    listed = [_text(match, "SeriesInstanceUID") for match in matches]
    archives = {archive_series_uid(uid) for uid in listed}
    # A node shows its archive objects only to who names them; a PACS that lists them anyway is not asked twice.
    hidden = sorted(archives.difference(listed))
    for start in range(0, len(hidden), _LIST):
        key = _key(_SERIES_KEYS, StudyInstanceUID=study, SeriesInstanceUID=hidden[start : start + _LIST])
        matches += scu.find(peer, key, "SERIES")
    return [
        {
            "series_instance_uid": _text(match, "SeriesInstanceUID"),
            "modality": _text(match, "Modality"),
            "series_number": _text(match, "SeriesNumber"),
            "series_description": _text(match, "SeriesDescription"),
            "instances": int(_text(match, "NumberOfSeriesRelatedInstances") or 0) or None,
            "archive": _text(match, "SeriesDescription").startswith(ARCHIVE_DESCRIPTION)
            or _text(match, "SeriesInstanceUID") in archives,
        }
        for match in matches
    ]


def _key(keywords: tuple[str, ...], **wanted: str | list[str]) -> Dataset:
    key = Dataset()
    for keyword in keywords:
        setattr(key, keyword, "" if keyword != "NumberOfSeriesRelatedInstances" else None)
    for keyword, value in wanted.items():
        setattr(key, keyword, value)
    return key


def _text(match: Dataset, keyword: str) -> str:
    value = match.get(keyword)
    return "" if value is None else str(value).strip()
