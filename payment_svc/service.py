"""The service definition of payment_svc: the messages that it handles, and its aggregates."""

from datetime import timedelta
from typing import get_args

from chassis.core.definition import DEFAULT_TTL, Aggregate, EffectLimits, ServiceDefinition
from chassis.core.recall import Recall
from contracts import orders, payments
from contracts.catalog import CATALOG
from contracts.http.payments import PaymentStatus
from payment_svc import decider, resolution
from payment_svc.payment import Payment

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


PROVIDER_DATABASE = "card_provider"
# Above the sum of the limits in provider.py, which end an effect whose calls get no response.
EFFECT_S_MAX = 15.0


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
                indexes=("status", "hold"),
                open_statuses=OPEN,
                ttl=ttl,
                ended_statuses=ENDED,
                recall=Recall(get_args(resolution.Recalled), resolution.recall),
            ),
        ),
        catalog=CATALOG,
        effects=EffectLimits(concurrent_max=64, timeout_s=EFFECT_S_MAX),
        # The simulated card provider runs in this service's process, on data of its own.
        further_databases=(PROVIDER_DATABASE,),
        # Unknown to release 0.1.0.
        added=(
            orders.RefundRequested,
            payments.RefundPart,
            payments.RetryPayment,
            payments.SettlePayment,
        ),
    )
