"""Every codec on every series, one after another, each step in a process of its own. A codec that breaks is recorded, and the run
goes on.
"""

from __future__ import annotations

import hashlib
import json
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hexdicom.bench import memory
from hexdicom.bench.coder import Layout, Unfit, Values
from hexdicom.bench.fidelity import compare, flatness, stillness
from hexdicom.bench.point import Point
from hexdicom.bench.result import Codec, Failure, Measurement, Series, Skip
from hexdicom.errors import HexdicomError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hexdicom.bench.peers import Peer

    Found = Series | Codec | Measurement | Point | Skip | Failure

_LOOK = 0.02  # seconds between two looks at the memory of a process


def measure(
    series: Iterable[tuple[str, Callable[[], Values]]], peers: Sequence[Peer], rounds: int, say: Callable[[str], None]
) -> Iterator[Found]:
    """What is found, as it is found: first who is there and who is not, then series by series what each one did.

    series: names, and what reads the values (T, Z, Y, X); a series that cannot be read is skipped.
    """
    there = []
    for peer in peers:
        try:
            version = peer.coder().version()
        except Unfit as reason:
            yield Skip(peer.name, "", str(reason))
        else:
            there.append(peer)
            yield Codec(peer.name, peer.how, version, peer.max_error, peer.ours)
    for name, read in series:
        try:
            values = read()
        except HexdicomError as error:
            yield Skip("", name, str(error))
            continue
        layout = Layout.of(values)
        digest = hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()
        still = stillness(values) if any(peer.max_error is None for peer in there) else None
        yield Series(name, layout.shape, layout.dtype, layout.lowest, layout.highest, digest, still)
        for peer in there:
            say(f"{name}: {peer.name} {peer.setting}".rstrip())
            with tempfile.TemporaryDirectory(prefix="hexdicom-bench-") as folder:
                yield _Trial(name, values, layout, peer, rounds, Path(folder)).run()


class _Broke(Exception):
    """A step that did not end well; the message says how."""


@dataclass(frozen=True, slots=True)
class _Trial:
    """A codec on a series. folder: where the two processes find what they need, and leave what they made."""

    name: str
    values: Values
    layout: Layout
    peer: Peer
    rounds: int
    folder: Path

    def run(self) -> Measurement | Point | Skip | Failure:
        step = "encode"
        try:
            np.save(self.folder / "values.npy", self.values, allow_pickle=False)
            encoded = self._step(step, values=str(self.folder / "values.npy"))
            step = "decode"
            decoded = self._step(step, sizes=encoded["sizes"])
            step = "compare"
            return self._point(encoded, decoded) if self.peer.max_error is None else self._measured(encoded, decoded)
        except Unfit as reason:
            return Skip(self.peer.name, self.name, str(reason))
        except _Broke as broken:
            return Failure(self.peer.name, self.name, step, str(broken), self.peer.setting)

    def _measured(self, encoded: dict[str, Any], decoded: dict[str, Any]) -> Measurement:
        """Raises _Broke where a value is further away than was promised."""
        largest = self._largest_error(self.peer.max_error or 0)
        return Measurement(
            series=self.name,
            codec=self.peer.name,
            max_error=self.peer.max_error or 0,
            largest_error=largest,
            **self._costs(encoded, decoded),
        )

    def _point(self, encoded: dict[str, Any], decoded: dict[str, Any]) -> Point:
        """Raises _Broke where one grey for the whole series is no worse: such a bitstream is no image."""
        fidelity = compare(self.values, self._back())
        if fidelity.psnr_db is not None and fidelity.psnr_db <= flatness(self.values):
            raise _Broke(f"is no better than one grey for the whole series: {fidelity.psnr_db:.2f} dB")
        done, asked = encoded["steps"]
        return Point(
            series=self.name,
            codec=self.peer.name,
            setting=self.peer.setting,
            psnr_db=fidelity.psnr_db,
            worst_frame_db=fidelity.worst_frame_db,
            largest_error=fidelity.largest_error,
            steps=done,
            steps_asked=asked,
            **self._costs(encoded, decoded),
        )

    def _costs(self, encoded: dict[str, Any], decoded: dict[str, Any]) -> dict[str, Any]:
        size = sum(encoded["sizes"])
        return {
            "bytes": size,
            "bits_per_voxel": 8 * size / self.layout.voxels,
            "encode_seconds": statistics.median(encoded["seconds"]),
            "decode_seconds": statistics.median(decoded["seconds"]),
            "encode_cpu_seconds": statistics.median(encoded["cpu_seconds"]),
            "decode_cpu_seconds": statistics.median(decoded["cpu_seconds"]),
            "encode_peak_bytes": encoded["peak"],
            "decode_peak_bytes": decoded["peak"],
        }

    def _step(self, step: str, **more: Any) -> dict[str, Any]:
        """The answer of the process that does it. Raises Unfit, _Broke."""
        request = {"step": step, "peer": asdict(self.peer), "layout": asdict(self.layout), "rounds": self.rounds, **more}
        answer = self.folder / "answer.json"
        answer.unlink(missing_ok=True)
        (self.folder / "request.json").write_text(json.dumps(request), "utf-8")
        command = [sys.executable, "-m", "hexdicom.bench.trial", str(self.folder)]
        with (self.folder / "said").open("wb") as said:
            code, seen = _watched(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said))
        if code != 0 or not answer.is_file():
            raise _Broke(_last_words(code, self.folder / "said"))
        told: dict[str, Any] = json.loads(answer.read_text("utf-8"))
        if "unfit" in told:
            raise Unfit(told["unfit"])
        own = told["high_water"]
        return {**told, "peak": None if own is None else max(seen, own)}

    def _back(self) -> Values:
        """What came out. Raises _Broke where it is another kind of array."""
        back: Values = np.load(self.folder / "decoded.npy", allow_pickle=False)
        if back.shape != self.values.shape or back.dtype != self.values.dtype:
            raise _Broke(f"gave {back.dtype} of shape {back.shape} back, for {self.values.dtype} of {self.values.shape}")
        return back

    def _largest_error(self, allowed: int) -> int:
        """Of a value. Raises _Broke where it is more than that."""
        back = self._back()
        if np.array_equal(back, self.values):
            return 0
        largest = max(int(np.abs(a.astype(np.int32) - b.astype(np.int32)).max()) for a, b in zip(back, self.values, strict=True))
        if largest > allowed:
            raise _Broke(f"values differ by up to {largest}; {allowed or 'none'} is allowed")
        return largest


def _watched(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Exit code, and the most memory that was seen in it and everything it started, in bytes. Ends it where we are ended."""
    most = 0
    try:
        while True:
            try:
                return process.wait(_LOOK), most
            except subprocess.TimeoutExpired:
                most = max(most, memory.of_tree(process.pid))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _last_words(code: int, said: Path) -> str:
    lines = said.read_text("utf-8", errors="replace").split("\n")
    words = next((line.strip() for line in reversed(lines) if line.strip()), "")
    if code < 0:
        return f"ended by {signal.Signals(-code).name}{f': {words}' if words else ''}"[:400]
    return (words or f"ended with exit code {code}")[:400]
