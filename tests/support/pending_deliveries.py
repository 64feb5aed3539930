"""Deliveries to order_svc, as its observer sees them."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from chassis.bus.protocol import Delivery
from chassis.core.pending_message import PendingMessage
from chassis.messaging.envelope import wrap
from chassis.store.protocol import HandlingTimes
from contracts import orders
from contracts.catalog import CATALOG
from order_svc.service import order_service
from tests.support.pending_message_factory import NOW

SERVICE = order_service()
CANCEL = orders.CancelOrder(order_id=UUID(int=1), customer_id=UUID(int=2))
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_AT_ONCE = timedelta(0)


def pending(
    *, sent_before: timedelta = _AT_ONCE, user: str = "client", traceparent: str = "", **headers: object
) -> PendingMessage:
    """A CancelOrder that arrives at NOW."""
    sent = wrap(
        CANCEL,
        id="m",
        source="test",
        causation_id="the cause",
        now=NOW - sent_before,
        traceparent=traceparent,
    )
    wire_message = replace(sent.wire_message(CATALOG), user_id=user)
    if headers:
        wire_message = replace(wire_message, exchange="", headers={**wire_message.headers, **headers})
    [aggregate] = [each for each in SERVICE.aggregates if each.kind == "orders"]
    delivery = Delivery(wire_message, "order_svc.commands", settle=_settled)
    return PendingMessage(
        delivery, sent, CANCEL, aggregate=aggregate, key=CANCEL.subject, times=HandlingTimes(received_at=NOW)
    )


async def _settled(is_handled: bool) -> None: ...
