"""Client library: place an order, cancel it, follow it.

A call returns when the broker has confirmed the command.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from types import TracebackType
from uuid import UUID

import aio_pika
import aiormq
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustConnection
from yarl import URL

from chassis.bus.aiormq_frames.aio_pika_connections import TolerantRobustConnection
from chassis.bus.protocol import AccessRefused, BusUnavailable, PublishingBlocked
from chassis.bus.rabbitmq import RabbitBus
from chassis.clock import utc_now
from chassis.messaging.envelope import Malformed, WireMessage, read, wrap
from chassis.messaging.identity import new_id
from chassis.messaging.message import Command, Message
from contracts import orders
from contracts.catalog import CATALOG, NAMES
from contracts.values import Money, OrderLine

# Events after which an order is at rest. It can still be dispatched, or cancelled after its confirmation.
AT_REST = (orders.OrderConfirmed, orders.OrderRejected, orders.OrderCancelled, orders.OrderNeedsAttention)
_ORDERS_REMEMBERED = 20_000
_AGAIN_S = 0.5


def remedy_for(error: Exception) -> str:
    """What the user of a client or a tool can do about an error of the broker."""
    match error:
        case AccessRefused() if f"user '{NAMES.client}" in str(error):
            return "use a client that may send it: `journey client add NAME --may …` creates one"
        case AccessRefused():
            return (
                "name the sender in the message's declaration in contracts/ (sender, asked_by) and the "
                "command in the service's `sends`, then run `journey topology apply`"
            )
        case PublishingBlocked():
            return "free memory or disk space on the broker, then retry with the same ids"
        case BusUnavailable():
            return "retry with the same ids"
        case _:
            return "run `journey topology apply`"


class NotSent(Exception):
    """The broker rejected the command or did not confirm it in time. Sending the same order id again is safe.

    `cause`: the broker's error, or BusUnavailable if it did not respond. `remedy`: what the user can do.
    """

    def __init__(self, cause: Exception, remedy: str) -> None:
        super().__init__(f"{cause}; {remedy}")
        self.cause = cause
        self.remedy = remedy


class Client:
    """AMQP client of the shop with its own broker user.

    >>> async with Client("amqp://client.mine:…@localhost/journey") as shop:
    ...     order_id = await shop.place(customer_id, {"TEA-GREEN": 2}, "tok_visa")
    ...     async for event in shop.follow(order_id):
    ...         print(event)
    """

    def __init__(self, url: str, name: str = "", *, listen: bool = True, patience_s: float = 0.0) -> None:
        """`url`: from `journey client add`. `name`: the `source` of its messages; by default the broker user.

        `listen=False`: only send; `follow` would then wait forever.

        `patience_s`: for how many seconds to publish again what the broker has not confirmed. The message id
        stays the same, so duplicates count as one message.
        """
        self._user = URL(url).user or ""
        self._url = url
        self._name = name or self._user
        self._wants_news = listen
        self._patience_s = patience_s
        self._bus = RabbitBus(url)
        self._listening: AbstractRobustConnection | None = None
        self._received: OrderedDict[str, list[Message]] = OrderedDict()
        self._news: dict[str, asyncio.Event] = {}

    async def __aenter__(self) -> "Client":
        await self._bus.start()
        if self._wants_news:
            await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listening is not None:
            with suppress(aiormq.exceptions.AMQPError, ConnectionError):
                await self._listening.close()
        await self._bus.stop()

    async def place(
        self,
        customer_id: UUID,
        lines: Mapping[str, int],
        card_token: str,
        *,
        order_id: UUID | None = None,
        total_seen: Money | None = None,
    ) -> UUID:
        """Send PlaceOrder for {sku: quantity}. Pass your own `order_id` to make the call safe to repeat.

        Raises pydantic.ValidationError for invalid values, and NotSent if the broker does not confirm the
        command.
        """
        order_id = order_id or new_id()
        wanted = tuple(OrderLine(sku=sku, quantity=quantity) for sku, quantity in lines.items())
        await self.send(
            orders.PlaceOrder(
                order_id=order_id,
                customer_id=customer_id,
                lines=wanted,
                card_token=card_token,
                total_seen=total_seen,
            )
        )
        return order_id

    async def cancel(self, order_id: UUID, customer_id: UUID) -> None:
        await self.send(orders.CancelOrder(order_id=order_id, customer_id=customer_id))

    async def send(self, *commands: Command) -> None:
        """Publish commands and wait for the confirms.

        Raises NotSent if the broker rejects or does not route one.
        """
        envelopes = [
            wrap(command, id=str(new_id()), source=self._name, now=utc_now(), correlation_id=command.subject)
            for command in commands
        ]
        results = await self._publish([envelope.wire_message(CATALOG) for envelope in envelopes])
        if error := next((error for error in results if error is not None), None):
            raise NotSent(error, remedy_for(error))

    async def _publish(self, wire_messages: list[WireMessage]) -> list[Exception | None]:
        """One result per message: None if confirmed. Still unconfirmed after `patience_s`: BusUnavailable."""
        end = asyncio.get_running_loop().time() + self._patience_s
        results = await self._bus.publish(wire_messages)
        while asyncio.get_running_loop().time() < end:
            unknown = [index for index, error in enumerate(results) if isinstance(error, BusUnavailable)]
            if not unknown:
                break
            await asyncio.sleep(_AGAIN_S)
            for index, error in zip(
                unknown, await self._bus.publish([wire_messages[i] for i in unknown]), strict=True
            ):
                results[index] = error
        return results

    async def follow(
        self, order_id: UUID, until: tuple[type[Message], ...] = AT_REST
    ) -> AsyncIterator[Message]:
        """Yield order_svc's events about an order, from the first that this client received,
        until it is at rest.
        """
        key = str(order_id)
        seen = 0
        while True:
            news = self._news.setdefault(key, asyncio.Event())
            for event in self._received.get(key, [])[seen:]:
                seen += 1
                yield event
                if isinstance(event, until):
                    self._news.pop(key, None)
                    return
            news.clear()
            if len(self._received.get(key, [])) == seen:
                await news.wait()

    async def _listen(self) -> None:
        """Consume from an exclusive queue.

        It misses events while disconnected; order_svc's HTTP API has them.
        """
        self._listening = await aio_pika.connect_robust(
            self._url, heartbeat=20, connection_class=TolerantRobustConnection
        )
        channel = await self._listening.channel()
        await channel.set_qos(prefetch_count=1000)
        queue = await channel.declare_queue(f"{self._user}.{new_id()}", exclusive=True)
        exchange = await channel.get_exchange(NAMES.client_events, ensure=False)
        await queue.bind(exchange, "order.*.*")
        await queue.consume(self._on_event, no_ack=True)

    async def _on_event(self, message: AbstractIncomingMessage) -> None:
        contract = CATALOG.get(message.type or "")
        if contract is None:
            return
        with suppress(Malformed):
            event = read(contract, message.body)
            self._received.setdefault(event.subject, []).append(event)
            while len(self._received) > _ORDERS_REMEMBERED:
                self._received.popitem(last=False)
            if news := self._news.get(event.subject):
                news.set()
