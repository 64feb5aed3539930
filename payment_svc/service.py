"""The service definition of payment_svc: the messages that it handles, and its aggregates."""

from datetime import timedelta
from typing import get_args

from chassis.core.definition import DEFAULT_TTL, Aggregate, ServiceDefinition
from contracts import orders
from contracts.catalog import CATALOG
from payment_svc import decider
from payment_svc.payment import Payment, PaymentStatus

# Payments that wait for the provider, for the other half of the join, or for the order's outcome.
OPEN = frozenset(
    {
        PaymentStatus.NEW,
        PaymentStatus.AUTHORIZING,
        PaymentStatus.AUTHORIZED,
        PaymentStatus.CAPTURING,
        PaymentStatus.VOIDING,
        PaymentStatus.REFUNDING,
    }
)


ENDED = frozenset(
    {
        PaymentStatus.CAPTURED,
        PaymentStatus.DECLINED,
        PaymentStatus.VOIDED,
        PaymentStatus.REFUNDED,
        PaymentStatus.DROPPED,
    }
)


def payment_service(ttl: timedelta = DEFAULT_TTL) -> ServiceDefinition:
    return ServiceDefinition(
        "payment_svc",
        (
            Aggregate(
                kind="payments",
                start=Payment(),
                decide=decider.decide,
                handles=get_args(decider.Handles),
                created_by=(orders.OrderPlaced,),
                effects_are_idempotent=True,
                indexes=("status",),
                open_statuses=OPEN,
                ttl=ttl,
                ended_statuses=ENDED,
            ),
        ),
        catalog=CATALOG,
        effects_max=64,
    )
