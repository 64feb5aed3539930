"""Metrics that only the operator's broker user can read: topology drift, and how full bounded queues are."""

import asyncio
import math

from chassis import telemetry
from chassis.telemetry.instruments import Label, gauge, own
from journey.admin.broker.management import AdminUnavailable
from operations.broker import Broker

_HERE = "operations/monitoring/broker_metrics.py"
TOPOLOGY_DRIFT = gauge(
    own("topology_drift"),
    "Differences between the broker and the topology; NaN while they are unknown",
    recorded_in=_HERE,
)
QUEUE_FILL = gauge(
    own("queue_fill_ratio"),
    "Used share of a bounded queue's limit, in messages or in bytes, whichever is larger; at 1 the queue "
    "drops its oldest messages; absent while it is unknown",
    labels=(Label("queue", "a bounded queue of the shop"),),
    recorded_in=_HERE,
)


async def watch_broker(broker: Broker, every_s: float) -> None:
    """Runs for ever. A failed measurement is logged, and the next one follows."""
    while True:
        try:
            await measure_broker(broker)
        except Exception:
            telemetry.log.exception("could not measure the broker")
        await asyncio.sleep(every_s)


async def measure_broker(broker: Broker) -> None:
    """Set each metric. If the broker does not respond, they show neither the last value nor 0."""
    try:
        drift, fill = await broker.topology_drift(), await broker.queue_fill()
    except AdminUnavailable as away:
        telemetry.log.warning("topology drift and queue limits are temporarily unknown", error=str(away))
        TOPOLOGY_DRIFT.set(math.nan)
        QUEUE_FILL.clear()
        return
    TOPOLOGY_DRIFT.set(len(drift))
    QUEUE_FILL.clear()
    for queue, ratio in fill.items():
        QUEUE_FILL.labels(queue).set(ratio)
