"""The switchboard of the gateway: it hears what is told of orders, and asks on behalf of the people at its door."""

from dataclasses import replace
from datetime import timedelta

from chassis.service import Aggregate, Service
from contracts import orders
from contracts.users import AccessChanged
from gateway import access, basket, decider, request, session, wording
from gateway.access import Access
from gateway.basket import Basket
from gateway.journey import Journey, Status
from gateway.request import Request
from gateway.session import Session

# What comes over HTTP is not redelivered, so of that few handled ids matter, and only for a moment: while a write whose
# outcome is not known is tried again. What may come later than that, states know by themselves.
_HANDLED_MAX = 5
# Several pages of one customer change a basket at once. With fewer ids a change could not tell whether it was written.
_BASKET_HANDLED_MAX = 50
# user_svc ends a log-in without a refresh after 14 days; one day is a margin.
_SESSIONS_KEPT_FOR = timedelta(days=15)

# An order that has not ended stays on its owner's page; one that was never sent does not.
_GOES_ON = frozenset({Status.RECEIVED, Status.PLACED, Status.CONFIRMED, Status.NEEDS_ATTENTION})
JOURNEYS_KEPT_FOR = timedelta(days=400)

# It hears of all that it has words for.
JOURNEYS = Aggregate(
    "journeys",
    Journey(),
    decider.decide,
    hears=tuple(wording.NEWS),
    indexes=("customer_id",),
    dated=True,
    kept_for=JOURNEYS_KEPT_FOR,
    ended_statuses=frozenset(Status) - _GOES_ON,
)
REQUESTS = Aggregate(
    "requests", Request(), request.decide, hears=(), handled_max=_HANDLED_MAX, kept_for=timedelta(days=30)
)
BASKETS = Aggregate(
    "baskets", Basket(), basket.decide, hears=(), handled_max=_BASKET_HANDLED_MAX, kept_for=timedelta(days=30)
)
SESSIONS = Aggregate(
    "sessions", Session(), session.decide, hears=(), handled_max=_HANDLED_MAX, kept_for=_SESSIONS_KEPT_FOR
)
# Older than an access token, and than the hour for which a session is believed while user_svc is away, it is of no use.
ACCESS = Aggregate(
    "access",
    Access(),
    access.decide,
    hears=(AccessChanged,),
    handled_max=_HANDLED_MAX,
    kept_for=timedelta(days=60),
)


def gateway_service(kept_for: timedelta = JOURNEYS_KEPT_FOR) -> Service:
    aggregates = (replace(JOURNEYS, kept_for=kept_for), REQUESTS, BASKETS, SESSIONS, ACCESS)
    # Whoever looks is told four times a second: what comes meanwhile may as well share a write.
    return Service("gateway", aggregates, gathers_s=0.05, asks=(orders.PlaceOrder, orders.CancelOrder))
