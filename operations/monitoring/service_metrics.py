"""Reads the part of a service's `/metrics` that the time lines show.

The format is Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample as MetricSample

from contracts.catalog import CATALOG

HANDLED = "journey_messages_handled_total"
RETRIES = "journey_retries_total"
DEAD_LETTERS = "journey_dead_letters_total"
OLDEST_OPEN = "journey_oldest_open_aggregate_seconds"
QUEUE_TIME = "journey_message_queue_seconds"
PROCESS_TIME = "messaging_process_duration_seconds"
ORDER_TIME = "journey_order_duration_seconds"
_STARTED = "process_start_time_seconds"
_HISTOGRAMS = (QUEUE_TIME, PROCESS_TIME, ORDER_TIME)
_READ = (HANDLED, RETRIES, DEAD_LETTERS, OLDEST_OPEN, _STARTED, *(f"{name}_bucket" for name in _HISTOGRAMS))
_ORDERS = "orders"  # the kind of aggregate whose oldest open one is shown


class Buckets(NamedTuple):
    """A histogram: how many observations were at most each bound. The last bound is infinite."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class MetricsReading:
    """One process' totals since it started. None: the process does not have this metric.

    `started`: the Unix time of its start, which identifies the process. `handled`: by wire type. `buckets`:
    by the name of the histogram, in seconds. `oldest_open_s`: the age of the oldest open order, in seconds.
    """

    started: float
    handled: Mapping[str, int] | None = None
    retries: int | None = None
    dead_letters: int | None = None
    oldest_open_s: float | None = None
    buckets: Mapping[str, Buckets] = field(default_factory=dict)


@dataclass(frozen=True)
class MetricsIncrease:
    """What was added to a service's totals within `span_s` seconds. None: the service has no such metric."""

    span_s: float
    handled: Mapping[str, int] | None
    retries: int | None
    dead_letters: int | None
    oldest_open_s: float | None
    buckets: Mapping[str, Buckets]


def parse_metrics(text: str, service: str) -> MetricsReading:
    """Samples with a label `service` count only for that service: the shop in memory is one process.

    Raises ValueError if the text is not in Prometheus' format or does not tell when the process started.
    """
    lines = text.splitlines()
    known = {line.split()[2] for line in lines if line.startswith("# TYPE ") and line.count(" ") >= 3}
    wanted = "\n".join(line for line in lines if line.startswith(_READ)) + "\n"
    samples: dict[str, list[MetricSample]] = {name: [] for name in _READ}
    for family in text_string_to_metric_families(wanted):
        for sample in family.samples:
            if sample.name in samples and sample.labels.get("service", service) == service:
                samples[sample.name].append(sample)
    if not samples[_STARTED]:
        raise ValueError(f"{_STARTED} is missing")
    return MetricsReading(
        started=samples[_STARTED][0].value,
        handled=_handled(samples[HANDLED]) if HANDLED in known else None,
        retries=_total(samples[RETRIES]) if RETRIES in known else None,
        dead_letters=_total(samples[DEAD_LETTERS]) if DEAD_LETTERS in known else None,
        oldest_open_s=_oldest(samples[OLDEST_OPEN]) if OLDEST_OPEN in known else None,
        buckets={name: _buckets(samples[f"{name}_bucket"]) for name in _HISTOGRAMS if name in known},
    )


def increase(before: MetricsReading, now: MetricsReading, span_s: float) -> MetricsIncrease | None:
    """None if the process was replaced between the two readings: what the old one did last is unknown."""
    if before.started != now.started:
        return None
    handled = None
    if now.handled is not None:
        earlier = before.handled or {}
        counts = {type_: count - earlier.get(type_, 0) for type_, count in now.handled.items()}
        handled = {type_: count for type_, count in counts.items() if count}
    return MetricsIncrease(
        span_s,
        handled,
        _difference(before.retries, now.retries),
        _difference(before.dead_letters, now.dead_letters),
        now.oldest_open_s,
        {name: _grown(before.buckets.get(name), buckets) for name, buckets in now.buckets.items()},
    )


def merge(parts: Sequence[MetricsIncrease]) -> MetricsIncrease | None:
    """The increase of a service with several processes; None without a process."""
    if len(parts) < 2:
        return parts[0] if parts else None
    handled = [part.handled for part in parts if part.handled is not None]
    types = {type_ for each in handled for type_ in each}
    ages = [part.oldest_open_s for part in parts if part.oldest_open_s is not None]
    names = {name for part in parts for name in part.buckets}
    return MetricsIncrease(
        max(part.span_s for part in parts),
        {type_: sum(each.get(type_, 0) for each in handled) for type_ in types} if handled else None,
        _known_sum(part.retries for part in parts),
        _known_sum(part.dead_letters for part in parts),
        max(ages) if ages else None,
        {name: add_buckets([part.buckets[name] for part in parts if name in part.buckets]) for name in names},
    )


def add_buckets(parts: Sequence[Buckets]) -> Buckets:
    """The sum of histograms with the same bounds; those with other bounds than the first are left out."""
    bounds = next((part.bounds for part in parts if part.bounds), ())
    counts = [part.counts for part in parts if part.bounds == bounds]
    return Buckets(bounds, tuple(map(sum, zip(*counts, strict=True))) if bounds else ())


def quantile(share: float, buckets: Buckets) -> float:
    """The value that this share of the observations does not exceed; NaN without an observation.

    Interpolates within a bucket, as Prometheus' `histogram_quantile` does. Beyond the last finite bound the
    value is that bound.
    """
    total = buckets.counts[-1] if buckets.counts else 0
    if not total:
        return math.nan
    rank = share * total
    lower, below = 0.0, 0
    for bound, count in zip(buckets.bounds, buckets.counts, strict=True):
        if count >= rank:
            if math.isinf(bound):
                return lower
            return lower + (bound - lower) * (rank - below) / max(1, count - below)
        lower, below = bound, count
    return lower


def _handled(samples: Iterable[MetricSample]) -> dict[str, int]:
    """Known wire types only, so that the number of types is bounded."""
    found: dict[str, int] = {}
    for sample in samples:
        type_ = sample.labels.get("type", "")
        if CATALOG.get(type_) is not None:
            found[type_] = found.get(type_, 0) + int(sample.value)
    return found


def _total(samples: Iterable[MetricSample]) -> int:
    return int(sum(sample.value for sample in samples))


def _oldest(samples: Iterable[MetricSample]) -> float:
    """0 if no order is open."""
    ages = [sample.value for sample in samples if sample.labels.get("kind") == _ORDERS]
    return max((age for age in ages if math.isfinite(age)), default=0.0)


def _buckets(samples: Iterable[MetricSample]) -> Buckets:
    found: dict[float, int] = {}
    for sample in samples:
        bound = float(sample.labels["le"])
        found[bound] = found.get(bound, 0) + int(sample.value)
    bounds = tuple(sorted(found))
    return Buckets(_shared(bounds), tuple(found[bound] for bound in bounds))


@lru_cache(maxsize=64)
def _shared(bounds: tuple[float, ...]) -> tuple[float, ...]:
    """The same object for equal bounds: hundreds of samples keep them."""
    return bounds


def _grown(before: Buckets | None, now: Buckets) -> Buckets:
    if before is None or before.bounds != now.bounds:
        return now
    return Buckets(now.bounds, tuple(b - a for a, b in zip(before.counts, now.counts, strict=True)))


def _difference(before: int | None, now: int | None) -> int | None:
    return None if now is None else now - (before or 0)


def _known_sum(numbers: Iterable[int | None]) -> int | None:
    """None if no process has the metric."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
