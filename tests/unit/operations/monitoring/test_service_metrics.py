"""What the time lines read of a service's `/metrics`."""

import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from contracts.orders import OrderPlaced, PlaceOrder
from operations.monitoring.service_metrics import (
    HANDLED,
    OLDEST_OPEN,
    PROCESS_TIME,
    QUEUE_TIME,
    RETRIES,
    Buckets,
    MetricsReading,
    increase,
    merge,
    parse_metrics,
    quantile,
)

BOUNDS = (0.1, 0.5, 1.0)
EXPOSED = (0.1, 0.5, 1.0, math.inf)


class Process:
    """A process with the metrics of order_svc."""

    def __init__(self, started: float = 1_000.0) -> None:
        self.registry = CollectorRegistry()
        Gauge("process_start_time_seconds", "", registry=self.registry).set(started)
        self.handled = Counter(HANDLED, "", ["service", "type"], registry=self.registry)
        self.retries = Counter(RETRIES, "", ["service", "type", "rung"], registry=self.registry)
        labels = ["service", "type"]
        self.queue = Histogram(QUEUE_TIME, "", labels, buckets=BOUNDS, registry=self.registry)
        self.oldest = Gauge(OLDEST_OPEN, "", ["service", "kind", "status"], registry=self.registry)

    def read(self, service: str = "order_svc") -> MetricsReading:
        return parse_metrics(generate_latest(self.registry).decode(), service)


def test_counts_and_ages_are_read_of_known_types() -> None:
    process = Process()
    process.handled.labels("order_svc", PlaceOrder.TYPE).inc(3)
    process.handled.labels("order_svc", "no.such.v9").inc(5)
    process.retries.labels("order_svc", PlaceOrder.TYPE, "retry.5s").inc(2)
    process.retries.labels("order_svc", OrderPlaced.TYPE, "retry.1m").inc(1)
    process.oldest.labels("order_svc", "orders", "placed").set(7.5)
    process.oldest.labels("order_svc", "prices", "new").set(99.0)
    found = process.read()
    assert (found.started, found.retries, found.oldest_open_s) == (1_000.0, 3, 7.5)
    assert found.handled == {PlaceOrder.TYPE: 3}


def test_no_samples_are_zero_and_a_missing_metric_is_unknown() -> None:
    found = Process().read()
    assert (found.handled, found.retries, found.oldest_open_s) == ({}, 0, 0.0)
    assert found.dead_letters is None and PROCESS_TIME not in found.buckets


def test_services_in_one_process_are_separated_by_their_label() -> None:
    process = Process()
    process.handled.labels("order_svc", PlaceOrder.TYPE).inc(3)
    process.handled.labels("payment_svc", OrderPlaced.TYPE).inc(4)
    assert process.read("order_svc").handled == {PlaceOrder.TYPE: 3}
    assert process.read("payment_svc").handled == {OrderPlaced.TYPE: 4}


@pytest.mark.parametrize("text", ["", "no metrics {", f"{HANDLED}{{ 3\n"])
def test_a_text_in_another_format_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_metrics(text, "order_svc")


def test_an_increase_is_between_two_readings_of_one_process() -> None:
    process = Process()
    process.handled.labels("order_svc", PlaceOrder.TYPE).inc(3)
    process.queue.labels("order_svc", PlaceOrder.TYPE).observe(0.3)
    before = process.read()
    process.handled.labels("order_svc", PlaceOrder.TYPE).inc(2)
    process.queue.labels("order_svc", PlaceOrder.TYPE).observe(0.7)
    process.queue.labels("order_svc", OrderPlaced.TYPE).observe(0.05)
    found = increase(before, process.read(), 10.0)
    assert found is not None and found.handled == {PlaceOrder.TYPE: 2} and found.retries == 0
    assert found.buckets[QUEUE_TIME] == Buckets(EXPOSED, (1, 1, 2, 2))


def test_a_restarted_process_has_no_increase() -> None:
    before, restarted = Process(1_000.0), Process(1_060.0)
    before.handled.labels("order_svc", PlaceOrder.TYPE).inc(3)
    restarted.handled.labels("order_svc", PlaceOrder.TYPE).inc(9)
    assert increase(before.read(), restarted.read(), 10.0) is None


def test_the_processes_of_a_service_are_added() -> None:
    processes = [Process(1.0), Process(2.0)]
    before = [process.read() for process in processes]
    for count, process in enumerate(processes, start=1):
        process.handled.labels("order_svc", PlaceOrder.TYPE).inc(count)
        process.oldest.labels("order_svc", "orders", "placed").set(10 * count)
        process.queue.labels("order_svc", PlaceOrder.TYPE).observe(0.3)
    parts = [increase(old, new.read(), 10.0) for old, new in zip(before, processes, strict=True)]
    found = merge([part for part in parts if part is not None])
    assert found is not None and found.handled == {PlaceOrder.TYPE: 3} and found.oldest_open_s == 20
    assert found.buckets[QUEUE_TIME].counts == (0, 2, 2, 2) and found.dead_letters is None
    assert merge([]) is None


@pytest.mark.parametrize(
    ("share", "counts", "expected"),
    [
        (0.5, (0, 10, 10, 10), 0.3),  # in the middle of the bucket from 0.1 to 0.5
        (0.95, (10, 10, 10, 10), 0.095),
        (0.95, (0, 0, 0, 10), 1.0),  # beyond the last finite bound
        (0.5, (5, 10, 10, 10), 0.1),
    ],
)
def test_a_quantile_interpolates_within_its_bucket(
    share: float, counts: tuple[int, ...], expected: float
) -> None:
    assert quantile(share, Buckets(EXPOSED, counts)) == pytest.approx(expected)


def test_a_quantile_of_no_observation_is_not_a_number() -> None:
    assert math.isnan(quantile(0.95, Buckets(EXPOSED, (0, 0, 0, 0))))
    assert math.isnan(quantile(0.95, Buckets((), ())))
