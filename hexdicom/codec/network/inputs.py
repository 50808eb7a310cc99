"""What the network is told of the voxels of a wavefront, from what is already decoded: in torch, slices side by side, in integers.

The readable form of `compiled.inputs`. Specified in docs/format.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from hexdicom.codec import logistic
from hexdicom.codec.network import tables
from hexdicom.codec.network.neighbours import (
    ERRORS_IN_FRAME,
    IN_FIRST,
    IN_FRAME,
    IN_OTHERS,
    REFERENCES,
    SIGNED_IN_FRAME,
    VALUES,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hexdicom.codec.network.field import Slice
    from hexdicom.codec.network.parameters import Parameters

_LEFT, _UP = IN_FRAME.tolist().index([0, -1]), IN_FRAME.tolist().index([-1, 0])
_SAME_PLACE = IN_FIRST.tolist().index([0, 0])
_LEAST, _MOST = -512, 511  # an input


class Tables:
    """The integer tables on a device."""

    def __init__(self, device: torch.device) -> None:
        self.scale, self.inverse_scale, self.decay, self.knots, self._mantissa_log = (
            torch.from_numpy(table).to(device)
            for table in (tables.scale(), tables.inverse_scale(), tables.decay(), logistic.knots(), tables.mantissa_log())
        )

    def log(self, values: torch.Tensor) -> torch.Tensor:
        """⌊32 log₂ v⌋ of integers 1 ≤ v < 2^53, from the leading eight bits of v, which a float64 shows"""
        bits = values.double().view(torch.int64)
        return 32 * ((bits >> 52) - 1023) + self._mantissa_log[(bits >> 45) & 127]


@dataclass(frozen=True, slots=True)
class Front:
    """The n voxels of a wavefront in the order of coding. t, y, x: (n,); place: (n,) in a flat (T, Y, X) slice."""

    t: torch.Tensor
    y: torch.Tensor
    x: torch.Tensor
    place: torch.Tensor


@dataclass(frozen=True, slots=True)
class Seen:
    """All int64. reference, activity: (Z, n), difference: (Z, n, NEIGHBOURS), in sixteenths; inputs: (Z, n, INPUTS)."""

    reference: torch.Tensor
    activity: torch.Tensor
    difference: torch.Tensor
    inputs: torch.Tensor


class Surroundings:
    """The decoded voxels of some slices and all that is kept of them, (Z, T·Y·X) each, as decoding goes on."""

    def __init__(
        self, parameters: Parameters, shape: tuple[int, int, int], fields: Sequence[Slice], device: torch.device, known: Tables
    ) -> None:
        """shape: (T, Y, X) of a slice; fields: one for each slice."""
        self._times, self._height, self._width = shape
        self._low, self._high = 16 * parameters.low, 16 * parameters.high
        self._tables = known
        size = self._times * self._height * self._width
        self.values, self._errors = (torch.zeros(len(fields), size, dtype=torch.int32, device=device) for _ in range(2))
        # of all frames before t; one frame more than there are, so that the last needs no exception
        history = size + self._height * self._width
        self._mean, self._deviation = (torch.zeros(len(fields), history, dtype=torch.int32, device=device) for _ in range(2))
        self._references = torch.from_numpy(parameters.references).to(device)  # (T, 3)
        self._linear = torch.from_numpy(parameters.linear).to(device).long()  # (VALUES,)
        self._recency = torch.from_numpy(tables.recency(self._times)).to(device)  # (T,)
        self._in_frame, self._in_first, self._in_others, self._near_errors = (
            torch.from_numpy(offsets).to(device) for offsets in (IN_FRAME, IN_FIRST, IN_OTHERS, ERRORS_IN_FRAME)
        )
        self._field_yx = torch.from_numpy(fields[0][0]).to(device)  # (Y, X, k): the same for all slices
        self._field_tx, self._field_ty = (
            torch.stack([torch.from_numpy(field[part]) for field in fields]).to(device) for part in (1, 2)
        )  # (Z, T, X, k), (Z, T, Y, k)

    def see(self, front: Front) -> Seen:
        references = self._references[front.t]  # (n, 3)
        some = references >= 0  # (n, 3)
        later = front.t > 0  # (n,)
        frame, inside = self._in_this(self.values, front, self._in_frame)  # (Z, n, i), (n, i)
        earlier = [
            self._around(self.values, references[:, k], front, self._in_others if k else self._in_first) for k in range(REFERENCES)
        ]
        total = frame[..., _LEFT] + frame[..., _UP] + 2 * earlier[0][..., _SAME_PLACE] * some[:, 0]  # (Z, n)
        parts = inside[:, _LEFT].long() + inside[:, _UP] + 2 * some[:, 0]  # (n,)
        reference = torch.where(parts > 0, _divided(16 * total, parts), self._low)  # (Z, n)

        centre = reference[..., None]
        in_frame = (16 * frame - centre) * inside
        others = [(16 * values - centre) * some[:, k, None] for k, values in enumerate(earlier)]
        mean = (self._around(self._mean, front.t, front, self._in_others) - centre) * later[:, None]
        spread = self._around(self._deviation, front.t, front, self._in_others).sum(-1)  # (Z, n)
        around = torch.cat((in_frame, *others, mean), -1)  # (Z, n, VALUES)
        present = inside.sum(1)
        flat = _divided(in_frame.abs().sum(-1), present) + 8  # (Z, n)
        for k, values in enumerate(earlier):
            present = present + some[:, k] * values.shape[-1]
        present = present + later * mean.shape[-1]
        activity = _divided(around.abs().sum(-1), present) + 8  # (Z, n)

        near, _ = self._in_this(self._errors, front, self._near_errors)  # (Z, n, 6)
        before = self._around(self._errors, references[:, 0], front, self._in_others) * some[:, :1]  # (Z, n, 9)
        middle = before[..., before.shape[-1] // 2, None]
        difference = torch.cat((around, near[..., :SIGNED_IN_FRAME], middle), -1)  # (Z, n, NEIGHBOURS)

        log = self._tables.log
        scalars = (
            log(activity) - 224,
            log(reference - self._low + 16) - 320,
            (log(spread + 9) - log(9 * activity)) * (front.t > 1),
            log(flat) - log(activity),
            *(128 * some[:, k].expand_as(reference) for k in range(REFERENCES)),
            log(near.abs().sum(-1) + 6) - log(activity) - 83,
            (log(before.abs().sum(-1) + 9) - log(activity) - 101) * some[:, 0],
        )
        inputs = torch.cat((torch.stack(scalars, -1), self._field(front)), -1).clamp(_LEAST, _MOST)
        return Seen(reference, activity, difference, torch.cat((_squashed(difference, activity), inputs), -1))

    def put(self, front: Front, seen: Seen, value: torch.Tensor) -> None:
        """Take in the (Z, n) values of a wavefront, once they are decoded."""
        predicted = seen.reference + ((seen.difference[..., :VALUES] * self._linear).sum(-1) >> 12)
        fine = 16 * value
        self.values[:, front.place] = value.int()
        self._errors[:, front.place] = (fine - predicted.clamp(self._low, self._high)).int()
        later, following = front.t > 0, front.place + self._height * self._width
        past = torch.where(later, self._mean[:, front.place], fine)
        gap = fine - past
        self._mean[:, following] = (past + (gap * self._recency[front.t] >> 16)).int()
        spread = self._deviation[:, front.place].long()
        change = (gap.abs() - spread) * self._recency[(front.t - 1).clamp(min=0)] >> 16
        self._deviation[:, following] = ((spread + change) * later).int()

    def _in_this(self, source: torch.Tensor, front: Front, offsets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """In the frame of each voxel -> (Z, n, k), 0 where the neighbour is outside, and (n, k) whether it is inside."""
        y, x = front.y[:, None] + offsets[:, 0], front.x[:, None] + offsets[:, 1]
        inside = (y >= 0) & (x >= 0) & (x < self._width)
        place = (front.t[:, None] * self._height + y.clamp(min=0)) * self._width + x.clamp(0, self._width - 1)
        return source[:, place].long() * inside, inside

    def _around(self, source: torch.Tensor, frame: torch.Tensor, front: Front, offsets: torch.Tensor) -> torch.Tensor:
        """In frame (n,), where the border goes on for ever -> (Z, n, k). Of no meaning where `frame` is −1."""
        y = (front.y[:, None] + offsets[:, 0]).clamp(0, self._height - 1)
        x = (front.x[:, None] + offsets[:, 1]).clamp(0, self._width - 1)
        place = (frame.clamp(min=0)[:, None] * self._height + y) * self._width + x
        return source[:, place].long()

    def _field(self, front: Front) -> torch.Tensor:
        """-> (Z, n, FIELD_CHANNELS)"""
        first = self._field_yx[front.y, front.x] * self._field_tx[:, front.t, front.x]
        return ((first + 128 >> 8) * self._field_ty[:, front.t, front.y] + 128) >> 8


def _squashed(difference: torch.Tensor, activity: torch.Tensor) -> torch.Tensor:
    """Differences over activity, −256..256, steep in the middle and flat at the ends"""
    limit, ratio = 5 * activity[..., None], (455 << 10) // activity[..., None]
    u = (torch.minimum(torch.maximum(difference, -limit), limit) * ratio >> 14).clamp(-128, 128)
    return u * (49152 - u * u) >> 14


def _divided(total: torch.Tensor, parts: torch.Tensor) -> torch.Tensor:
    """⌊total / parts⌋, parts of 0 as 1"""
    return torch.div(total, parts.clamp(min=1), rounding_mode="floor")
