"""What a run of the bench found, as data and as the JSON document of docs/cli-json.md. Seconds, bytes, bits per voxel."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from hexdicom.bench.comparisons import Comparison, comparisons
from hexdicom.bench.means import Mean, means
from hexdicom.bench.point import Point
from hexdicom.errors import HexdicomError

FORMAT = 2  # since 2: points and comparisons; what 1 holds is read as before


@dataclass(frozen=True, slots=True)
class Machine:
    """cores: that this process may use. gpu: its name, or "" without one."""

    cpu: str
    cores: int
    memory_bytes: int | None
    gpu: str
    system: str


@dataclass(frozen=True, slots=True)
class Series:
    """What was coded. sha256: of the stored values in C order, so that others can see whether theirs are the same.

    still_db: PSNR of the mean over time shown at every time, in dB: a model below it has not seen what moves. None: it is exact.
    """

    name: str
    shape: tuple[int, int, int, int]
    dtype: str
    lowest: int
    highest: int
    sha256: str
    still_db: float | None = None


@dataclass(frozen=True, slots=True)
class Codec:
    """Who was measured. max_error: bound on the error of a value; 0: lossless; None: lossy, there is no bound."""

    name: str
    how: str
    version: str
    max_error: int | None
    ours: bool


@dataclass(frozen=True, slots=True)
class Measurement:
    """A codec on a series; what it gave back was compared with what it got.

    seconds: wall clock, cpu_seconds: of all threads and programs together; medians over the rounds, without imports.
    peak_bytes: the most resident memory of the process that ran this step with everything it started, interpreter, libraries
        and the array included; None where it is not known.
    largest_error: of a value; 0: every one came back.
    """

    series: str
    codec: str
    max_error: int
    bytes: int
    bits_per_voxel: float
    encode_seconds: float
    decode_seconds: float
    encode_cpu_seconds: float
    decode_cpu_seconds: float
    encode_peak_bytes: int | None
    decode_peak_bytes: int | None
    largest_error: int


@dataclass(frozen=True, slots=True)
class Skip:
    """What was not measured, and why. codec, series: "" where that holds for all of them."""

    codec: str
    series: str
    reason: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A codec that broke, or broke its promise. step: `encode`, `decode` or `compare`. setting: of a lossy codec."""

    codec: str
    series: str
    step: str
    error: str
    setting: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One run on one machine. date: ISO 8601. commit: "" outside a checkout; ends in + where files were changed since."""

    suite: str
    command: str
    date: str
    hexdicom: str
    commit: str
    python: str
    packages: dict[str, str]
    machine: Machine
    rounds: int
    against: tuple[str, ...]
    series: tuple[Series, ...] = ()
    codecs: tuple[Codec, ...] = ()
    results: tuple[Measurement, ...] = ()
    points: tuple[Point, ...] = ()
    skipped: tuple[Skip, ...] = ()
    failures: tuple[Failure, ...] = field(default=())

    def means(self) -> tuple[Mean, ...]:
        return means(self.results, self.against)

    def comparisons(self) -> tuple[Comparison, ...]:
        return comparisons(self.points, self.against)

    def codec(self, name: str) -> Codec:
        return next(codec for codec in self.codecs if codec.name == name)

    def with_one(self, found: Series | Codec | Measurement | Point | Skip | Failure) -> Run:
        """The same with one more of what a run finds; what is there already is not doubled."""
        places = {Measurement: "results", Point: "points", Skip: "skipped", Failure: "failures"}
        place = {Series: "series", Codec: "codecs", **places}[type(found)]
        there: tuple[Any, ...] = getattr(self, place)
        more: dict[str, Any] = {} if found in there else {place: (*there, found)}
        return replace(self, **more)

    def to_json(self) -> dict[str, Any]:
        means, compared = ([asdict(one) for one in found] for found in (self.means(), self.comparisons()))
        return {"format": FORMAT, **asdict(self), "means": means, "comparisons": compared}


def from_json(document: Any) -> Run:
    """The run that `to_json` wrote. Raises HexdicomError for anything else."""
    hint = "Give the file that `hexdicom bench run -o` wrote."
    try:
        if document["format"] not in range(1, FORMAT + 1):
            raise HexdicomError(f"This result has format {document['format']}; {FORMAT} is known here.", hint=hint)
        fields = {name: value for name, value in document.items() if name not in ("format", "means", "comparisons")}
        fields.setdefault("points", ())  # format 1 has none
        parts = {"codecs": Codec, "results": Measurement, "points": Point, "skipped": Skip, "failures": Failure}
        for name, kind in parts.items():
            fields[name] = tuple(kind(**one) for one in fields[name])
        fields["series"] = tuple(Series(**{**one, "shape": tuple(one["shape"])}) for one in fields["series"])
        return Run(**{**fields, "machine": Machine(**fields["machine"]), "against": tuple(fields["against"])})
    except (KeyError, TypeError) as error:
        raise HexdicomError(f"This is not a result of the bench: {error}.", hint=hint) from error
