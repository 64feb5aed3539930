"""Bad input on a real broker leads to an event or a dead letter with its reason,
and does not block the queue.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import aio_pika
import pytest
from prometheus_client import REGISTRY

from chassis.bus.protocol import AccessRefused
from chassis.bus.rabbitmq import RabbitBus
from chassis.clock import utc_now
from chassis.messaging.envelope import BODY_BYTES_MAX, WireMessage, wrap
from chassis.messaging.identity import derived_id, new_id
from chassis.messaging.message import Message
from chassis.runtime import Runtime
from chassis.store.mongodb import MongoStore
from contracts import orders, payments, products
from contracts.catalog import CATALOG
from contracts.values import Money, OrderLine
from journey.devenv.infra.model import Infrastructure
from order_svc.service import order_service
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost
from tests.support.recording_consumer import Inbox

pytestmark = [pytest.mark.real, pytest.mark.every_service]

PRICES = {"TEA": ("EUR", 420), "CUP": ("EUR", 890), "SAKE": ("JPY", 3000)}


class Shop:
    """order_svc on the real broker and database, a client, and access to its events and dead letters."""

    def __init__(self, client: RabbitBus, store: MongoStore, dead: Inbox) -> None:
        self.client = client
        self.store = store
        self.dead = dead

    async def send(self, wire_message: WireMessage) -> None:
        assert await self.client.publish([wire_message]) == [None]

    async def order(self, **changes: Any) -> str:
        """Send PlaceOrder with some fields changed, as any client could; returns the order's id."""
        body: dict[str, Any] = {
            "order_id": str(uuid4()),
            "customer_id": str(uuid4()),
            "lines": [{"sku": "TEA", "quantity": 1}],
            "card_token": "tok_visa",
        }
        await self.send(raw(json.dumps(body | changes).encode()))
        return str(body["order_id"])

    async def dead_letter(self) -> dict[str, Any]:
        await self.dead.has(1)
        return dict(self.dead.wire_messages[0].headers)

    async def event(self, order_id: str) -> dict[str, Any]:
        """The first event of order_svc about an order."""
        trails = await until(lambda: self.store.journey("orders", order_id), within_s=20)
        emitted = trails[0][1][0].emits[0]
        return {"type": emitted.type, **json.loads(emitted.body)}

    async def flows_on(self) -> None:
        assert (await self.event(await self.order()))["type"] == "order.placed.v1"


def raw(body: bytes, wire_type: str = "order.place.v1", **properties: Any) -> WireMessage:
    wire_message = WireMessage("commands", "order.place.v1", body, str(uuid4()), wire_type, "stranger", None)
    return replace(wire_message, **properties)


def wire_message_of(message: Message) -> WireMessage:
    return wrap(message, id=str(new_id()), source="test", now=utc_now()).wire_message(CATALOG)


@pytest.fixture
async def shop(
    vhost: VirtualHost, database_prefix: str, real_infrastructure: Infrastructure
) -> AsyncIterator[Shop]:
    store = MongoStore(real_infrastructure.mongo_url, f"{database_prefix}order_svc")
    runtime = Runtime(order_service(), RabbitBus(vhost.url("order_svc")), store)
    await runtime.start()
    buses = {user: RabbitBus(vhost.url(user)) for user in ("client", "product_svc", "operator")}
    for bus in buses.values():
        await bus.start()
    dead = Inbox()
    for queue in "order_svc.dead", "order_svc.rejected":
        await buses["operator"].subscribe(queue, 10, dead)
    listed = [
        products.ProductListed(
            sku=sku, title=sku, category="all", price=Money(amount_minor=cents, currency=currency), revision=1
        )
        for sku, (currency, cents) in PRICES.items()
    ]
    assert not any(await buses["product_svc"].publish([wire_message_of(event) for event in listed]))
    for sku in PRICES:
        while (await store.load("prices", [sku]))[sku].version == 0:
            await asyncio.sleep(0.02)
    yield Shop(buses["client"], store, dead)
    for bus in buses.values():
        await bus.stop()
    await runtime.stop(2)


@pytest.mark.parametrize("quantity", [-1, 0, 10**18, 1.5, "1", None, True], ids=repr)
async def test_an_invalid_quantity_is_a_dead_letter_naming_the_field(shop: Shop, quantity: object) -> None:
    await shop.order(lines=[{"sku": "TEA", "quantity": quantity}])
    dead_letter = await shop.dead_letter()
    assert "lines.0.quantity" in dead_letter["error"] and dead_letter["origin_queue"] == "order_svc.commands"
    await shop.flows_on()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"lines": []}, "lines"),
        ({"lines": [{"sku": "TEA", "quantity": 1}] * 51}, "lines"),
        ({"lines": [{"sku": "no such form", "quantity": 1}]}, "lines.0.sku"),
        ({"order_id": "7"}, "order_id"),
        ({"total_seen": {"amount_minor": 1, "currency": "XXX"}}, "total_seen.currency"),
        ({"card_token": "4242 4242 4242 4242"}, "card_token"),
    ],
)
async def test_other_bad_fields_are_named_in_the_dead_letter(
    shop: Shop, changes: dict[str, Any], named: str
) -> None:
    await shop.order(**changes)
    assert named in (await shop.dead_letter())["error"]
    await shop.flows_on()


@pytest.mark.parametrize(
    ("wire_message", "reason"),
    [
        (raw(b"{broken"), "body"),
        (raw(b""), "body"),
        (raw(b"\xff\xfe"), "body"),
        (raw(b"[" * 10_000), "body"),
        (raw(b"{}", "order.teleport.v1"), "unknown message type"),
        (raw(b"{}", "order.place.v99"), "unknown message type"),
        (raw(b"{}", content_type="text/xml"), "content_type"),
    ],
    ids=["broken", "empty", "not utf-8", "deep", "unknown type", "version 99", "xml"],
)
async def test_an_unreadable_message_is_a_dead_letter_with_its_reason(
    shop: Shop, wire_message: WireMessage, reason: str
) -> None:
    await shop.send(wire_message)
    assert reason in (await shop.dead_letter())["error"]
    await shop.flows_on()


async def test_a_too_long_body_is_rejected_or_dead_lettered(shop: Shop) -> None:
    """A broker that we start rejects it; others may accept it."""
    [error] = await shop.client.publish([raw(b"x" * 2**20)])
    if error is None:
        assert f"at most {BODY_BYTES_MAX}" in (await shop.dead_letter())["error"]
    else:
        assert "max size" in str(error)
    await shop.flows_on()


async def test_an_unknown_article_is_rejected_by_an_event(shop: Shop) -> None:
    rejected = await rejection(shop, lines=[{"sku": "NO-SUCH", "quantity": 1}])
    assert rejected["reason"] == "unknown_sku" and "NO-SUCH" in rejected["detail"]
    await shop.flows_on()


async def test_mixed_currencies_are_rejected_by_an_event(shop: Shop) -> None:
    rejected = await rejection(shop, lines=[{"sku": "TEA", "quantity": 1}, {"sku": "SAKE", "quantity": 1}])
    assert rejected["reason"] == "mixed_currency"


async def test_a_total_that_has_changed_is_rejected_with_both_numbers(shop: Shop) -> None:
    rejected = await rejection(shop, total_seen={"amount_minor": 1, "currency": "EUR"})
    assert rejected["reason"] == "total_changed"
    assert (rejected["total_seen"]["amount_minor"], rejected["total_now"]["amount_minor"]) == (1, 420)


async def test_order_lines_of_one_article_are_added_up(shop: Shop) -> None:
    placed = await shop.event(
        await shop.order(lines=[{"sku": "TEA", "quantity": 1}, {"sku": "TEA", "quantity": 2}])
    )
    assert [(line["sku"], line["quantity"]) for line in placed["lines"]] == [("TEA", 3)]


async def test_forged_events_and_wrong_senders_are_refused(shop: Shop, vhost: VirtualHost) -> None:
    forged = wire_message_of(
        payments.PaymentAuthorized(order_id=uuid4(), amount=Money(amount_minor=1, currency="EUR"))
    )
    [error] = await shop.client.publish([forged])
    assert error is not None and "refused" in str(error).lower()
    inventory = RabbitBus(vhost.url("inventory_svc"))
    await inventory.start()
    # A service may write to the exchange, but publishes another service's event under its own routing key.
    disguised = replace(forged, routing_key="inventory.stock_reserved.v1")
    assert await inventory.publish([disguised]) == [None]
    await inventory.stop()
    assert "must come from payment_svc" in (await shop.dead_letter())["error"]
    await shop.flows_on()


async def test_a_services_own_command_is_refused_for_a_client(shop: Shop) -> None:
    [error] = await shop.client.publish([wire_message_of(orders.DeadlinePassed(order_id=uuid4()))])
    assert error is not None
    assert await shop.client.publish([wire_message_of(an_order())]) == [None]


def counted(role: str) -> float:
    labels = {"service": "order_svc", "role": role}
    return REGISTRY.get_sample_value("journey_forged_messages_total", labels) or 0.0


# Headers that would make a message look as if a service had validated it and handed it back.
CLAIMS = {"attempt": 2, "postponed": "x", "origin_user": "operator", "origin_key": "order.dispatch.v1"}


@pytest.mark.parametrize("copies", [{}, {"CC": ["order.dispatch.v1"]}, {"BCC": ["order.dispatch.v1"]}])
async def test_a_clients_disguised_staff_command_changes_nothing(shop: Shop, copies: dict[str, Any]) -> None:
    order_id, before = await shop.order(), counted("client")
    await shop.event(order_id)
    dispatch = wire_message_of(orders.DispatchOrder(order_id=UUID(order_id)))
    disguised = replace(
        dispatch, routing_key="order.place.v1", headers={**dispatch.headers, **CLAIMS, **copies}
    )
    [error] = await shop.client.publish([disguised])
    # RabbitMQ 4 checks the rights for copies itself; 3.10 does not, so the consumer finds the forgery.
    if not (copies and isinstance(error, AccessRefused)):
        assert error is None
        dead_letter = await shop.dead_letter()
        assert dead_letter["error_type"] == "Forged" and "must come from operator" in dead_letter["error"]
        origin = (dead_letter["origin_user"], dead_letter["attempt"], dead_letter["origin_key"])
        assert origin == ("client", 1, "order.place.v1")
        assert "postponed" not in dead_letter and "CC" not in dead_letter
        assert counted("client") == before + 1
    await shop.flows_on()
    [(_, handled)] = await shop.store.journey("orders", order_id)
    assert [each.type for each in handled] == ["order.place.v1"]


async def test_a_client_cannot_make_a_services_message_a_duplicate(shop: Shop) -> None:
    """An order's id gives away the id of its reminder.

    If a client used it first, the reminder would be ignored.
    """
    order_id = await shop.order()
    await shop.event(order_id)
    stranger = wire_message_of(orders.CancelOrder(order_id=UUID(order_id), customer_id=uuid4()))
    reminder = derived_id("orders", order_id, "deadline")
    await shop.send(replace(stranger, message_id=reminder))
    assert "version 5 UUID" in (await shop.dead_letter())["error"]
    await shop.flows_on()
    assert reminder not in (await shop.store.load("orders", [order_id]))[order_id].handled


async def test_a_command_without_user_id_is_dead_lettered_with_remedy(shop: Shop, vhost: VirtualHost) -> None:
    before = counted("none")
    async with await aio_pika.connect(vhost.url("client")) as connection:
        exchange = await (await connection.channel()).get_exchange("commands", ensure=False)
        wrapped = wire_message_of(an_order())
        message = aio_pika.Message(
            wrapped.body, content_type="application/json", message_id=wrapped.message_id, type=wrapped.type
        )
        await exchange.publish(message, "order.place.v1")
    dead_letter = await shop.dead_letter()
    assert (
        dead_letter["error_type"] == "Forged"
        and "set the user_id property to your broker user" in dead_letter["error"]
    )
    assert counted("none") == before + 1
    await shop.flows_on()


async def rejection(shop: Shop, **changes: Any) -> dict[str, Any]:
    event = await shop.event(await shop.order(**changes))
    assert event["type"] == "order.rejected.v1"
    return event


def an_order() -> orders.PlaceOrder:
    lines = (OrderLine(sku="TEA", quantity=1),)
    return orders.PlaceOrder(order_id=uuid4(), customer_id=uuid4(), lines=lines, card_token="tok_visa")
