"""Two instances of each service of the saga, one broker, one database per service,
every message sent thrice.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.bus.protocol import Bus
from chassis.clock import utc_now
from chassis.core.definition import EffectHandler, ServiceDefinition
from chassis.messaging.envelope import WireMessage, wrap
from chassis.messaging.identity import new_id
from chassis.messaging.message import Message
from chassis.runtime import Runtime
from chassis.store.protocol import Store
from contracts import inventory, orders, products
from contracts.catalog import CATALOG
from contracts.payments import DeclineReason
from contracts.values import Money, OrderLine
from inventory_svc.service import inventory_service
from order_svc.service import order_service
from payment_svc import payment as card
from payment_svc.service import payment_service
from tests.support.brokers import Broker
from tests.support.forwarding_bus import ForwardingBus

SERVICES: tuple[Callable[[], ServiceDefinition], ...] = (order_service, inventory_service, payment_service)
DECLINED = "tok_declined"


class Thrice(ForwardingBus):
    """Publishes every message one to three times at once, and records all of them."""

    def __init__(self, bus: Bus, seed: int, sent: list[WireMessage]) -> None:
        super().__init__(bus)
        self._random = random.Random(seed)
        self._sent = sent

    async def publish(self, wire_messages: Sequence[WireMessage]) -> list[Exception | None]:
        self._sent += wire_messages
        copies = [[p for p in wire_messages if self._random.random() < 0.7] for _ in range(2)]
        results, *_ = await asyncio.gather(*(self._bus.publish(each) for each in (wire_messages, *copies)))
        return results


class Provider:
    """Responds at once; counts the requests per key."""

    def __init__(self) -> None:
        self.authorized: dict[str, str] = {}
        self.captured: dict[str, str] = {}
        self.amounts: dict[str, Money] = {}

    async def __call__(self, effect: Any, first_asked: datetime) -> Any:
        match effect:
            case card.AuthorizeCard(card_token=token) if token == DECLINED:
                return card.Declined(DeclineReason.REFUSED)
            case card.AuthorizeCard(key=key, order_id=order_id, amount=amount):
                self.amounts[key] = amount
                return card.Authorized(self.authorized.setdefault(key, f"ref-{order_id}"), amount)
            case card.CaptureAmount(key=key, reference=reference, amount=amount):
                self.captured[key] = reference
                return card.Captured(reference, amount)
            case card.VoidAuthorization(reference=reference, authorized_under=key):
                return card.Voided(reference, self.amounts[key])
            case card.RefundAmount(reference=reference, amount=amount):
                return card.Refunded(reference, amount)
            case _:
                raise NotImplementedError(f"{effect!r}")


class Shop:
    """What the tests do: receive stock, place orders, and check the outcome."""

    def __init__(self, broker: Broker, stack: AsyncExitStack) -> None:
        self._broker = broker
        self._stack = stack
        self.sent: list[WireMessage] = []
        self.provider = Provider()
        self.runtimes: list[Runtime] = []
        self.stores: dict[str, Store] = {}

    async def open(self, store: Callable[[str], Store]) -> None:
        for seed, make in enumerate((*SERVICES, *SERVICES)):
            service = make()
            bus = Thrice(await self._broker.bus(service.name), seed, self.sent)
            effects = self._effects if service.name == "payment_svc" else None
            runtime = Runtime(service, bus, store(service.name), effects=effects)
            await runtime.start()
            self._stack.push_async_callback(runtime.stop, 5)
            self.runtimes.append(runtime)
            self.stores[service.name] = runtime.store

    @asynccontextmanager
    async def _effects(self, runtime: Runtime) -> AsyncIterator[EffectHandler[Any, Any]]:
        yield self.provider

    async def send(self, user: str, *messages: Message) -> None:
        bus = Thrice(await self._broker.bus(user), 99, self.sent)
        envelopes = [wrap(message, id=str(new_id()), source=user, now=utc_now()) for message in messages]
        assert not any(await bus.publish([envelope.wire_message(CATALOG) for envelope in envelopes]))

    async def stock(self, sku: str, pieces: int) -> None:
        price = Money(amount_minor=420, currency="EUR")
        listed = products.ProductListed(sku=sku, title="Tea", category="tea", price=price, revision=1)
        await self.send("product_svc", listed)
        await self.send("operator", inventory.ReceiveStock(receipt_id=new_id(), sku=sku, quantity=pieces))

    async def order(self, cards: Sequence[str], *lines: OrderLine) -> list[UUID]:
        ids = [new_id() for _ in cards]
        wanted = [
            orders.PlaceOrder(order_id=id_, customer_id=new_id(), lines=lines, card_token=token)
            for id_, token in zip(ids, cards, strict=True)
        ]
        await self.send("client", *wanted)
        return ids

    async def states(self, service: str, kind: str) -> list[dict[str, Any]]:
        return [loaded.state or {} for loaded in await self.stores[service].find(kind, limit=1000)]

    async def statuses(self, service: str, kind: str) -> list[str]:
        return [state["status"] for state in await self.states(service, kind)]


@asynccontextmanager
async def open_shop(broker: Broker, store: Callable[[str], Store]) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        shop = Shop(broker, stack)
        await shop.open(store)
        yield shop
