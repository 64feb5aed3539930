"""The switchboard of payment_svc: what it hears, and who decides."""

from typing import get_args

from chassis.service import Aggregate, Service
from contracts import orders
from payment_svc import decider
from payment_svc.payment import Payment, Status

# Those that wait for the provider, and those that wait for the order: its other half, or how it ends.
OPEN = frozenset(
    {Status.NEW, Status.AUTHORIZING, Status.AUTHORIZED, Status.CAPTURING, Status.VOIDING, Status.REFUNDING}
)


def payment_service() -> Service:
    return Service(
        "payment_svc",
        (
            Aggregate(
                kind="payments",
                start=Payment(),
                decide=decider.decide,
                hears=get_args(decider.Heard),
                begun_by=(orders.OrderPlaced,),
                asks_by_key=True,
                indexes=("status",),
                open_statuses=OPEN,
            ),
        ),
        effects_max=64,
    )
