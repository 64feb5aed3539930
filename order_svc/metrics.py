"""The metrics of orders."""

from datetime import datetime

from chassis.telemetry.instruments import SERVICE, WAIT_S, Label, histogram, own
from contracts.http.orders import OrderStatus
from order_svc.order import Order

# The ends of an order's automatic part. The warehouse decides when a confirmed order is dispatched.
OUTCOMES = frozenset({OrderStatus.CONFIRMED, OrderStatus.CANCELLED, OrderStatus.REJECTED})

ORDER_DURATION = histogram(
    own("order_duration_seconds"),
    "From the time at which the customer placed an order until it is confirmed, cancelled or rejected",
    labels=(SERVICE, Label("outcome", "`confirmed`, `cancelled` or `rejected`")),
    recorded_in="order_svc/metrics.py",
    buckets=WAIT_S,
)


def observe_order(before: Order, after: Order, now: datetime) -> None:
    """Observe an order that a message has decided. Orders without a plausible time are left out.

    A later cancellation of a confirmed order does not count again.
    """
    undecided = before.status in (OrderStatus.NEW, OrderStatus.PLACED)
    if not undecided or after.status not in OUTCOMES or after.placed_at is None:
        return
    duration_s = max(0.0, (now - after.placed_at).total_seconds())
    ORDER_DURATION.labels("order_svc", str(after.status)).observe(duration_s)
