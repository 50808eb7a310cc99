"""docs/cli-json.md names every field that the commands print, and no other."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hexdicom.bench.comparisons import Comparison
from hexdicom.bench.point import Point
from hexdicom.bench.result import Failure as BenchFailure
from hexdicom.dicom.phantom import beating_heart
from hexdicom_services import cli
from hexdicom_services.attention import Attention
from hexdicom_services.catalog.job_rows import JobRow
from hexdicom_services.status import Failure, NodeStatus, Work

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., dict[str, Any]]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli-json.md"
MAPS = {"series{}", "jobs{}", "deliveries{}", "commitments{}", "processes{}", "packages{}"}


def documented(command: str) -> set[str]:
    """The fields of a section of the page."""
    text = PAGE.read_text("utf-8").partition(f"## `hexdicom {command}`\n")[2].partition("\n## ")[0]
    return {name for row in re.findall(r"^\| (`.+?) \|", text, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)}


def paths(value: Any, at: str = "") -> set[str]:
    """The fields of a document, written as on the page."""
    if isinstance(value, dict):
        if f"{at}{{}}" in MAPS:
            return {f"{at}{{}}"}
        return {found for key, inner in value.items() for found in paths(inner, f"{at}.{key}" if at else key)}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {found for inner in value for found in paths(inner, f"{at}[]")}
    return {at}


def check(command: str, document: dict[str, Any], empty: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """empty: lists that this document has no entry of; their fields are taken as documented."""
    names = documented(command)
    plain = {name.removesuffix("[]") for name in names}
    found = paths(document)
    assert found <= plain | empty, f"not documented: {found - plain}"
    left = {name for name in plain - found if not any(name.startswith(f"{list_}[]") for list_ in empty)}
    assert not left, f"documented, not printed: {left}"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_json(*arguments: object, code: int = 0) -> dict[str, Any]:
        assert cli.run([*map(str, arguments), "--json"]) == code
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return document

    return run_json


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    for ds in beating_heart(slices=2, phases=3, rows=20, columns=24):
        ds.save_as(folder / f"{int(ds.InstanceNumber)}.dcm", enforce_file_format=True)
    (folder / "notes.txt").write_text("not DICOM")
    return folder


def test_files_to_archives_and_back(series: Path, tmp_path: Path, run: Run) -> None:
    out, back = tmp_path / "out", tmp_path / "back"
    made = run("compress", series, "--out", out)
    check("compress", made)
    (archive,) = made["series"]
    assert archive["shape"] == [3, 2, 20, 24]
    assert archive["max_error"] == 0
    assert archive["psnr_db"] is None

    check("restore", run("restore", out, "--out", back), {"missing", "sent"})
    check("verify", run("verify", archive["archive"], "--against", series))
    told = run("inspect", archive["archive"])
    check("inspect", {**told, "version": 1, "bytes": 1})
    assert told["bits_per_voxel"] == pytest.approx(archive["bits_per_voxel"])


def test_explain(series: Path, run: Run) -> None:
    check("explain", run("explain", series), {"passed_through[].holes"})


def test_codec(tmp_path: Path, run: Run) -> None:
    np.save(tmp_path / "a.npy", np.arange(3 * 2 * 8 * 9, dtype=np.int16).reshape(3, 2, 8, 9))
    check("codec encode", run("codec", "encode", tmp_path / "a.npy", "-o", tmp_path / "a.hxd"))
    check("codec curve", run("codec", "curve", tmp_path / "a.npy", "--points", 2, "--from-ratio", 5, "--to-ratio", 2))
    waits = run("bench", "frames", tmp_path / "a.hxd", "--rounds", 1)
    check("bench frames", waits)
    assert all(value > 0 for name, value in waits["archives"][0].items() if name.endswith("_seconds"))
    bare = run("inspect", tmp_path / "a.hxd")
    assert paths(bare) <= {name.removesuffix("[]") for name in documented("inspect")}
    assert {"version", "bytes"} <= set(bare)


def test_bench(tmp_path: Path, run: Run) -> None:
    np.save(tmp_path / "a.npy", np.arange(2 * 2 * 8 * 8, dtype=np.int16).reshape(2, 2, 8, 8))
    made = run("bench", "run", tmp_path / "a.npy", "--only", "hexdicom", "--profile", "lossless", "-o", tmp_path / "result.json")
    check("bench run", made, {"skipped", "failures", "means", "points", "comparisons"})
    names = documented("bench run")
    for prefix, kind in (("points[].", Point), ("comparisons[].", Comparison), ("failures[].", BenchFailure)):
        assert {f"{prefix}{field.name}" for field in fields(kind)} <= {name.removesuffix("[]") for name in names}  # type: ignore[arg-type]
    assert [one["largest_error"] for one in made["results"]] == [0]
    assert json.loads((tmp_path / "result.json").read_text("utf-8")) == made


def test_node(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "hexdicom.toml"
    assert cli.run(["node", "init", "--config", str(config), "--state-dir", str(tmp_path / "state"), "--port", "0"]) == 0
    capsys.readouterr()
    check("node check", run("node", "check", "--config", config))
    now = run("node", "status", "--config", config)  # `check` has opened the catalog
    assert now["running"] is False
    check("node status", now, {"working", "failures", "attention"})
    check("node jobs", run("node", "jobs", "--config", config), {"jobs"})
    names = documented("node status")
    for prefix, one in (("working[].", Work), ("failures[].", Failure), ("attention[].", Attention), ("", NodeStatus)):
        own = {f"{prefix}{field.name}" for field in fields(one)}  # type: ignore[arg-type]
        assert own <= {name.removesuffix("{}") for name in names} | {"working", "failures", "attention"}
    assert {f"jobs[].{field.name}" for field in fields(JobRow)} <= documented("node jobs")
    check("node release", run("node", "release", "--dry-run", "--config", config), {"series"})
    check("node scrub", run("node", "scrub", "--config", config), {"damaged"})
