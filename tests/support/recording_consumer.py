"""A recording consumer for tests, and messages for it."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

from chassis.bus.protocol import Delivery, Subscription
from chassis.bus.rabbitmq_subscription import RabbitSubscription
from chassis.messaging.envelope import Envelope, WireMessage, wrap
from chassis.messaging.message import Message
from chassis.messaging.origin import ORIGIN_HEADERS
from contracts import orders, payments
from contracts.catalog import CATALOG
from contracts.values import Money, PricedLine
from tests.support.eventually import until

WAIT_S_MAX = 30.0


class Inbox:
    """The received messages, in order. `acks`: whether each is acknowledged at once."""

    def __init__(self, *, acks: bool = True) -> None:
        self._acks = acks
        self.deliveries: list[Delivery] = []
        self._settling: set[asyncio.Task[None]] = set()

    def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        if self._acks:
            self._settling.add(asyncio.create_task(self._settle(delivery)))

    async def _settle(self, delivery: Delivery) -> None:
        await delivery.ack()

    @property
    def wire_messages(self) -> list[WireMessage]:
        return [delivery.wire_message for delivery in self.deliveries]

    @property
    def ids(self) -> list[str | None]:
        return [wire_message.message_id for wire_message in self.wire_messages]

    async def has(self, count: int) -> None:
        await until(lambda: len(self.deliveries) >= count, within_s=WAIT_S_MAX)


async def widened(subscription: Subscription) -> None:
    """Wait until RabbitMQ delivers up to the prefetch: the first delivery replaces a consumer of one message.

    Until then, that consumer may get one more.
    """
    if isinstance(subscription, RabbitSubscription):
        await until(lambda: subscription._wide and _is_done(subscription._adapting), within_s=WAIT_S_MAX)


def _is_done(task: asyncio.Task[None] | None) -> bool:
    return task is not None and task.done()


def wrapped(message: Message, source: str = "order_svc") -> Envelope:
    return wrap(message, id=str(uuid4()), source=source, now=datetime.now(UTC), causation_id=str(uuid4()))


def placed(order_id: UUID | None = None) -> WireMessage:
    """An event of order_svc that inventory_svc and payment_svc consume."""
    price = Money(amount_minor=420, currency="EUR")
    event = orders.OrderPlaced(
        order_id=order_id or uuid4(),
        customer_id=uuid4(),
        lines=(PricedLine(sku="TEA", quantity=2, price=price),),
        total=price.times(2),
        card_token="tok_visa",
    )
    return wrapped(event).wire_message(CATALOG)


def captured() -> WireMessage:
    """An event that order_svc may not publish."""
    amount = Money(amount_minor=1, currency="EUR")
    return wrapped(payments.PaymentCaptured(order_id=uuid4(), amount=amount)).wire_message(CATALOG)


def reminder() -> WireMessage:
    """A command of order_svc to itself."""
    return wrapped(orders.DeadlinePassed(order_id=uuid4())).wire_message(CATALOG)


def consumed_by_none() -> WireMessage:
    """A command without a queue. Only the operator may send it: all others may send known types only."""
    wire_message = reminder()
    return WireMessage("commands", "order.nobody_hears.v1", *message_rest(wire_message))


def message_rest(wire_message: WireMessage) -> tuple[bytes, str | None, str | None, str | None, str | None]:
    return (
        wire_message.body,
        wire_message.message_id,
        wire_message.type,
        wire_message.app_id,
        wire_message.correlation_id,
    )


def as_kept(wire_message: WireMessage) -> tuple[object, ...]:
    """Everything of a message except its route, its origin headers, and headers added by brokers."""
    ours = {
        k: v for k, v in wire_message.headers.items() if not k.startswith("x-") and k not in ORIGIN_HEADERS
    }
    return (
        wire_message.body,
        wire_message.message_id,
        wire_message.type,
        wire_message.app_id,
        wire_message.correlation_id,
        wire_message.content_type,
        ours,
    )
