"""One step, encoding or decoding, in a process of its own: `python -m hexdicom.bench.trial FOLDER`.

FOLDER/request.json says what to do; FOLDER/answer.json says what it took. The decoding process never sees the original.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hexdicom.bench.coder import Layout, Stepper, Unfit
from hexdicom.bench.memory import high_water
from hexdicom.bench.peers import Peer

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def main(folder: Path) -> None:
    """Do what the request says. What a codec raises goes to stderr, and the exit code is not 0."""
    request = json.loads((folder / "request.json").read_text("utf-8"))
    try:
        answer = _encode(folder, request) if request["step"] == "encode" else _decode(folder, request)
    except Unfit as reason:
        answer = {"unfit": str(reason)}
    (folder / "answer.json").write_text(json.dumps(answer), "utf-8")


def _encode(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    coder, layout = Peer(**request["peer"]).coder(), _layout(request)
    values = np.load(request["values"], allow_pickle=False)
    coder.load()
    pieces, answer = _timed(lambda: coder.encode(values, layout), request["rounds"])
    sizes = [len(piece) for piece in pieces]
    (folder / "bitstream").write_bytes(b"".join(pieces))
    return {**answer, "sizes": sizes, "steps": coder.steps_done() if isinstance(coder, Stepper) else (None, None)}


def _decode(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    coder, layout = Peer(**request["peer"]).coder(), _layout(request)
    data = (folder / "bitstream").read_bytes()
    ends = np.cumsum(request["sizes"])
    pieces = [data[end - size : end] for end, size in zip(ends, request["sizes"], strict=True)]
    coder.load()
    values, answer = _timed(lambda: coder.decode(pieces, layout), request["rounds"])
    np.save(folder / "decoded.npy", values, allow_pickle=False)
    return answer


def _layout(request: dict[str, Any]) -> Layout:
    told = request["layout"]
    return Layout(tuple(told["shape"]), told["dtype"], told["lowest"], told["highest"])


def _timed(work: Callable[[], T], rounds: int) -> tuple[T, dict[str, Any]]:
    """What the work returned, and wall clock and processor seconds of each round (programs that it ran included)."""
    seconds, processor = [], []
    for _ in range(rounds):
        used, started = sum(os.times()[:4]), time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - started)
        processor.append(sum(os.times()[:4]) - used)
    return result, {"seconds": seconds, "cpu_seconds": processor, "high_water": high_water()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
