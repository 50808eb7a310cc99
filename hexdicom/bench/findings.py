"""A run in sentences: what our codec gains and what that costs, and how it was measured. Nothing here is told by one side only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexdicom.bench import curve_findings
from hexdicom.bench.table import times
from hexdicom.bench.tables import ranked

if TYPE_CHECKING:
    from hexdicom.bench.means import Mean
    from hexdicom.bench.result import Run


def title(run: Run) -> str:
    return "Lossy codecs on 4-D MR" if run.suite == "paper" else "Lossless codecs on 4-D MR"


def findings(run: Run) -> list[str]:
    """Our smallest codec of each bound against each codec of comparison: size, then time. Empty where ours was not measured.

    Of a lossy suite: each codec against the anchor.
    """
    said = []
    for max_error in sorted({one.max_error for one in run.results}):
        ours = next((codec.name for codec in ranked(run, max_error) if codec.ours), None)
        said += [_sentence(mean) for mean in run.means() if mean.codec == ours and not run.codec(mean.against).ours]
    return said + curve_findings.findings(run)


def method(run: Run) -> list[str]:
    """How it was measured, a paragraph each."""
    if run.suite == "paper":
        return curve_findings.method(run)
    rounds = f"medians of {run.rounds} rounds" if run.rounds > 1 else "one round"
    return [
        "Every codec got the same stored values and was told what any archive knows of them anyhow: shape, type, lowest value and "
        "how many bits they need. All bytes that it wrote are counted. What it gave back was compared value by value.",
        f"Encoding and decoding ran one after another, each in a process of its own; times are wall clock, {rounds}, without the "
        "start of the interpreter and the import of libraries, with the start of ffmpeg for the video codecs. Every codec took as "
        "many threads as it takes by itself: the image codecs one, tomoz, the video codecs and hexdicom several. Our encoder does "
        "not decode what it wrote while it is timed; in an archive it does.",
        "Memory is the most resident memory of that process with everything it started, with nothing subtracted: interpreter, "
        "libraries (for hexdicom: PyTorch) and the array itself are in it. It is the kernel's high-water mark of the process, or "
        "the largest sum over it and the programs that it started, seen every 20 ms, where that is more.",
    ]


def setting(run: Run) -> list[tuple[str, str]]:
    """The run and its machine, as names and values."""
    memory = f", {run.machine.memory_bytes / 2**30:.0f} GiB of memory" if run.machine.memory_bytes else ""
    cores = f"{run.machine.cores} {'core' if run.machine.cores == 1 else 'cores'}"
    commit = f", commit {run.commit}" if run.commit else ""
    codecs = "; ".join(f"{codec.name}: {codec.version}" for codec in run.codecs if not codec.ours)
    packages = ", ".join(f"{name} {version}" for name, version in run.packages.items())
    return [
        ("machine", f"{run.machine.cpu}, {cores}{memory}, {run.machine.gpu or 'no GPU'}, {run.machine.system}"),
        ("date", run.date),
        ("hexdicom", f"{run.hexdicom}{commit}"),
        ("codecs", codecs or "ours alone"),
        ("software", f"Python {run.python}, {packages}"),
        ("command", run.command),
    ]


def _sentence(mean: Mean) -> str:
    change = 100 * (mean.bytes - 1)
    size = f"{abs(change):.1f} % {'fewer' if change < 0 else 'more'} bytes than {mean.against}"
    over = f"{mean.series} series" if mean.series > 1 else "one series"
    took = f"encoding takes {times(mean.encode_seconds)} times as long, decoding {times(mean.decode_seconds)} times"
    return f"{mean.codec}: {size} ({over}); {took}."
