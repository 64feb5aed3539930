"""Topology drift and the fill of bounded queues as metrics: an unknown number is never the last one or 0."""

import math

from prometheus_client import REGISTRY

from operations.monitoring.broker_metrics import measure_broker
from tests.support.eventually import until
from tests.support.shops.operations import OperationsApp


def measured(queue: str) -> float | None:
    return REGISTRY.get_sample_value("journey_queue_fill_ratio", {"queue": queue})


async def test_drift_and_fill_are_unknown_while_the_broker_is_unavailable(
    operations_app: OperationsApp,
) -> None:
    broker = operations_app.broker
    broker.drift = ["queue lost is missing", "policy audit is missing"]
    broker.fill = {"order_svc.dead": 0.25}
    await measure_broker(broker)
    assert REGISTRY.get_sample_value("journey_topology_drift") == 2
    assert measured("order_svc.dead") == 0.25
    broker.fill = {"user_svc.dead": 0.5}
    await measure_broker(broker)
    assert measured("order_svc.dead") is None, "a queue without a limit has no ratio"
    broker.counts_away = True
    await measure_broker(broker)
    assert math.isnan(REGISTRY.get_sample_value("journey_topology_drift") or 0)
    assert measured("user_svc.dead") is None


async def test_a_running_poller_measures_the_broker(operations_app: OperationsApp) -> None:
    operations_app.broker.drift = ["queue lost is missing"]
    await until(lambda: REGISTRY.get_sample_value("journey_topology_drift") == 1)
