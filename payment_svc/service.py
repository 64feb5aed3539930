"""The switchboard of payment_svc: what it hears, and who decides."""

from typing import get_args

from chassis.service import Aggregate, Service
from contracts import orders
from payment_svc import decider
from payment_svc.payment import Payment


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
            ),
        ),
        effects_max=64,
    )
