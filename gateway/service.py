"""The service definition of the gateway: the events that it handles, the commands that it sends,
its aggregates.
"""

from dataclasses import replace
from datetime import timedelta

from chassis.core.definition import Aggregate, ServiceDefinition
from contracts import orders
from contracts.users import AccessChanged
from gateway.auth import required_access_version, session
from gateway.auth.required_access_version import RequiredAccessVersion
from gateway.auth.session import Session
from gateway.basket import basket
from gateway.basket.basket import Basket
from gateway.orders import decider, idempotency, messages
from gateway.orders.idempotency import IdempotencyRecord
from gateway.orders.timeline import OrderTimeline, TimelineStatus

# HTTP requests are not redelivered. Their handled ids matter only while a write with an unknown outcome is
# retried, so a few are enough. The state itself detects later duplicates.
_HANDLED_MAX = 5
# Several tabs of a customer may change a basket concurrently. With fewer ids, a change whose write got no
# response could not detect that it was written.
_BASKET_HANDLED_MAX = 50
# user_svc ends a log-in without a refresh after 14 days; one day is a margin.
_SESSIONS_KEPT_FOR = timedelta(days=15)

# Statuses of orders that do not expire: those that have not ended, except orders that were never submitted.
_GOES_ON = frozenset(
    {TimelineStatus.RECEIVED, TimelineStatus.PLACED, TimelineStatus.CONFIRMED, TimelineStatus.NEEDS_ATTENTION}
)
TIMELINE_RETENTION = timedelta(days=400)

# Handles every event that has a customer message.
TIMELINES = Aggregate(
    "journeys",
    OrderTimeline(),
    decider.decide,
    handles=tuple(messages.EVENT_MESSAGES),
    indexes=("customer_id",),
    ttl=TIMELINE_RETENTION,
    ended_statuses=frozenset(TimelineStatus) - _GOES_ON,
)
IDEMPOTENCY_RECORDS = Aggregate(
    "requests",
    IdempotencyRecord(),
    idempotency.decide,
    handles=(),
    handled_max=_HANDLED_MAX,
    ttl=timedelta(days=30),
)
BASKETS = Aggregate(
    "baskets", Basket(), basket.decide, handles=(), handled_max=_BASKET_HANDLED_MAX, ttl=timedelta(days=30)
)
SESSIONS = Aggregate(
    "sessions", Session(), session.decide, handles=(), handled_max=_HANDLED_MAX, ttl=_SESSIONS_KEPT_FOR
)
# A record has no effect once all older access tokens have expired, and the hour for which sessions are
# trusted while user_svc is unavailable has passed.
REQUIRED_ACCESS_VERSIONS = Aggregate(
    "access",
    RequiredAccessVersion(),
    required_access_version.decide,
    handles=(AccessChanged,),
    handled_max=_HANDLED_MAX,
    ttl=timedelta(days=60),
)


def gateway_service(ttl: timedelta = TIMELINE_RETENTION) -> ServiceDefinition:
    aggregates = (
        replace(TIMELINES, ttl=ttl),
        IDEMPOTENCY_RECORDS,
        BASKETS,
        SESSIONS,
        REQUIRED_ACCESS_VERSIONS,
    )
    # Streams poll four times a second, so messages that arrive in between may share a write.
    return ServiceDefinition(
        "gateway", aggregates, linger_s=0.05, sends=(orders.PlaceOrder, orders.CancelOrder)
    )
