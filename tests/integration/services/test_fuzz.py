"""Arbitrary messages from a client, as raw frames through a real broker, among healthy orders.

The broker routes by the headers CC and BCC without checking permissions. So a client reaches the commands
queue of every service, and every service runs here.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from itertools import zip_longest
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chassis.bus.memory import MemoryStore
from chassis.bus.protocol import Bus
from chassis.bus.rabbitmq import RabbitBus
from chassis.core.definition import EffectHandler
from chassis.messaging.envelope import wrap
from chassis.messaging.identity import new_id
from chassis.messaging.message import Command, Message
from chassis.runtime import Runtime
from contracts import inventory, orders, products
from contracts.catalog import CATALOG
from contracts.http.orders import OrderStatus
from contracts.values import Money, OrderLine
from journey.admin.dead_letters.reader import read as read_dead_letters
from journey.admin.registry import SERVICES
from notification_svc.mail import Sent
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost
from tests.support.pending_message_factory import NOW
from tests.support.raw_amqp_client import (
    DECODABLE,
    REFUSED,
    UNDECODABLE,
    AmqpError,
    RawAmqpClient,
    array,
    properties,
    raw_amqp_client,
    short,
    table,
    text,
)
from tests.support.shops.two_instances import Provider
from tests.unit.chassis.bus.test_amqp_properties import headers, names, property_bytes

pytestmark = [pytest.mark.real, pytest.mark.every_service]

WAIT_S_MAX = 60.0
SKU = "TEA-GREEN"
TYPES = sorted(name.encode() for name, contract in CATALOG.items() if issubclass(contract, Command))
KEYS = (b"order.place.v1", b"order.cancel.v1")

ids = st.sampled_from([str(UUID(int=number)) for number in range(4)]) | st.text(max_size=8)
bodies = st.one_of(
    st.binary(max_size=300),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {
            "order_id": ids,
            "customer_id": ids,
            "lines": st.just([]),
            "card_token": st.text(max_size=5),
            "sku": ids,
        }
    ).map(lambda value: json.dumps(value).encode()),
)
copies = st.tuples(st.sampled_from([b"CC", b"BCC"]), st.lists(st.sampled_from(TYPES), max_size=6)).map(
    lambda both: (both[0], b"A" + array(*map(text, both[1])))
)
# As close to a valid order as possible: each property is either correct, or anything.
plausible = st.fixed_dictionaries(
    {
        "message_id": names,
        "type": st.sampled_from(TYPES).map(short) | names,
        "content_type": st.just(short(b"application/json")) | names,
        "headers": st.tuples(headers, st.lists(copies, max_size=2)).map(
            lambda both: table(*both[0], *both[1])
        ),
    },
    optional={"user_id": st.just(short(b"client")), "app_id": names, "correlation_id": names},
).map(lambda given: properties(**given))
named = st.sampled_from([*UNDECODABLE.values(), *DECODABLE.values(), *REFUSED.values()])
messages = st.tuples(
    st.sampled_from(KEYS), property_bytes | plausible | named | st.binary(max_size=60), bodies
)


class Shop:
    """Every service on a real broker, a client that may place orders, and one that sends anything."""

    def __init__(self, vhost: VirtualHost, stack: AsyncExitStack) -> None:
        self._vhost = vhost
        self._stack = stack
        self.runtimes: dict[str, Runtime] = {}
        self._strange: RawAmqpClient | None = None

    async def open(self) -> None:
        for name, make in SERVICES.items():
            effects = {"payment_svc": _cards, "notification_svc": _mails}.get(name)
            runtime = Runtime(make(), RabbitBus(self._vhost.url(name)), MemoryStore(), effects=effects)
            await runtime.start()
            self._stack.push_async_callback(runtime.stop, 2)
            self.runtimes[name] = runtime
        await self._stock()

    async def _stock(self) -> None:
        price = Money(amount_minor=420, currency="EUR")
        listed = products.ProductListed(sku=SKU, title="Tea", category="tea", price=price, revision=1)
        await self.send("product_svc", listed)
        await self.send("operator", inventory.ReceiveStock(receipt_id=UUID(int=7), sku=SKU, quantity=10_000))
        for service, kind in (("order_svc", "prices"), ("inventory_svc", "shelves")):
            await until(partial(self._known, service, kind), within_s=WAIT_S_MAX)

    async def _known(self, service: str, kind: str) -> int:
        return (await self.runtimes[service].store.load(kind, [SKU]))[SKU].version

    async def send(self, user: str, *emitted: Message) -> None:
        bus: Bus = RabbitBus(self._vhost.url(user))
        await bus.start()
        wire_messages = [wrap_as(user, message) for message in emitted]
        assert await bus.publish(wire_messages) == [None] * len(emitted)
        await bus.stop()

    async def send_anything(self, key: bytes, raw: bytes, body: bytes) -> None:
        """If the broker rejects it, the sender loses its connection."""
        if self._strange is None:
            self._strange = await self._stack.enter_async_context(raw_amqp_client(self._vhost.url("client")))
        try:
            await self._strange.publish("commands", key, raw, body)
        except AmqpError:
            self._strange = None

    def connections(self) -> list[object]:
        buses = [runtime.bus for runtime in self.runtimes.values()]
        return [
            c._connection
            for bus in buses
            if isinstance(bus, RabbitBus)
            for c in (bus._consuming, bus._publishing)
        ]

    async def unconfirmed(self, order_ids: list[str]) -> list[str]:
        found = await self.runtimes["order_svc"].store.load("orders", order_ids)
        return [
            key
            for key, loaded in found.items()
            if (loaded.state or {}).get("status") != OrderStatus.CONFIRMED
        ]

    async def dead(self) -> set[str]:
        return {
            dead_letter.journey_id
            for dead_letter in await read_dead_letters(self._vhost.url("operator"), list(SERVICES))
        }


def wrap_as(user: str, message: Message) -> Any:
    return wrap(message, id=str(new_id()), source=user, now=NOW).wire_message(CATALOG)


@asynccontextmanager
async def _cards(runtime: Runtime) -> AsyncIterator[EffectHandler[Any, Any]]:
    yield Provider()


@asynccontextmanager
async def _mails(runtime: Runtime) -> AsyncIterator[EffectHandler[Any, Any]]:
    async def deliver(effect: Any, first_asked: datetime) -> Sent:
        return Sent()

    yield deliver


@pytest.fixture
async def shop(vhost: VirtualHost) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        opened = Shop(vhost, stack)
        await opened.open()
        yield opened


def an_order() -> orders.PlaceOrder:
    lines = (OrderLine(sku=SKU, quantity=1),)
    return orders.PlaceOrder(order_id=new_id(), customer_id=new_id(), lines=lines, card_token="tok_visa")


@settings(
    max_examples=15,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes too long on a real broker
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(messages, min_size=10, max_size=30))
async def test_arbitrary_client_messages_leave_orders_and_consumers_intact(
    shop: Shop, strange: list[tuple[bytes, bytes, bytes]]
) -> None:
    connections = shop.connections()
    placed = [an_order() for _ in range(10)]
    for order, anything in zip_longest(placed, strange):
        if order is not None:
            await shop.send("client", order)
        if anything is not None:
            await shop.send_anything(*anything)
    order_ids = [order.subject for order in placed]
    await until(lambda: shop.unconfirmed(order_ids), lambda missing: not missing, within_s=WAIT_S_MAX)
    assert not set(order_ids) & await shop.dead()
    assert shop.connections() == connections
    assert {name: runtime.unready() for name, runtime in shop.runtimes.items()} == dict.fromkeys(
        shop.runtimes, ""
    )
    assert not any(runtime.crashed.done() for runtime in shop.runtimes.values())
