"""The service definition of the gateway: the events that it handles, the commands that it sends,
its aggregates.
"""

from dataclasses import replace
from datetime import timedelta

from chassis.core.definition import ServiceDefinition
from contracts import orders, payments, users
from contracts.catalog import CATALOG
from gateway.auth.aggregates import REQUIRED_ACCESS_VERSIONS, SESSIONS
from gateway.basket.aggregates import BASKETS
from gateway.delivery.aggregates import ADDRESS_KEYS
from gateway.orders.aggregates import IDEMPOTENCY_RECORDS, TIMELINES
from gateway.settings import TIMELINE_RETENTION


def gateway_service(ttl: timedelta = TIMELINE_RETENTION) -> ServiceDefinition:
    aggregates = (
        replace(TIMELINES, ttl=ttl),
        IDEMPOTENCY_RECORDS,
        BASKETS,
        SESSIONS,
        REQUIRED_ACCESS_VERSIONS,
        ADDRESS_KEYS,
    )
    # Streams poll four times a second, so messages that arrive in between may share a write.
    return ServiceDefinition(
        "gateway",
        aggregates,
        catalog=CATALOG,
        linger_s=0.05,
        sends=(orders.PlaceOrder, orders.CancelOrder),
        # Unknown to release 0.1.0.
        added=(
            orders.TrackingRecorded,
            orders.OrderResolved,
            payments.PaymentResolved,
            payments.PaymentPartRefunded,
            users.UserErased,
        ),
    )
