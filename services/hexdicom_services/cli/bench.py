"""`hexdicom bench`: measure on this machine. Medians of several rounds; compare within one run, machines are noisy."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hexdicom_services.cli import bench_output
from hexdicom_services.cli.files import read_bytes, write_whole
from hexdicom_services.cli.output import PARTLY_DONE, emit, json_option, messages, screen, size, table
from hexdicom_services.cli.profile_options import device_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hexdicom.bench.peers import Peer


SUITES = ("lossless", "ablation", "paper")


@click.group()
def bench() -> None:
    """Measure on this machine."""


@bench.command("run")
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--suite", type=click.Choice(SUITES), default="lossless", show_default=True, help="What to compare.")
@click.option("-o", "--output", metavar="RESULT.json", type=click.Path(path_type=Path), help="Where to write the result.")
@click.option("--only", multiple=True, metavar="NAME", help="Only this codec, or `hexdicom` for all of ours. Repeatable.")
@click.option(
    "--profile", "profiles", multiple=True, metavar="NAME", help="Ours in this profile; else in each of the kind. Repeatable."
)
@click.option(
    "--against",
    multiple=True,
    metavar="NAME",
    help="Codec to compare with; else JPEG-LS, JPEG XL, tomoz; paper: HEVC (z). Repeatable.",
)
@click.option("--rounds", default=1, show_default=True, type=click.IntRange(1), help="Of each step; the median time counts.")
@click.option("--max-error", default=0, metavar="N", type=click.IntRange(0), help="Also near-lossless: ours and JPEG-LS within N.")
@click.option(
    "--ratio", "ratios", multiple=True, type=click.FloatRange(1), help="paper: size of the models and of ours. Repeatable."
)
@click.option("--steps", type=click.IntRange(1), help="paper: of each fit; else 80000, which is meant for a GPU.")
@click.option("--fit-seconds", default=0.0, metavar="N", type=click.FloatRange(0), help="paper: stop each fit after N seconds.")
@device_option
@json_option
def run_(
    sources: tuple[Path, ...], suite: str, output: Path | None, only: tuple[str, ...], profiles: tuple[str, ...],
    against: tuple[str, ...], rounds: int, max_error: int, ratios: tuple[float, ...], steps: int | None, fit_seconds: float,
    device: str, as_json: bool,
) -> None:  # fmt: skip
    """Lossless size, time and memory of our codec and of others, on the same values; or, as an ablation, of our codec without
    what makes it small; or the lossy codecs of the paper behind hexdicom: BD-rate, PSNR at each rate, and time.

    SRC are DICOM files and folders, or arrays: .nii, .npy, and .npz with `stored_values`, axes (time, slice, row, column).
    The others: JPEG-LS, JPEG 2000, HTJ2K and JPEG XL frame by frame; x265, FFV1 and tomoz along t. `pip install
    'hexdicom[bench]'` brings them; who is missing is named. Encoding and decoding run in processes of their own; every
    result is compared value by value. A codec that fails is recorded and the run goes on; the exit code is then 4.

    The suite `paper` fits the six-plane model as published, NeRF and SIREN at each ratio, and runs HEVC along z (the paper's
    anchor) and t, AV1 along t, JPEG 2000, SPERR and our lossy profile. Fits are long without a GPU: bound them.
    """
    if suite == "paper":
        peers, compared = _paper(only, against, profiles, max_error, ratios, steps, fit_seconds, device)
    elif ratios or steps or fit_seconds:
        raise click.UsageError("--ratio, --steps and --fit-seconds belong to the suite paper.")
    else:
        peers, compared = _peers(suite, only, against, profiles, max_error, device)
    from hexdicom.bench import machine
    from hexdicom.bench.result import Run
    from hexdicom.bench.runner import measure
    from hexdicom_services.cli.bench_sources import find

    series = find(sources)
    run = Run(
        suite=suite,
        command=shlex.join(["hexdicom", *sys.argv[1:]]),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        hexdicom=machine.version(),
        commit=machine.commit(),
        python=machine.python(),
        packages=machine.packages(),
        machine=machine.this_machine(),
        rounds=rounds,
        against=compared,
    )
    with messages().status("reading") as line:
        for found in measure(series, peers, rounds, say=line.update):
            run = run.with_one(found)
            said = bench_output.line(found)
            if said:
                messages().print(said, soft_wrap=True)
            if output is not None:  # after each: a run takes hours, and may be stopped
                write_whole(output, json.dumps(run.to_json(), indent=1, ensure_ascii=False).encode())
    if as_json:
        emit(run.to_json())
    else:
        bench_output.show(run)
    if run.failures:
        raise click.exceptions.Exit(PARTLY_DONE)


@bench.command()
@click.argument("result", metavar="RESULT.json", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="A folder, or a file ending in .html or .md.",
)
def report(result: Path, output: Path) -> None:
    """Tables and charts of a result of `hexdicom bench run`.

    DIR gets report.html, one page that needs no other file, report.md with the same tables, and the charts as .svg.
    """
    from hexdicom.bench import markdown, page
    from hexdicom.bench.result import from_json
    from hexdicom.errors import HexdicomError

    try:
        run = from_json(json.loads(read_bytes(result)))
    except ValueError as error:
        raise HexdicomError(f"{result} is not JSON: {error}.", hint="Give the file that `hexdicom bench run -o` wrote.") from error
    if output.suffix == ".md":
        write_whole(output, markdown.text(run).encode())
        written = [output]
    elif output.suffix == ".html":
        write_whole(output, page.html(run).encode())
        written = [output]
    else:
        from hexdicom.bench import charts

        files = {"report.html": page.html(run), "report.md": markdown.text(run)}
        files |= {f"{name}.svg": svg for name, svg in charts.draw(run).items()}
        for name, content in files.items():
            write_whole(output / name, content.encode())
        written = [output / name for name in files]
    for path in written:
        screen().print(str(path), soft_wrap=True)


@bench.command()
@click.option("--instances", default=1200, show_default=True, type=click.IntRange(1), help="Instances of 131 kB to send.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Rounds; the median counts.")
@click.option("--associations", "-n", multiple=True, default=(1, 4, 16), show_default=True, type=click.IntRange(1), help="At once.")
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 64), help="Receivers of the node.")
@json_option
def receive(instances: int, rounds: int, associations: tuple[int, ...], processes: int, as_json: bool) -> None:
    """Instances per second that the node takes, and CPU time for each.

    DCMTK's storescu sends to the node, to DCMTK's storescp and to Orthanc in turn, with TCP_NODELAY on both ends. The node
    answers only after file and folder are on disk; Orthanc, by its defaults, after the file is; storescp waits for no disk. Sender
    and receiver share the machine.
    """
    from hexdicom_services.cli.bench_receive import measure

    with messages().status("starting") as line:
        results = measure(instances, rounds, associations, processes, say=line.update)
    if as_json:
        emit({"instances": instances, "rounds": rounds, "processes": processes, "receivers": results})
        return
    columns = ("receiver", "associations", "instances/s", "MB/s", "CPU ms each", "rounds")
    rows = table(*columns, right=columns[1:5])
    for one in results:
        rows.add_row(
            one["receiver"],
            str(one["associations"]),
            f"{one['instances_per_second']:.0f}",
            f"{one['megabytes_per_second']:.1f}",
            f"{one['cpu_seconds_per_instance'] * 1000:.2f}",
            ", ".join(f"{value:.0f}" for value in one["rounds"]),
        )
    screen().print(rows)


@bench.command()
@click.argument("archives", metavar="ARCHIVE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--preview", is_flag=True, help="Of exact archives: from the base layer alone.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Rounds; the fastest counts.")
@device_option
@json_option
def frames(archives: tuple[Path, ...], preview: bool, rounds: int, device: str, as_json: bool) -> None:
    """How long a viewer waits for a frame.

    ARCHIVE is an archive object, a folder with the parts of one, or an .hxd file. Measured are opening, the first frame of a
    slice, every other frame, and decoding everything. Starting the process is not in it.
    """
    from hexdicom_services.cli.archive_file import bitstream
    from hexdicom_services.cli.bench_frames import measure

    found = []
    with messages().status("decoding") as line:
        for archive in archives:
            line.update(archive.name)
            found.append({"archive": archive.name, **measure(bitstream(archive), preview, rounds, device)})
    if as_json:
        emit({"rounds": rounds, "preview": preview, "archives": found})
        return
    columns = ("archive", "bytes", "open", "new slice", "frame", "slowest", "all")
    rows = table(*columns, right=columns[1:])
    for one in found:
        waits = [value for name, value in one.items() if name.endswith("_seconds")]
        told = (f"{wait:.2f} s" if wait >= 0.1 else f"{1000 * wait:.2f} ms" for wait in waits)
        rows.add_row(one["archive"], size(one["bytes"]), *told)
    screen().print(rows)


def _paper(
    only: tuple[str, ...], against: tuple[str, ...], profiles: tuple[str, ...], max_error: int, ratios: tuple[float, ...],
    steps: int | None, seconds: float, device: str,
) -> tuple[tuple[Peer, ...], tuple[str, ...]]:  # fmt: skip
    """Who is measured, and against whom. Raises UsageError, ConfigError without scipy, and what load_profile raises."""
    from hexdicom.bench import paper, rates
    from hexdicom_services.shipped import load_profile, profile_names

    if max_error:
        raise click.UsageError("--max-error belongs to the suite lossless.")
    ours = [load_profile(name) for name in profiles] or [
        profile for profile in map(load_profile, profile_names()) if profile.kind == "lossy"
    ]
    for profile in ours:
        if profile.kind != "lossy":
            raise click.UsageError(f"Profile {profile.name} is {profile.kind}; the suite is lossy.")
    everyone = paper.peers(ours, ratios or paper.RATIOS, steps or paper.STEPS, seconds, device)
    chosen, compared = _chosen(everyone, only), _chosen(everyone, against or (paper.ANCHOR,))
    rates.interpolator()  # missed after an hour of fits it would be a pity
    return chosen, tuple(dict.fromkeys(peer.name for peer in compared))


def _peers(
    suite: str, only: tuple[str, ...], against: tuple[str, ...], profiles: tuple[str, ...], max_error: int, device: str
) -> tuple[tuple[Peer, ...], tuple[str, ...]]:
    """Who is measured, ours first, and against whom. Raises UsageError, and what load_profile raises."""
    from dataclasses import replace

    from hexdicom.bench import peers
    from hexdicom_services.shipped import load_profile, profile_names

    shipped = [load_profile(name) for name in profile_names()]
    ours = [load_profile(name) for name in profiles] or [profile for profile in shipped if profile.kind == "lossless"]
    for profile in ours:
        if profile.kind != "lossless":
            raise click.UsageError(f"Profile {profile.name} is {profile.kind}; the suite is lossless.")
    if suite == "ablation":
        ours = ours if profiles else [load_profile("lossless")]
        if len(ours) != 1 or max_error:
            raise click.UsageError("An ablation takes one lossless profile.")
        everyone = list(peers.ablation(ours[0], device))
        against = against or (everyone[0].name,)
    else:
        everyone = [*(peers.own(profile, device) for profile in ours), *peers.LOSSLESS]
    if max_error:
        near = [replace(profile, max_error=max_error) for profile in shipped if profile.kind == "near-lossless"]
        everyone += [*(peers.own(profile, device) for profile in near), peers.near(max_error)]
    compared = [peer.name for peer in _chosen(everyone, against) if not peer.max_error]
    return _chosen(everyone, only), tuple(compared) if against else ("JPEG-LS", "JPEG XL", "tomoz")


def _chosen(everyone: Sequence[Peer], names: tuple[str, ...]) -> tuple[Peer, ...]:
    """Raises UsageError for a name that is nobody's."""
    from hexdicom.bench import peers

    try:
        return peers.chosen(everyone, names)
    except KeyError as error:
        known = ", ".join(dict.fromkeys(peer.name for peer in everyone))
        raise click.UsageError(f"There is no codec {error.args[0]!r} here. Known: {known}.") from error
