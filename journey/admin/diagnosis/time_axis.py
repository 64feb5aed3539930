"""A time axis for the diagrams of one order, on which long idle stretches are short.

An order that is handled in 200 ms and dispatched a day later would otherwise show nothing but that day.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from journey.admin.durations import duration

IDLE_MIN = timedelta(seconds=10)
_CUT_SHARE, _CUTS_SHARE_MAX = 0.08, 0.4

Interval = tuple[datetime, datetime]


@dataclass(frozen=True)
class AxisStretch:
    """A part of the axis: its times, and where it is drawn as shares of the width, from 0 to 1.

    `is_cut`: it is drawn shorter than it was.
    """

    begin: datetime
    end: datetime
    share_begin: float
    share_end: float
    is_cut: bool

    def share(self, at: datetime) -> float:
        length = (self.end - self.begin).total_seconds()
        part = (at - self.begin).total_seconds() / length if length else 0.0
        return self.share_begin + part * (self.share_end - self.share_begin)

    def time(self, share: float) -> datetime:
        width = self.share_end - self.share_begin
        part = (share - self.share_begin) / width if width else 0.0
        return self.begin + part * (self.end - self.begin)


@dataclass(frozen=True)
class TimeAxis:
    """Adjacent stretches, the earliest first; none if nothing has a time."""

    stretches: tuple[AxisStretch, ...]

    @property
    def begin(self) -> datetime | None:
        return self.stretches[0].begin if self.stretches else None

    @property
    def cuts(self) -> list[AxisStretch]:
        return [stretch for stretch in self.stretches if stretch.is_cut]

    def share(self, at: datetime) -> float:
        """Where a time is drawn, from 0 (left) to 1 (right); times beyond the axis are drawn at its ends."""
        if not self.stretches:
            return 0.0
        found = bisect_right(self.stretches, at, key=lambda stretch: stretch.begin) - 1
        return min(1.0, max(0.0, self.stretches[max(0, found)].share(at)))

    def ticks(self, count: int) -> list[tuple[float, str]]:
        """Evenly spaced positions with the time since the begin; none within a cut stretch."""
        if not self.stretches:
            return []
        begin, ticks = self.stretches[0].begin, []
        for number in range(count):
            share = number / (count - 1)
            stretch = next(each for each in reversed(self.stretches) if each.share_begin <= share)
            if number == 0 or not stretch.is_cut:
                ticks.append((share, f"+{duration(stretch.time(share) - begin)}" if number else "0"))
        return ticks


def time_axis(times: Iterable[datetime], busy: Sequence[Interval]) -> TimeAxis:
    """An axis over these times. A stretch of IDLE_MIN or more is cut, unless one of `busy` overlaps it."""
    points = sorted(set(times))
    if not points:
        return TimeAxis(())
    if len(points) == 1:
        points.append(points[0] + timedelta(milliseconds=1))
    pieces = _merged([(begin, end, _is_idle(begin, end, busy)) for begin, end in pairwise(points)])
    cuts = sum(is_cut for _, _, is_cut in pieces)
    whole = sum((end - begin for begin, end, is_cut in pieces if not is_cut), timedelta())
    cut_share = min(_CUT_SHARE, _CUTS_SHARE_MAX / cuts) if cuts else 0.0
    if not whole:  # nothing but idle stretches
        cut_share = 1.0 / cuts
    stretches, share = [], 0.0
    for begin, end, is_cut in pieces:
        width = cut_share if is_cut else (end - begin) / whole * (1.0 - cuts * cut_share)
        stretches.append(AxisStretch(begin, end, share, share + width, is_cut=is_cut))
        share += width
    return TimeAxis(tuple(stretches))


def _is_idle(begin: datetime, end: datetime, busy: Sequence[Interval]) -> bool:
    if end - begin < IDLE_MIN:
        return False
    return not any(busy_begin < end and begin < busy_end for busy_begin, busy_end in busy)


def _merged(pieces: Iterable[tuple[datetime, datetime, bool]]) -> list[tuple[datetime, datetime, bool]]:
    """Adjacent pieces that are not cut, as one."""
    merged: list[tuple[datetime, datetime, bool]] = []
    for begin, end, is_cut in pieces:
        if merged and not is_cut and not merged[-1][2]:
            begin = merged.pop()[0]
        merged.append((begin, end, is_cut))
    return merged
