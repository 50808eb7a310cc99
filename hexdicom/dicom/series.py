"""From headers to 4-D groups: every file ends up in exactly one group, or is passed through with the reason.

Pure but for `plan_files`: nothing here reads pixels. A group never spans series.
"""

from __future__ import annotations

import errno
import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from hexdicom import durable
from hexdicom.dicom import time_key
from hexdicom.dicom.folder import scan
from hexdicom.dicom.group import series_plan
from hexdicom.dicom.holes import holes
from hexdicom.dicom.instance import Instance, read_header
from hexdicom.dicom.plan import Assembly, Hole, PassedThrough, SeriesPlan
from hexdicom.dicom.stack import Slice, Slot, difference, slots_of, stacks
from hexdicom.errors import SeriesError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

_SHORT = (errno.ENOMEM, errno.EMFILE, errno.ENFILE)  # says nothing of the file


def plan_files(paths: Iterable[Path]) -> Assembly:
    """Plan all files below the paths. What cannot be read is passed through.

    Raises NotFound for a missing path; MemoryError, StoreError where memory or file descriptors are short: another time it may do.
    """
    instances, unreadable = [], []
    for path in scan(paths):
        try:
            instances.append(read_header(path))
        except SeriesError as error:
            unreadable.append(PassedThrough(path, error.message))
        except MemoryError:
            raise
        except OSError as error:
            if error.errno in _SHORT:
                with durable.on_disk(path):
                    raise
            unreadable.append(PassedThrough(path, f"The file cannot be read: {error.strerror}."))
        except Exception:
            log.exception("a header could not be understood", extra={"event": "header.failed"})
            unreadable.append(PassedThrough(path, "The header cannot be understood."))
    assembly = plan(instances)
    return replace(assembly, passed_through=_sorted([*assembly.passed_through, *unreadable]))


def plan(instances: Sequence[Instance]) -> Assembly:
    """Find the 4-D groups. Groups come in the order of their first file, passed-through files by path."""
    passed: list[PassedThrough] = []
    series: dict[tuple[str, str], list[Instance]] = {}
    known: dict[str, Instance] = {}
    for instance in sorted(instances, key=lambda instance: instance.path):
        if instance.refusal:
            passed.append(_pass(instance, instance.refusal))
        elif instance.sop_instance_uid in known:
            first = known[instance.sop_instance_uid]
            passed.append(_pass(instance, f"duplicate: it has the SOP Instance UID of {first.path.name}."))
        else:
            known[instance.sop_instance_uid] = instance
            series.setdefault((instance.study_instance_uid, instance.series_instance_uid), []).append(instance)
    groups: list[SeriesPlan] = []
    for members in series.values():
        own_groups, own_passed = _plan_series(members)
        groups += own_groups
        passed += own_passed
    return Assembly(tuple(groups), _sorted(passed))


def _plan_series(instances: Sequence[Instance]) -> tuple[list[SeriesPlan], list[PassedThrough]]:
    groups, passed = [], []
    found = stacks(slots_of(instances))
    mixed = _mixed(found)
    if mixed:
        passed += [_pass(other.instance, _mixture(one, other)) for one, other in mixed.values()]
        found = stacks(slots_of(instance for instance in instances if instance.sop_instance_uid not in mixed))
    several = len({_first(stack).frame.component for stack in found}) > 1
    for stack in found:
        group, own_passed = _plan_stack(stack)
        passed += own_passed
        if group:
            groups.append(replace(group, component=_first(stack).frame.component if several else ""))
    return groups, passed


def _plan_stack(stack: Sequence[Slice]) -> tuple[SeriesPlan | None, list[PassedThrough]]:
    """The group of a stack, and what is left out of it. Without a group all its files are."""
    whole = [list(slice_.slots) for slice_ in stack]
    members = {slot.instance.sop_instance_uid: slot.instance for slots in whole for slot in slots}
    duplicates = _duplicates(whole)
    slices = [[slot for slot in slots if slot.instance.sop_instance_uid not in duplicates] for slots in whole]
    times = max(map(len, slices))

    def refused(reason: str, empty: tuple[Hole, ...] = ()) -> tuple[None, list[PassedThrough]]:
        left = [_pass(instance, reason, empty) for uid, instance in members.items() if uid not in duplicates]
        return None, left + [_pass(members[uid], why) for uid, why in duplicates.items()]

    if times == 1:
        alike = max(map(len, whole))
        if alike > 1:
            duplicates.clear()
            return refused(f"not 4-D: nothing tells the {alike} pictures of a place apart.")
        return refused("not 4-D: a single picture." if len(stack) == 1 else f"not 4-D: one time point, {len(stack)} slices.")
    chosen = time_key.choose(slices)
    if chosen is None:
        return refused(f"not 4-D: no attribute puts the {times} pictures of a slice in order.")
    keyword, ordered = chosen
    if any(len(slots) < times for slots in ordered):
        return refused(_incomplete(ordered), holes([_orders(slots, keyword) for slots in ordered]))
    group = series_plan([replace(at, slots=tuple(slots)) for at, slots in zip(stack, ordered, strict=True)], keyword)
    return group, [_pass(members[uid], reason) for uid, reason in duplicates.items()]


def _duplicates(slices: Sequence[Sequence[Slot]]) -> dict[str, str]:
    """Reasons by SOP Instance UID: instances that show what another one shows, at the same place and time."""
    frames: dict[str, list[tuple[int, tuple[time_key.TimeValue, ...]]]] = {}
    members: dict[str, Instance] = {}
    for place, slots in enumerate(slices):
        for slot in slots:
            members[slot.instance.sop_instance_uid] = slot.instance
            frames.setdefault(slot.instance.sop_instance_uid, []).append((place, slot.times))
    first: dict[tuple[tuple[int, tuple[time_key.TimeValue, ...]], ...], str] = {}
    out: dict[str, str] = {}
    for uid, shown in frames.items():
        kept = first.setdefault(tuple(shown), uid)
        if kept != uid:
            out[uid] = f"duplicate: same place and time as {members[kept].path.name}, with another SOP Instance UID."
    left = [[slot for slot in slots if slot.instance.sop_instance_uid not in out] for slots in slices]
    if all(len(instance.frames) == 1 for instance in members.values()):
        found = time_key.repeats(left)
        for one, other in found[1] if found else []:
            at = time_key.time_of(one, found[0]) if found else None
            out[other.instance.sop_instance_uid] = (
                f"duplicate: same place and {found[0] if found else ''} {at.text if at else ''} "
                f"as {one.instance.path.name}, with another SOP Instance UID."
            )
    return out


def _mixed(found: Sequence[Sequence[Slice]]) -> dict[str, tuple[Slot, Slot]]:
    """Objects whose frames lie in several stacks, with two frames that show it."""
    seen: dict[str, tuple[int, Slot]] = {}
    out: dict[str, tuple[Slot, Slot]] = {}
    for number, stack in enumerate(found):
        for slice_ in stack:
            for slot in slice_.slots:
                at, first = seen.setdefault(slot.instance.sop_instance_uid, (number, slot))
                if at != number:
                    out.setdefault(slot.instance.sop_instance_uid, (first, slot))
    return out


def _mixture(one: Slot, other: Slot) -> str:
    return f"not one 4-D group: its frames are of several {difference(one, other)}."


def _incomplete(slices: Sequence[Sequence[Slot]]) -> str:
    lengths = Counter(map(len, slices)).most_common()
    times = max(map(len, slices))
    missing = sum((times - length) * count for length, count in lengths)
    shown = ", ".join(f"{count} of {length}" for length, count in lengths[:3])
    more = ", …" if len(lengths) > 3 else ""
    announced = slices[0][0].instance.announced_times
    expected = f" The header announces {announced} time points." if announced > times else ""
    return (
        f"incomplete: {times} × {len(slices)} frames (time × slice) expected, {missing} missing; "
        f"slices by number of frames: {shown}{more}.{expected}"
    )


def _orders(slots: Sequence[Slot], keyword: str) -> list[tuple[float, ...]]:
    return [found.order for slot in slots if (found := time_key.time_of(slot, keyword))]


def _first(stack: Sequence[Slice]) -> Slot:
    return stack[0].slots[0]


def _pass(instance: Instance, reason: str, empty: tuple[Hole, ...] = ()) -> PassedThrough:
    return PassedThrough(instance.path, reason, instance.series_instance_uid, instance.sop_instance_uid, empty)


def _sorted(passed: Iterable[PassedThrough]) -> tuple[PassedThrough, ...]:
    return tuple(sorted(passed, key=lambda one: one.path))
