"""A node without processes: settings in a temporary folder, a catalog, and a desk that takes data sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services.catalog.session import Catalog, open_catalog
from hexdicom_services.scp.desk import Delivery, Desk
from hexdicom_services.sections import CatalogSection, NodeSection, ReceiverSection, SeriesSection, WorkerSection
from hexdicom_services.settings import Settings
from hexdicom_services.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset

EXPLICIT = "1.2.840.10008.1.2.1"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def encoded(ds: Dataset) -> bytes:
    """A data set in Explicit VR Little Endian, without file meta."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, ds)
    return buffer.getvalue()


@dataclass
class Bench:
    """Everything that a node is made of, in this process."""

    settings: Settings
    catalog: Catalog
    desk: Desk
    clock: Clock

    def receive(self, ds: Dataset, syntax: str = EXPLICIT) -> str:
        return self.desk.receive(Delivery(str(ds.SOPClassUID), str(ds.SOPInstanceUID), syntax, "SCANNER", encoded(ds)))

    def rows(self, sql: str) -> list[Any]:
        with self.catalog.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]

    def value(self, sql: str) -> Any:
        return self.rows(sql)[0][0]


@pytest.fixture(params=["sqlite", "postgresql"])
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    catalog_section = CatalogSection()
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        server.empty()
        catalog_section = server.section
    settings = Settings(
        catalog=catalog_section,
        node=NodeSection(port=0, state_dir=tmp_path / "state"),
        receiver=ReceiverSection(disk_reserve_mb=0),
        series=SeriesSection(silence=10, settle=1, force=100),
        worker=WorkerSection(retry_delay=5, lease=60),
    )
    clock = Clock()
    catalog = open_catalog(settings.database)
    desk = Desk(catalog, Spool(settings.spool), clock)
    yield Bench(settings, catalog, desk, clock)
    desk.close()
    catalog.close()


@pytest.fixture
def cine() -> list[Dataset]:
    """A small series: 2 slices, 4 phases."""
    return list(beating_heart(slices=2, phases=4, rows=24, columns=20))
