"""What the last hour looked like: a bounded list of samples in memory.

A restart of operations begins a new history. None means unknown and is never shown as 0.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from operations.monitoring.service_metrics import MetricsIncrease

INTERVAL_S = 10.0
SAMPLES_MAX = 360
SLOT_S = 30
"""A time line has one point for each slot of this length."""
WINDOWS = (20, 40, 60, 120)
"""The lengths of time lines in slots: 10, 20 or 30 minutes while the history is that short, then an hour."""
_LATE_S = 2.5 * INTERVAL_S

Value = float | None
"""A point of a time line. None: unknown. NaN: nothing to draw, such as a percentile of no observation."""
NOTHING = math.nan


@dataclass(frozen=True)
class ServiceSample:
    """One service. `ready`: waiting messages; `out_s`: messages acknowledged per second.

    `metrics` is None if the service did not respond or was restarted since the previous sample.
    """

    ready: float | None
    in_s: float | None
    out_s: float | None
    metrics: MetricsIncrease | None


@dataclass(frozen=True)
class Sample:
    """The system at one moment. `on_ladder`: messages that wait on the retry ladder."""

    at: datetime
    services: Mapping[str, ServiceSample]
    on_ladder: float | None


Slot = Sequence[Sample] | None
"""The samples of one slot; None before the history began. Without a sample, the slot is unknown."""


class History:
    """At most SAMPLES_MAX samples, the oldest first."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self.began: datetime | None = None

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def latest(self) -> Sample | None:
        return self._samples[-1] if self._samples else None

    def begin(self, now: datetime) -> None:
        self.began = now

    def add(self, sample: Sample) -> None:
        self._samples.append(sample)

    def recent(self, now: datetime) -> Sample | None:
        """The latest sample; None if it is too old to describe the present."""
        latest = self.latest
        return latest if latest and (now - latest.at).total_seconds() <= _LATE_S else None

    def window(self, now: datetime) -> int:
        """The number of slots that a time line has now: those since the history began, rounded up."""
        age_s = (now - self.began).total_seconds() if self.began else 0.0
        return next((slots for slots in WINDOWS if slots * SLOT_S > age_s), WINDOWS[-1])

    def times(self, now: datetime) -> tuple[datetime, datetime]:
        """The beginning and the end of the window."""
        last = int(now.timestamp()) // SLOT_S
        return _end(last - self.window(now)), _end(last)

    def slots(self, now: datetime) -> list[Slot]:
        """The samples of the window by slot, oldest slot first."""
        last = int(now.timestamp()) // SLOT_S
        first = last - self.window(now) + 1
        found: dict[int, list[Sample]] = {}
        for sample in self._samples:
            found.setdefault(int(sample.at.timestamp()) // SLOT_S, []).append(sample)
        slots: list[Slot] = [self._slot(number, found) for number in range(first, last + 1)]
        if not slots[-1] and self.recent(now):
            slots[-1] = None  # the slot has just begun, and its first sample is not due yet
        return slots

    def _slot(self, number: int, found: Mapping[int, Sequence[Sample]]) -> Slot:
        samples = found.get(number, ())
        if not samples and (self.began is None or _end(number) <= self.began + timedelta(seconds=INTERVAL_S)):
            return None
        return samples


def _end(number: int) -> datetime:
    return datetime.fromtimestamp((number + 1) * SLOT_S, UTC)


def series(slots: Sequence[Slot], figure: Callable[[Sequence[Sample]], Value]) -> list[Value]:
    """One point for each slot; `figure` gets at least one sample."""
    return [NOTHING if slot is None else figure(slot) if slot else None for slot in slots]


def highest(samples: Sequence[Sample], figure: Callable[[Sample], Value]) -> Value:
    """None if one is unknown."""
    values = [figure(sample) for sample in samples]
    return None if None in values else max(value for value in values if value is not None)


def mean(samples: Sequence[Sample], figure: Callable[[Sample], Value]) -> Value:
    """None if one is unknown."""
    values = [figure(sample) for sample in samples]
    return None if None in values else sum(value or 0 for value in values) / len(values)
