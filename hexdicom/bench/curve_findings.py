"""A lossy run in sentences: each codec against the anchor, what the fits could not do in their time, and how it was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexdicom.bench.curve_tables import bd_rate

if TYPE_CHECKING:
    from hexdicom.bench.result import Run


def findings(run: Run) -> list[str]:
    """A sentence per series, then what the fits could not do. Empty without points."""
    said = []
    compared = run.comparisons()
    for series in dict.fromkeys(one.series for one in compared):
        there = [one for one in compared if one.series == series and one.codec != one.against]
        judged = sorted((one for one in there if one.bd_rate is not None), key=lambda one: one.bd_rate or 0)
        names = [f"{one.codec} {bd_rate(one)}" for one in judged]
        others = [one.codec for one in there if one.bd_rate is None]
        if names:
            said.append(f"{series}, BD-rate against {judged[0].against}: {', '.join(names)}.")
        if others:
            said.append(f"{series}: no BD-rate for {', '.join(others)}; Table I says why.")
    return said + shortened(run)


def shortened(run: Run) -> list[str]:
    """The fits that did fewer steps than they were asked for, a sentence per codec: their curves are not what they could be."""
    said = []
    for codec in dict.fromkeys(point.codec for point in run.points):
        fits = [point for point in run.points if point.codec == codec and point.steps is not None]
        short = [point for point in fits if point.steps_asked is not None and (point.steps or 0) < point.steps_asked]
        if short:
            fewest, most = min(point.steps or 0 for point in short), max(point.steps or 0 for point in short)
            steps = f"{fewest} to {most}" if fewest < most else f"{most}"
            stopped = f"{len(short)} of {len(fits)} {'fit was' if len(fits) == 1 else 'fits were'} stopped by the clock"
            said.append(f"{codec}: {stopped} after {steps} of {short[0].steps_asked} steps.")
    return said


def method(run: Run) -> list[str]:
    """How it was measured, a paragraph each."""
    rounds = f"medians of {run.rounds} rounds" if run.rounds > 1 else "one round"
    still = [f"{one.name} {one.still_db:.1f} dB" for one in run.series if one.still_db is not None]
    reference = f" The mean over time, shown at every time, has: {', '.join(still)}." if still else ""
    return [
        "Every codec got the same stored values and was told what any archive knows of them anyhow: shape, type, lowest and "
        "highest value. All bytes that it wrote are counted, four for each parameter of a published model. Every bitstream was "
        "decoded in a process of its own.",
        "PSNR: over the whole series, on the decoded values as an archive would give them back, rounded to integers and within "
        "the range; the peak is the highest minus the lowest stored value of the series, not what the type could hold. A "
        f"bitstream that is no better than one grey for the whole series has failed and is on no curve.{reference}",
        "BD-rate: logarithm of the rate over PSNR, PCHIP, the mean over what both curves cover. Points of a codec that another "
        "of its own points beats in rate and PSNR are left out.",
        "The models are fitted to random voxels with Adam on the mean squared error (eq. 4), under a cosine learning rate. The "
        "paper names no number of steps, no channels and no learning rates; the default of 80 000 steps is that of the code "
        "which its NeRF and SIREN come from, and is meant for a GPU. What the clock stopped before is said above.",
        f"Times are wall clock, {rounds}, without imports, with the start of ffmpeg for the video codecs.",
    ]
