"""A node in one process: what each of its parts does, done one after the other, so that each can be broken off anywhere."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from hexdicom.codec.profile import Profile
from hexdicom.errors import StoreError
from hexdicom_services import custody, intake, retention
from hexdicom_services.catalog import holdings, originals
from hexdicom_services.catalog.session import open_catalog
from hexdicom_services.jobs.archiver import PipelineArchiver
from hexdicom_services.recover import recover
from hexdicom_services.salvage import adopt, salvage
from hexdicom_services.scp.desk import Delivery, Desk
from hexdicom_services.settings import (
    ForwardSection,
    NodeSection,
    ReceiverSection,
    RetentionSection,
    SeriesSection,
    Settings,
    WorkerSection,
)
from hexdicom_services.spool import Spool
from hexdicom_services.stores.folder import FolderStore
from hexdicom_services.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pydicom.dataset import Dataset

    from hexdicom_services.catalog.session import Catalog

    Tell = Callable[[str], None]

EXPLICIT = "1.2.840.10008.1.2.1"


def encoded(ds: Dataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, ds)
    return buffer.getvalue()


def quiet(line: str) -> None:
    """Nobody listens."""


@dataclass
class Site:
    """The state of a node in a folder. Every step opens what it needs and closes it again."""

    folder: Path
    pacs: str = ""  # AET@HOST:PORT that gets everything too
    now: float = 1_800_000_000.0
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        self.settings = Settings(
            node=NodeSection(port=0, state_dir=self.folder),
            receiver=ReceiverSection(disk_reserve_mb=0),
            series=SeriesSection(silence=10, settle=1, force=100),
            worker=WorkerSection(retry_delay=5, lease=60, device="cpu"),
            retention=RetentionSection(enabled=True, keep_days=0),
            forward=ForwardSection(targets=("pacs",) if self.pacs else (), retry_delay=5),
            peers={"pacs": self.pacs} if self.pacs else {},
        )

    @property
    def database_file(self) -> Path:
        assert self.settings.database.file is not None
        return self.settings.database.file

    def clock(self) -> float:
        return self.now

    @contextmanager
    def catalog(self) -> Iterator[Catalog]:
        catalog = open_catalog(self.settings.database)
        try:
            yield catalog
        finally:
            catalog.close()

    def receive(self, data_sets: Sequence[Dataset], tell: Tell = quiet) -> set[str]:
        """Tells, and returns, the hash of everything that was answered with success."""
        taken = set()
        with self.catalog() as catalog:
            desk = Desk(catalog, Spool(self.settings.spool), self.clock)
            for ds in data_sets:
                data = encoded(ds)
                try:
                    desk.receive(Delivery(str(ds.SOPClassUID), str(ds.SOPInstanceUID), EXPLICIT, "SCANNER", data))
                except StoreError:
                    continue
                taken.add(hashlib.sha256(data).hexdigest())
                tell(f"ack {hashlib.sha256(data).hexdigest()}")
            desk.close()
        return taken

    def intake(self, tell: Tell = quiet) -> None:
        self.now += 11
        with self.catalog() as catalog:
            intake.close_due(catalog, self.settings.spool, self.settings.series, self.now)

    def work(self, tell: Tell = quiet, most: int = 1) -> None:
        """Does jobs: one of each kind that is due."""
        with self.catalog() as catalog:
            worker = Worker(self.settings, catalog, PipelineArchiver(Profile(), "cpu"), "worker-1", self.clock)
            for _ in range(most):
                self.now += 1000
                if not worker.run_next():
                    break

    def release(self, tell: Tell = quiet) -> None:
        with self.catalog() as catalog:
            list(retention.release(catalog, self.settings, self.clock, device="cpu"))

    def recall(self, tell: Tell = quiet) -> None:
        with self.catalog() as catalog, catalog.read() as connection:
            away = originals.with_originals_away(connection)
        with self.catalog() as catalog:
            for uid in away:
                custody.recall(catalog, Spool(self.settings.spool), FolderStore(self.settings.store), uid, self.now, "cpu")

    def start_again(self, tell: Tell = quiet) -> None:
        salvage(self.database_file, self.now)
        with self.catalog() as catalog:
            recover(self.settings, catalog)
            adopt(self.settings, catalog, self.now)

    def finish(self) -> None:
        """Everything that is still to do."""
        for _ in range(3):
            self.intake()
            self.work(most=30)

    def states(self, sql: str) -> list[tuple[object, ...]]:
        with self.catalog() as catalog, catalog.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]

    def missing(self, acknowledged: set[str]) -> set[str]:
        """Hashes of acknowledged data sets that cannot be had any more, neither from the spool nor out of the store."""
        with self.catalog() as catalog, catalog.read() as connection:
            rows = [one for (uid,) in self._series(connection) for one in originals.of_series(connection, uid)]
            held = {uid: holdings.of_source(connection, uid) for (uid,) in self._series(connection)}
        spool, store = Spool(self.settings.spool), FolderStore(self.settings.store)
        found = {one.sha256 for one in rows if one.here and custody.is_sound(spool, one)}
        if acknowledged - found:
            for files in held.values():
                found |= {one.received_sha256 for one in custody.readable(store, files, "cpu") if one.state == "restored"}
        return acknowledged - found

    def check_spool(self) -> None:
        """As soon as the node has started again: rows and files of the spool agree, nothing is there twice or left over."""
        with self.catalog() as catalog, catalog.read() as connection:
            rows = [one for (uid,) in self._series(connection) for one in originals.of_series(connection, uid)]
        assert len({(one.sop_instance_uid, one.sha256) for one in rows}) == len(rows)
        spool = Spool(self.settings.spool)
        assert not list((spool.root / "incoming").iterdir())
        assert set(spool.files()) == {one.path for one in rows if one.here}
        assert not [one.path for one in rows if one.here and not custody.is_sound(spool, one)]

    def check(self) -> None:
        """When everything is done: the same, and rows and files of the store agree, and peers get every instance."""
        self.check_spool()
        with self.catalog() as catalog, catalog.read() as connection:
            rows = [one for (uid,) in self._series(connection) for one in originals.of_series(connection, uid)]
            current = [one for (uid,) in self._series(connection) for one in holdings.of_source(connection, uid, current=True)]
            stored = dict(connection.exec_driver_sql("select key, sha256 || state from stored").all())  # type: ignore[arg-type]
            states = {row[0] for row in connection.exec_driver_sql("select distinct state from series")}
        store = FolderStore(self.settings.store)
        files = {str(path.relative_to(store.root)): path for path in store.root.rglob("*.dcm")}
        assert {key: hashlib.sha256(path.read_bytes()).hexdigest() + "STORED" for key, path in files.items()} == stored
        assert states == {"ARCHIVED"}
        given = {one.received_sha256 for one in custody.sources(store, current, "cpu")}
        newest = {one.sop_instance_uid: one.sha256 for one in rows}
        assert set(newest.values()) <= given

    @staticmethod
    def _series(connection: object) -> list[tuple[str]]:
        return list(connection.exec_driver_sql("select series_instance_uid from series"))  # type: ignore[attr-defined]
