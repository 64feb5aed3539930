"""The aggregates of orders: their timelines, and the records of idempotency keys."""

from datetime import timedelta

from chassis.core.definition import Aggregate
from gateway.orders import decider, idempotency, messages
from gateway.orders.idempotency import IdempotencyRecord
from gateway.orders.timeline import OrderTimeline, TimelineStatus
from gateway.settings import TIMELINE_RETENTION

# HTTP requests are not redelivered. Their handled ids matter only while a write with an unknown outcome is
# retried, so a few are enough. The state itself detects later duplicates.
_HANDLED_MAX = 5
# Statuses of orders that do not expire: those that have not ended, except orders that were never submitted.
_GOES_ON = frozenset(
    {TimelineStatus.RECEIVED, TimelineStatus.PLACED, TimelineStatus.CONFIRMED, TimelineStatus.NEEDS_ATTENTION}
)

# Handles every event that has a customer message. The stored kind `journeys` keeps its first name: its
# documents are timelines. Everywhere else a journey is all messages of an order.
TIMELINES = Aggregate(
    "journeys",
    OrderTimeline(),
    decider.decide,
    handles=tuple(messages.EVENT_MESSAGES),
    indexes=("customer_id",),
    ttl=TIMELINE_RETENTION,
    ended_statuses=frozenset(TimelineStatus) - _GOES_ON,
)
# The stored kind `requests` keeps its first name, too.
IDEMPOTENCY_RECORDS = Aggregate(
    "requests",
    IdempotencyRecord(),
    idempotency.decide,
    handles=(),
    handled_max=_HANDLED_MAX,
    ttl=timedelta(days=30),
)
