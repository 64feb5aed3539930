"""Declares metrics: each with its labels, the bounded set of values of each label, and where it is recorded.

`INSTRUMENTS` lists all metrics of the program. docs/metrics.md is generated from it, and one test compares
every label value that a program exposes with the declared sets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

DEFAULT_PREFIX = "journey"
"""The prefix of metrics that no semantic convention names. `exposition.expose` replaces it on request."""

# Creation times double the number of series, and nothing here evaluates them.
disable_created_metrics()  # type: ignore[no-untyped-call]

FINE_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets in seconds for one operation: a database call, a handled message, an HTTP request."""
WAIT_S = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""Buckets in seconds for what may include a queue, a retry or an outage."""


@dataclass(frozen=True)
class Label:
    """`values`: the bounded set of its values, for people."""

    name: str
    values: str


SERVICE = Label("service", "the program: a service, `gateway` or `operations`")
TYPE = Label("type", "a wire type of the catalog; `unknown` for any other")
KIND = Label("kind", "a kind of aggregate of the service")


@dataclass(frozen=True)
class Instrument:
    """One metric as declared. `recorded_in`: the module that records it, as a path."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[Label, ...]
    recorded_in: str


INSTRUMENTS: dict[str, Instrument] = {}


def own(name: str) -> str:
    """The full name of a metric that no semantic convention names."""
    return f"{DEFAULT_PREFIX}_{name}"


def counter(name: str, meaning: str, *, labels: Sequence[Label] = (), recorded_in: str) -> Counter:
    """`name` ends in `_total`."""
    _register(Instrument(name, "counter", meaning, labels=tuple(labels), recorded_in=recorded_in))
    return Counter(name, meaning, [label.name for label in labels])


def gauge(name: str, meaning: str, *, labels: Sequence[Label] = (), recorded_in: str) -> Gauge:
    _register(Instrument(name, "gauge", meaning, labels=tuple(labels), recorded_in=recorded_in))
    return Gauge(name, meaning, [label.name for label in labels])


def histogram(
    name: str,
    meaning: str,
    *,
    labels: Sequence[Label] = (),
    recorded_in: str,
    buckets: Sequence[float] = FINE_S,
) -> Histogram:
    _register(Instrument(name, "histogram", meaning, labels=tuple(labels), recorded_in=recorded_in))
    return Histogram(name, meaning, [label.name for label in labels], buckets=buckets)


def _register(instrument: Instrument) -> None:
    if instrument.name in INSTRUMENTS:
        raise ValueError(f"{instrument.name} is declared twice")
    INSTRUMENTS[instrument.name] = instrument
