"""`hexdicom demo`: the whole way once, for people to watch: send, archive, restore, prove.

The proof is the demo's own: it hashes the data sets of the files before they are sent and of the files that came back, and
asks neither manifest nor catalog.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydicom.dataset import Dataset

from hexdicom.dicom.folder import scan
from hexdicom.dicom.phantom import beating_heart
from hexdicom.errors import ConfigError, HexdicomError, VerificationError
from hexdicom_services import restorer, scu
from hexdicom_services.cli.demo_picture import draw
from hexdicom_services.cli.demo_proof import DataSet, Proof, data_sets, prove
from hexdicom_services.cli.output import counted, many, messages, screen, size, steps, table
from hexdicom_services.cli.own_node import OwnNode, own_node
from hexdicom_services.cli.profile_options import device_option
from hexdicom_services.restorer import Request, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from rich.table import Table

    from hexdicom.codec import Progress
    from hexdicom_services.status import NodeStatus

MARK = ".hexdicom-demo"
Times = dict[str, float]


@click.command()
@click.argument("series", metavar="[SERIES]", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--out", default="demo", show_default=True, metavar="DIR", type=click.Path(path_type=Path), help="For the results.")
@device_option
def demo(series: Path | None, out: Path, device: str) -> int:
    """Show everything once: send, archive, restore, prove.

    SERIES is a DICOM file or folder; without it, a beating heart is made. A node is started on a free port, the series is
    sent to it over a DICOM association, archived, and restored from it; every data set is compared with what was sent. DIR
    gets archive/, restored/ and picture.png.
    """
    with _results(out), tempfile.TemporaryDirectory(prefix="hexdicom-demo-") as temporary, steps() as progress:
        files = scan([series]) if series else _phantom(Path(temporary, "phantom"), progress)
        times: Times = {}
        with own_node(Path(temporary, "state"), out / "archive", device=device) as node:
            messages().print(f"a node listens at {node.peer}")
            sent = _send(node, files, progress, times)
            with _timed(times, "archive"):
                node.wait_until_archived(len(sent), _watch(progress))
            archives = node.archives()
            _restore(node, out / "restored", device, progress, times)
        proof = prove(sent, out / "restored")
        pictured = bool(archives) and draw(files, archives, out / "picture.png", device)
    for archive in archives:
        screen().print(_facts(archive), "")
    screen().print(_steps(times, archives, len(sent)), "")
    screen().print(f"archive   {out / 'archive'}\nrestored  {out / 'restored'}", soft_wrap=True)
    if pictured:
        screen().print(f"picture   {out / 'picture.png'}", soft_wrap=True)
    return _verdict(proof, archives)


@contextmanager
def _results(out: Path) -> Iterator[None]:
    """An empty folder for the results, emptied again if they do not come about. Raises ConfigError for a foreign folder."""
    mark = out / MARK
    if out.exists() and not mark.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is not empty, and not of an earlier demo.", hint="Choose another folder with --out.")
    out.mkdir(parents=True, exist_ok=True)
    mark.touch()
    _clear(out)
    try:
        yield
    except BaseException:
        _clear(out)
        raise


def _clear(out: Path) -> None:
    for name in ("archive", "restored"):
        shutil.rmtree(out / name, ignore_errors=True)
    (out / "picture.png").unlink(missing_ok=True)


def _phantom(folder: Path, progress: Progress) -> list[Path]:
    folder.mkdir()
    slices, phases = 6, 16
    paths = []
    for number, ds in enumerate(beating_heart(slices=slices, phases=phases), start=1):
        paths.append(folder / f"{number:04}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
        progress("make phantom", number / (slices * phases))
    return paths


def _send(node: OwnNode, files: Sequence[Path], progress: Progress, times: Times) -> dict[str, list[DataSet]]:
    """What was sent: SOP Instance UID -> its data sets, hashed before. Raises HexdicomError if nothing could be."""
    hashes = data_sets(files)
    with _timed(times, "send"):
        results = scu.store(node.peer, list(hashes), progress=counted(progress, "send"))
    sent: dict[str, list[DataSet]] = {}
    for one in results:
        if one.state == "sent":
            sent.setdefault(hashes[one.path].uid, []).append(hashes[one.path])
        else:
            messages().print(f"not sent: {one.path}: {one.reason}", soft_wrap=True)
    if len(hashes) < len(files):
        messages().print(f"left out, not DICOM: {many(len(files) - len(hashes), 'file')}")
    if not sent:
        raise HexdicomError("Nothing could be sent.", hint="Name a folder of DICOM files.")
    return sent


def _watch(progress: Progress) -> Callable[[NodeStatus], None]:
    def show(now: NodeStatus) -> None:
        if now.series.get("RECEIVING"):
            progress("wait for silence", 0.0)
        for work in now.working:
            if work.step:
                progress(work.step, work.fraction)

    return show


def _restore(node: OwnNode, out: Path, device: str, progress: Progress, times: Times) -> None:
    key = Dataset()
    key.StudyInstanceUID = ""
    studies = [str(match.StudyInstanceUID) for match in scu.find(node.peer, key, "STUDY")]
    with _timed(times, "restore"):
        for study in studies:
            request = Request(study_instance_uid=study)
            outcome = restorer.fetch(node.peer, request, out, Work(datetime.now(UTC), device=device, progress=progress))
            for problem in (*outcome.restored.problems, *(one.reason for one in outcome.missing)):
                messages().print(f"problem: {problem}", soft_wrap=True)


@contextmanager
def _timed(times: Times, step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    times[step] = time.perf_counter() - started


def _facts(archive: dict[str, Any]) -> Table:
    t, z, y, x = archive["shape"]
    rows = table("", "", title=f"{t} time points × {z} slices × {y} rows × {x} columns")
    rows.show_header = False
    layers = ", ".join(f"{layer['name']} {size(layer['bytes'])}" for layer in archive["layers"])
    rows.add_row("instances", str(archive["instances"]))
    rows.add_row("received", size(archive["source_bytes"]))
    rows.add_row("archived", f"{size(archive['archive_bytes'])} in {Path(archive['file']).name}")
    rows.add_row("ratio", f"{archive['source_bytes'] / archive['archive_bytes']:.2f} : 1")
    rows.add_row("bits per voxel", f"{archive['bits_per_voxel']:.4f}")
    rows.add_row("layers", f"{layers}; headers {size(archive['header_bytes'])}")
    return rows


def _steps(times: Times, archives: Sequence[dict[str, Any]], instances: int) -> Table:
    def total(name: str) -> float:
        return sum(float(archive[name]) for archive in archives)

    rows = table("step", "seconds", "", right=["seconds"])
    rows.add_row("send", f"{times['send']:.1f}", f"{instances / times['send']:.0f} instances per second, durable")
    if archives:
        rows.add_row("fit planes", f"{total('fit_seconds'):.1f}", "part of encode")
        rows.add_row("encode", f"{total('encode_seconds'):.1f}", f"on {archives[0]['device']}")
        rows.add_row("verify", f"{total('verify_seconds'):.1f}", "read back from the store, decoded, every data set compared")
    rows.add_row("archive", f"{times['archive']:.1f}", "from the last instance until archived, waiting included")
    rows.add_row("restore", f"{times['restore']:.1f}", "found, fetched, decoded, proved, written")
    return rows


def _verdict(proof: Proof, archives: Sequence[dict[str, Any]]) -> int:
    for uid, what in list(proof.wrong.items())[:10]:
        messages().print(f"{uid}: {what}", soft_wrap=True)
    same = proof.identical + proof.recoded
    if proof.wrong:
        reasons = ", ".join(f"{number} {what}" for what, number in Counter(proof.wrong.values()).items())
        screen().print(f"DIFFERENT: {len(proof.wrong)} of {proof.total} data sets did not come back ({reasons})", soft_wrap=True)
        return VerificationError.exit_code
    how = (
        "byte for byte by SHA-256"
        if not proof.recoded
        else f"{proof.identical} by SHA-256, {proof.recoded} by attributes and pixels"
    )
    archived = sum(archive["instances"] for archive in archives)
    rest = f"; {proof.total - archived} of them were archived untouched" if proof.total > archived else ""
    screen().print(f"IDENTICAL: {same} of {proof.total} data sets restored, {how}{rest}", soft_wrap=True)
    return 0
