"""One service of the shop in memory is set back to an earlier copy of its database; all others go on."""

import asyncio
import random
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx

from chassis.bus.memory import MemoryBus, MemoryStore
from chassis.core.roll_forward import RolledForward, RollForward, past_decisions
from chassis.messaging.envelope import OPERATOR, WireMessage, parse
from chassis.messaging.identity import new_id
from chassis.messaging.message import Event
from chassis.messaging.origin import HANDED_BACK, Origin
from contracts import inventory, orders, products
from contracts.catalog import CATALOG, NAMES
from contracts.http.orders import OrderStatus
from contracts.values import Money, OrderLine, ReturnedLine, ReturnTo
from journey.admin import paging
from journey.admin.diagnosis import doctor
from journey.admin.registry import CONSUMING_SERVICES
from journey.devenv.shop import register
from tests.support.eventually import until
from tests.support.settled import unsettled
from tests.support.shops.in_memory import InMemoryShop

SKUS = ("KETTLE-BLUE", "TEA-GREEN", "TEA-BLACK", "CUP-WHITE")
SCARCE = "SAMOVAR-RARE"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
AT_REST_S_MAX = 60.0


@dataclass
class SetBack:
    """A shop with customers who order, cancel and receive. `seed` makes the load reproducible."""

    shop: InMemoryShop
    seed: int
    customers: list[UUID] = field(default_factory=list)
    placed: list[UUID] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    async def begin(self) -> None:
        self.customers = await register(self.shop, ["Ada", "Grace"])
        await self.receive(3)

    async def receive(self, pieces: int) -> None:
        """Scarce goods, for which the orders compete."""
        receipt = inventory.ReceiveStock(receipt_id=new_id(), sku=SCARCE, quantity=pieces)
        await self.shop.send(OPERATOR, receipt)

    async def order(self, count: int) -> None:
        for _ in range(count):
            kind = self.random.random()
            skus = self.random.sample(SKUS, k=2) + ([SCARCE] if kind < 0.4 else [])
            card = "tok_declined" if 0.4 < kind < 0.5 else "tok_flaky" if kind > 0.9 else "tok_visa"
            command = orders.PlaceOrder(
                order_id=new_id(),
                customer_id=self.random.choice(self.customers),
                lines=tuple(OrderLine(sku=sku, quantity=1) for sku in skus),
                card_token=card,
            )
            self.placed.append(command.order_id)
            await self.shop.send(NAMES.client, command)
            if self.random.random() < 0.3:
                await asyncio.sleep(self.random.uniform(0, 0.1))
                cancel = orders.CancelOrder(order_id=command.order_id, customer_id=command.customer_id)
                await self.shop.send(NAMES.client, cancel)

    async def dispatch_some(self) -> None:
        chosen = self.random.sample(self.placed, k=len(self.placed) // 3)
        await self.shop.send(OPERATOR, *(orders.DispatchOrder(order_id=each) for each in chosen))

    async def refund_some(self) -> None:
        """One piece of each dispatched order comes back."""
        for order in await self.all_of("orders", "order_svc"):
            if order["status"] == OrderStatus.DISPATCHED:
                line = order["lines"][0]
                refund = orders.RefundOrder(
                    order_id=UUID(order["order_id"]),
                    refund_id=new_id(),
                    staff_id=new_id(),
                    amount=Money.model_validate(line["price"]),
                    returned=(ReturnedLine(sku=line["sku"], quantity=1, to=ReturnTo.STOCK),),
                )
                await self.shop.send(OPERATOR, refund)

    async def change_price(self, cents: int) -> None:
        price = Money(amount_minor=cents, currency="EUR")
        await self.shop.send(OPERATOR, products.ChangePrice(sku=SKUS[0], price=price))

    async def at_rest(self) -> None:
        """Wait until the doctor finds nothing, and no message is in progress."""

        async def broken() -> dict[str, Any]:
            if waiting := unsettled(self.shop._broker):
                return {"all messages are settled": waiting}
            async with httpx.AsyncClient(timeout=20) as http:
                findings = await doctor.settled(http, self.shop.endpoints.http, self.shop.dead, wait_s=0)
            return {each.promise: each.broken[:3] for each in findings if not each.holds}

        await until(broken, lambda found: not found, within_s=AT_REST_S_MAX)

    async def all_of(self, path: str, service: str) -> list[dict[str, Any]]:
        async with httpx.AsyncClient(timeout=20) as http:
            address = f"{self.shop.endpoints.http[service]}/{path}"
            return [item async for item in paging.pages(http, address)]

    def copy_of(self, service: str) -> dict[str, Any]:
        return deepcopy(self.shop._stores[service]._kinds)

    async def restore(self, service: str, copy: dict[str, Any]) -> RolledForward:
        """Set the stopped service back, and forward again from what was published."""
        definition = CONSUMING_SERVICES[service]()
        store = self.shop._stores[service] = MemoryStore()
        store._kinds = copy
        found = [
            parse(wire_message, CATALOG, reader=service)
            for wire_message in self.shop._broker.tapped
            if wire_message.exchange == NAMES.events
        ]
        result = await RollForward(definition, store).run(past_decisions(definition, found))
        self._publish_again(store)
        return result

    def _publish_again(self, store: MemoryStore) -> None:
        from dataclasses import replace

        for documents in store._kinds.values():
            for key, document in documents.items():
                documents[key] = replace(document, unpublished_since=LONG_AGO)

    async def backfill(self, service: str) -> None:
        definition = CONSUMING_SERVICES[service]()
        consumed = {each.TYPE for each in definition.by_type if issubclass(each, Event)}
        again = [
            wire_message.with_route(
                HANDED_BACK, definition.events_queue, **Origin.of(wire_message, service).headers()
            )
            for wire_message in self.shop._broker.tapped
            if wire_message.exchange == NAMES.events and wire_message.type in consumed
        ]
        await MemoryBus(self.shop._broker, OPERATOR).publish(again)

    def published(self, type_: str) -> list[WireMessage]:
        exchange = NAMES.events
        return [each for each in self.shop._broker.tapped if each.exchange == exchange and each.type == type_]

    def copies_of_mails(self) -> Counter[str]:
        mails = self.shop.mailbox.newest(0, 10_000)
        return Counter(mail.message_id.strip("<>").partition("@")[0] for mail in mails)
