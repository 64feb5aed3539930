"""The service definition of the gateway: the events that it handles, the commands that it sends, its aggregates."""

from dataclasses import replace
from datetime import timedelta

from chassis.core.definition import Aggregate, ServiceDefinition
from contracts import orders
from contracts.users import AccessChanged
from gateway.auth import access, session
from gateway.auth.access import Access
from gateway.auth.session import Session
from gateway.basket import basket
from gateway.basket.basket import Basket
from gateway.orders import decider, idempotency, messages
from gateway.orders.idempotency import IdempotencyRecord
from gateway.orders.timeline import OrderTimeline, TimelineStatus

# What comes over HTTP is not redelivered, so of that few handled ids matter, and only for a moment: while a write whose
# outcome is not known is tried again. What may come later than that, states know by themselves.
_HANDLED_MAX = 5
# Several pages of one customer change a basket at once. With fewer ids a change could not tell whether it was written.
_BASKET_HANDLED_MAX = 50
# user_svc ends a log-in without a refresh after 14 days; one day is a margin.
_SESSIONS_KEPT_FOR = timedelta(days=15)

# An order that has not ended stays on its owner's page; one that was never sent does not.
_GOES_ON = frozenset(
    {TimelineStatus.RECEIVED, TimelineStatus.PLACED, TimelineStatus.CONFIRMED, TimelineStatus.NEEDS_ATTENTION}
)
TIMELINE_RETENTION = timedelta(days=400)

# It handles every event that has a customer message.
TIMELINES = Aggregate(
    "journeys",
    OrderTimeline(),
    decider.decide,
    handles=tuple(messages.EVENT_MESSAGES),
    indexes=("customer_id",),
    needs_timestamp=True,
    ttl=TIMELINE_RETENTION,
    ended_statuses=frozenset(TimelineStatus) - _GOES_ON,
)
IDEMPOTENCY_RECORDS = Aggregate(
    "requests", IdempotencyRecord(), idempotency.decide, handles=(), handled_max=_HANDLED_MAX, ttl=timedelta(days=30)
)
BASKETS = Aggregate(
    "baskets", Basket(), basket.decide, handles=(), handled_max=_BASKET_HANDLED_MAX, ttl=timedelta(days=30)
)
SESSIONS = Aggregate(
    "sessions", Session(), session.decide, handles=(), handled_max=_HANDLED_MAX, ttl=_SESSIONS_KEPT_FOR
)
# Older than an access token, and than the hour for which a session is believed while user_svc is away, it is of no use.
ACCESS = Aggregate(
    "access",
    Access(),
    access.decide,
    handles=(AccessChanged,),
    handled_max=_HANDLED_MAX,
    ttl=timedelta(days=60),
)


def gateway_service(ttl: timedelta = TIMELINE_RETENTION) -> ServiceDefinition:
    aggregates = (replace(TIMELINES, ttl=ttl), IDEMPOTENCY_RECORDS, BASKETS, SESSIONS, ACCESS)
    # Streams poll four times a second, so messages that arrive in between may share a write.
    return ServiceDefinition("gateway", aggregates, linger_s=0.05, sends=(orders.PlaceOrder, orders.CancelOrder))
