"""The time lines of the operators' start page: which figures of the history they show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

from contracts.orders import PlaceOrder
from journey.admin.durations import duration
from journey.admin.registry import CONSUMING_SERVICES
from operations.monitoring import history as past
from operations.monitoring.charts import Chart, Unit, chart, decimal_top, duration_top
from operations.monitoring.history import History, Sample, Slot, Value
from operations.monitoring.service_map import message_flows
from operations.monitoring.service_metrics import (
    ORDER_TIME,
    PROCESS_TIME,
    QUEUE_TIME,
    MetricsIncrease,
    add_buckets,
    quantile,
)
from operations.monitoring.snapshot import total

ORDER_SERVICE = "order_svc"
_S_PER_MIN = 60

Figure = Callable[[Sequence[Sample]], Value]
"""The value of a slot, from its samples."""


@dataclass(frozen=True)
class ServiceTimelines:
    """The small time lines of one service."""

    name: str
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class Timelines:
    """`began`: when the history began. `start`, `end`: the period that the drawings cover."""

    began: datetime | None
    start: datetime
    end: datetime
    system: tuple[Chart, ...]
    services: tuple[ServiceTimelines, ...]


def timelines(history: History, now: datetime) -> Timelines:
    slots = history.slots(now)
    start, end = history.times(now)
    services = tuple(ServiceTimelines(name, _of_service(slots, name)) for name in CONSUMING_SERVICES)
    return Timelines(history.began, start, end, _of_system(slots), services)


def flow_rates(history: History, now: datetime) -> dict[tuple[str, str], float | None]:
    """(publisher, consumer) -> the messages of this flow that the consumer handled per second.

    None if the consumer's metrics are unknown. Measured between the latest two samples.
    """
    sample = history.recent(now)
    return {
        (flow.publisher, flow.consumer): _flow_rate(sample, flow.consumer, flow.wire_types)
        for flow in message_flows()
    }


def _flow_rate(sample: Sample | None, consumer: str, types: Sequence[str]) -> float | None:
    metrics = sample.services[consumer].metrics if sample and consumer in sample.services else None
    if metrics is None or metrics.handled is None or not metrics.span_s:
        return None
    return sum(metrics.handled.get(type_, 0) for type_ in types) / metrics.span_s


def _of_system(slots: Sequence[Slot]) -> tuple[Chart, ...]:
    def line(figure: Figure) -> list[Value]:
        return past.series(slots, figure)

    return (
        chart("Orders placed", [("placed", line(_orders_placed))], PER_MINUTE),
        chart(
            "Messages",
            [
                ("published", line(lambda samples: past.mean(samples, _published))),
                ("handled", line(lambda samples: past.mean(samples, _acknowledged))),
            ],
            PER_SECOND,
        ),
        chart(
            "Waiting messages",
            [
                ("in queues", line(lambda samples: past.highest(samples, _waiting))),
                ("for a retry", line(lambda samples: past.highest(samples, lambda s: s.on_ladder))),
            ],
            NUMBER,
        ),
        chart(
            "Longest wait of an order",
            [("longest", line(lambda samples: past.highest(samples, _oldest_open)))],
            SECONDS,
        ),
        chart(
            "Duration of orders",
            [(f"p{share}", line(_percentile(ORDER_SERVICE, ORDER_TIME, share))) for share in (50, 95)],
            SECONDS,
        ),
        chart(
            "Failures",
            [
                ("retries", line(_failures("retries", tuple(CONSUMING_SERVICES)))),
                ("dead letters", line(_failures("dead_letters", tuple(CONSUMING_SERVICES)))),
            ],
            PER_MINUTE,
        ),
    )


def _of_service(slots: Sequence[Slot], name: str) -> tuple[Chart, ...]:
    def handled(sample: Sample) -> Value:
        return sample.services[name].out_s

    def ready(sample: Sample) -> Value:
        return sample.services[name].ready

    def line(figure: Figure) -> list[Value]:
        return past.series(slots, figure)

    both = [_failures(kind, (name,)) for kind in ("retries", "dead_letters")]
    return (
        chart("Handled", [("handled", line(lambda samples: past.mean(samples, handled)))], PER_SECOND),
        chart("Waiting", [("waiting", line(lambda samples: past.highest(samples, ready)))], NUMBER),
        chart("Time in queue", [("p95", line(_percentile(name, QUEUE_TIME, 95)))], SECONDS),
        chart("Handling", [("p95", line(_percentile(name, PROCESS_TIME, 95)))], SECONDS),
        chart(
            "Failures",
            [("retries and dead letters", line(lambda samples: total(each(samples) for each in both)))],
            PER_MINUTE,
        ),
    )


def _published(sample: Sample) -> Value:
    return total(service.in_s for service in sample.services.values())


def _acknowledged(sample: Sample) -> Value:
    return total(service.out_s for service in sample.services.values())


def _waiting(sample: Sample) -> Value:
    return total(service.ready for service in sample.services.values())


def _oldest_open(sample: Sample) -> Value:
    metrics = _metrics(sample, ORDER_SERVICE)
    return metrics.oldest_open_s if metrics else None


def _orders_placed(samples: Sequence[Sample]) -> Value:
    """Per minute: what order_svc handled of the command that places an order."""
    return _rate(samples, (ORDER_SERVICE,), _placed)


def _placed(metrics: MetricsIncrease) -> float | None:
    return None if metrics.handled is None else metrics.handled.get(PlaceOrder.TYPE, 0)


def _failures(kind: Literal["retries", "dead_letters"], names: Sequence[str]) -> Figure:
    """Per minute."""

    def count(metrics: MetricsIncrease) -> float | None:
        return metrics.retries if kind == "retries" else metrics.dead_letters

    return lambda samples: _rate(samples, names, count)


def _rate(
    samples: Sequence[Sample], names: Sequence[str], count: Callable[[MetricsIncrease], float | None]
) -> Value:
    """Per minute; None if a service's count is unknown in one of the samples."""
    rates: list[float | None] = []
    for name in names:
        found = [_metrics(sample, name) for sample in samples]
        counts = total(count(each) if each else None for each in found)
        span_s = sum(each.span_s for each in found if each)
        rates.append(None if counts is None or not span_s else counts * _S_PER_MIN / span_s)
    return total(rates)


def _percentile(name: str, histogram: str, share: int) -> Figure:
    """In seconds; NOTHING if nothing was observed."""

    def figure(samples: Sequence[Sample]) -> Value:
        found = [_metrics(sample, name) for sample in samples]
        buckets = [each.buckets.get(histogram) if each else None for each in found]
        if None in buckets:
            return None
        return quantile(share / 100, add_buckets([each for each in buckets if each is not None]))

    return figure


def _metrics(sample: Sample, name: str) -> MetricsIncrease | None:
    service = sample.services.get(name)
    return service.metrics if service else None


def seconds(value: float) -> str:
    return duration(timedelta(seconds=value))


def per_second(value: float) -> str:
    return f"{_short(value)}/s"


def per_minute(value: float) -> str:
    return f"{_short(value)}/min"


def _short(value: float) -> str:
    """One decimal below 10, if it is not 0. What is not 0 is never shown as 0."""
    if 0 < value < 0.05:
        return "<0.1"
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.1f}".removesuffix(".0")


NUMBER = Unit(lambda value: f"{value:,.0f}", partial(decimal_top, least=1))
PER_SECOND = Unit(per_second, partial(decimal_top, least=0.1))
PER_MINUTE = Unit(per_minute, partial(decimal_top, least=0.1))
SECONDS = Unit(seconds, duration_top)
