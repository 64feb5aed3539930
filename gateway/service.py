"""The switchboard of the gateway: it hears what is told of orders, and asks on behalf of the people at its door."""

from datetime import timedelta

from chassis.service import Aggregate, Service
from contracts import orders
from contracts.users import AccessChanged
from gateway import access, basket, decider, request, session, wording
from gateway.access import Access
from gateway.basket import Basket
from gateway.journey import Journey
from gateway.request import Request
from gateway.session import Session

# What comes over HTTP is not redelivered, so of that few handled ids matter, and only for a moment.
_HANDLED_MAX = 5

# It hears of all that it has words for.
JOURNEYS = Aggregate(
    "journeys", Journey(), decider.decide, hears=tuple(wording.NEWS), indexes=("customer_id",), dated=True
)
REQUESTS = Aggregate(
    "requests", Request(), request.decide, hears=(), handled_max=_HANDLED_MAX, kept_for=timedelta(days=30)
)
BASKETS = Aggregate("baskets", Basket(), basket.decide, hears=(), handled_max=_HANDLED_MAX, kept_for=timedelta(days=30))
SESSIONS = Aggregate(
    "sessions", Session(), session.decide, hears=(), handled_max=_HANDLED_MAX, kept_for=timedelta(days=2)
)
# Older than an access token, and than the hour for which a session is believed while user_svc is away, it is of no use.
ACCESS = Aggregate(
    "access",
    Access(),
    access.decide,
    hears=(AccessChanged,),
    handled_max=_HANDLED_MAX,
    kept_for=timedelta(days=30),
)


def gateway_service() -> Service:
    aggregates = (JOURNEYS, REQUESTS, BASKETS, SESSIONS, ACCESS)
    # Whoever looks is told four times a second: what comes meanwhile may as well share a write.
    return Service("gateway", aggregates, gathers_s=0.05, asks=(orders.PlaceOrder, orders.CancelOrder))
