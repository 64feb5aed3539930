"""The switchboard of payment_svc: what it hears, and who decides."""

from datetime import timedelta
from typing import get_args

from chassis.service import KEPT_FOR, Aggregate, Service
from contracts import orders
from payment_svc import decider
from payment_svc.payment import Payment, Status

# Those that wait for the provider, and those that wait for the order: its other half, or how it ends.
OPEN = frozenset(
    {Status.NEW, Status.AUTHORIZING, Status.AUTHORIZED, Status.CAPTURING, Status.VOIDING, Status.REFUNDING}
)


ENDED = frozenset({Status.CAPTURED, Status.DECLINED, Status.VOIDED, Status.REFUNDED, Status.DROPPED})


def payment_service(kept_for: timedelta = KEPT_FOR) -> Service:
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
                kept_for=kept_for,
                ended_statuses=ENDED,
            ),
        ),
        effects_max=64,
    )
