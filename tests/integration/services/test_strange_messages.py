"""Messages that our client library cannot send, among healthy orders, on a real broker."""

import io
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import aiormq
import httpx
import pytest
from aiormq.abc import DeliveredMessage
from rich.console import Console
from yarl import URL

from chassis.bus.aiormq_frames.transport import TappedConnection
from chassis.bus.memory import MemoryStore
from chassis.bus.rabbitmq import RabbitBus
from chassis.bus.topology_policies import REJECTED_BYTES_MAX
from chassis.clock import utc_now
from chassis.core.decision import Decision
from chassis.messaging.envelope import BODY_BYTES_MAX, UNREADABLE, WireMessage, wrap
from chassis.messaging.identity import new_id
from chassis.messaging.untrusted import shortened
from chassis.runtime import Runtime
from contracts import orders
from contracts.catalog import CATALOG
from contracts.values import OrderLine
from journey.admin.dead_letters import audit_log
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.dead_letters.groups import group_dead_letters
from journey.admin.dead_letters.reader import read as read_dead_letters
from journey.admin.dead_letters.redrive import DROP, DeadLetterAction, redrive_or_drop
from journey.admin.dead_letters.selection import redrive_blocker
from journey.cli.dead_letter_view import in_full, listed, summary
from journey.client import Client
from order_svc.service import order_service
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost
from tests.support.raw_amqp_client import (
    DECODABLE,
    REFUSED,
    UNDECODABLE,
    AmqpError,
    RawAmqpClient,
    properties,
    raw_amqp_client,
    short,
    table,
    text,
)
from tests.support.recording_consumer import WAIT_S_MAX

pytestmark = pytest.mark.real

KEY = b"order.place.v1"
SETTLING = [*UNDECODABLE, *DECODABLE]


@dataclass
class Shop:
    """order_svc on a real broker, and a client that may place orders."""

    runtime: Runtime
    client: RabbitBus
    strange: RawAmqpClient
    operator: str

    async def order(self, count: int) -> list[str]:
        wire_messages = [an_order() for _ in range(count)]
        assert await self.client.publish(wire_messages) == [None] * count
        return [wire_message.correlation_id or "" for wire_message in wire_messages]

    async def handled(self, order_ids: list[str]) -> None:
        async def missing() -> list[str]:
            found = await self.runtime.store.load("orders", order_ids)
            return [key for key, loaded in found.items() if not loaded.version]

        await until(missing, lambda ids: not ids, within_s=WAIT_S_MAX)

    async def dead_letters(self, count: int) -> list[DeadLetter]:
        async def look() -> list[DeadLetter]:
            return await read_dead_letters(self.operator, ["order_svc"])

        return await until(look, lambda dead_letters: len(dead_letters) >= count, within_s=WAIT_S_MAX)


def an_order() -> WireMessage:
    lines = (OrderLine(sku="TEA", quantity=1),)
    order = orders.PlaceOrder(order_id=uuid4(), customer_id=uuid4(), lines=lines, card_token="tok_visa")
    return wrap(order, id=str(new_id()), source="test", now=utc_now()).wire_message(CATALOG)


@pytest.fixture
async def shop(vhost: VirtualHost) -> AsyncIterator[Shop]:
    runtime = Runtime(order_service(), RabbitBus(vhost.url("order_svc")), MemoryStore())
    client = RabbitBus(vhost.url("client"))
    await runtime.start()
    await client.start()
    async with raw_amqp_client(vhost.url("client")) as strange:
        yield Shop(runtime, client, strange, vhost.url("operator"))
    await client.stop()
    await runtime.stop(2)


async def test_every_malformed_message_is_one_dead_letter(shop: Shop) -> None:
    assert isinstance(shop.runtime.bus, RabbitBus)
    connection = shop.runtime.bus._consuming._connection
    order_ids = await shop.order(20)
    for number, raw in enumerate((*UNDECODABLE.values(), *DECODABLE.values())):
        await shop.strange.publish("commands", KEY, raw, b"body %d \xff" % number)
        order_ids += await shop.order(2)
    dead_letters = await shop.dead_letters(len(SETTLING))
    await shop.handled(order_ids)
    assert len(dead_letters) == len(SETTLING) and not shop.runtime.crashed.done()
    assert shop.runtime.bus._consuming._connection is connection and shop.runtime.unready() == ""
    assert {dead_letter.wire_message.body for dead_letter in dead_letters} == {
        b"body %d \xff" % n for n in range(len(SETTLING))
    }


async def test_the_tools_list_show_refuse_and_drop_them(shop: Shop) -> None:
    for raw in (*UNDECODABLE.values(), *DECODABLE.values()):
        await shop.strange.publish("commands", KEY, raw, b"\x1b[2J<script>\xff\0")
    dead_letters = await shop.dead_letters(len(SETTLING))
    for line in shown(dead_letters):
        assert line.isprintable() and "script" not in line.replace("<script>", "")
    async with httpx.AsyncClient() as http:
        for dead_letter in dead_letters:
            assert await redrive_blocker(dead_letter, http, {"order_svc": "http://localhost:1"}, utc_now())
    done = await redrive_or_drop(
        shop.operator, dead_letters, DeadLetterAction(DROP, "operator", "unreadable")
    )
    assert (done.settled, done.missing, done.unsent) == (len(dead_letters), 0, [])
    assert await shop.dead_letters(0) == []


async def test_arbitrary_ids_do_not_fail_a_batch_of_drops(shop: Shop) -> None:
    """They come from bodies that were not validated."""
    ids = ["x" * 200_000, "\ud800\udc00\ud800", "\x1b[2J\n", "é" * 300, ["a"], 10**400, None]
    kinds = {"type": short(KEY), "user_id": short(b"client"), "content_type": short(b"application/json")}
    for number, id_ in enumerate(ids):
        body = json.dumps({"order_id": id_}).encode()
        await shop.strange.publish(
            "commands", KEY, properties(message_id=short(b"m%d" % number), **kinds), body
        )
    dead_letters = await shop.dead_letters(len(ids))
    for dead_letter in dead_letters:
        assert dead_letter.journey_id == shortened(dead_letter.journey_id)
    done = await redrive_or_drop(
        shop.operator, dead_letters, DeadLetterAction(DROP, "operator", "unreadable")
    )
    assert (done.settled, done.missing, done.unsent) == (len(ids), 0, [])
    entries = await audit_log.read(shop.operator)
    assert {entry.message_id for entry in entries} == {f"m{number}" for number in range(len(ids))}


def shown(dead_letters: list[DeadLetter]) -> Iterator[str]:
    """Every line that `journey dlq` would print about them."""
    page = Console(file=io.StringIO(), width=200, color_system=None, force_terminal=False)
    for group in group_dead_letters(dead_letters):
        for line in listed(group, utc_now()):
            page.print(line)
    for dead_letter in dead_letters:
        page.print(in_full(dead_letter))
        json.dumps(summary(dead_letter, in_full=True))
    assert isinstance(page.file, io.StringIO)
    yield from page.file.getvalue().splitlines()


async def test_the_raw_properties_are_shown_as_escaped_bytes(shop: Shop) -> None:
    await shop.strange.publish("commands", KEY, UNDECODABLE["latin-1 app_id"])
    [dead_letter] = await shop.dead_letters(1)
    assert dead_letter.error_type == "Unreadable" and "app_id is not UTF-8" in dead_letter.error
    assert dead_letter.headers_shown["raw_properties"].endswith("caf\\xe9")


async def test_a_command_with_unusual_headers_is_retried_normally(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the ladder, a message is encoded again each time, with more headers."""
    wire_message = an_order()
    given = properties(
        content_type=short(b"application/json"),
        headers=table(
            (b"attempt", text(b"x")), (b"postponed", text(b"x")), (b"note", text(b"\xff" * 10_000))
        ),
        message_id=short(b"m" * 255),
        type=short(KEY),
        user_id=short(b"client"),
    )
    by_type: Any = shop.runtime.service.by_type
    monkeypatch.setitem(by_type, orders.PlaceOrder, replace(by_type[orders.PlaceOrder], decide=_fails))
    await shop.strange.publish("commands", KEY, given, wire_message.body)
    [dead_letter] = await shop.dead_letters(1)
    assert dead_letter.attempts == 4 and dead_letter.wire_message.headers["note"] == bytearray(
        b"\xff" * 10_000
    )


def _fails(*_: object) -> Decision[Any]:
    raise RuntimeError("lone surrogate: \ud800" + "x" * 2_000)


async def test_a_listening_client_keeps_receiving(shop: Shop, vhost: VirtualHost) -> None:
    async with Client(vhost.url("client")) as client, raw_amqp_client(vhost.url("operator")) as strange:
        listening = client._listening
        for raw in UNDECODABLE.values():
            await strange.publish("events", b"order.placed.v1", raw)
        order_id = await client.place(uuid4(), {"TEA": 1}, "tok_visa")
        async for event in client.follow(order_id):
            assert event.subject == str(order_id)
        assert client._listening is listening


@pytest.mark.parametrize("tapped", [False, True], ids=["aiormq alone", "with the tap"])
async def test_only_with_the_tap_a_consumer_survives_an_undecodable_message(
    vhost: VirtualHost, tapped: bool
) -> None:
    """If aiormq alone survives it, an upgrade has made the tap unnecessary for survival:
    docs/decisions/0039.
    """
    url = URL(vhost.url("operator"))
    connection = TappedConnection(url) if tapped else aiormq.Connection(url)
    arrived: list[DeliveredMessage] = []

    async def on_message(message: DeliveredMessage) -> None:
        arrived.append(message)

    async with connection, raw_amqp_client(str(url)) as strange:
        channel = await connection.channel()
        queue = (await channel.queue_declare(exclusive=True)).queue or ""
        await channel.basic_consume(queue, on_message, no_ack=True)
        await strange.publish("", queue.encode(), UNDECODABLE["latin-1 app_id"])
        await until(lambda: arrived or connection.is_closed, within_s=WAIT_S_MAX)
        assert connection.is_closed is not tapped
        if tapped:
            assert UNREADABLE in (arrived[0].header.properties.headers or {})


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
async def test_a_publish_that_the_broker_refuses_affects_only_its_sender(shop: Shop, raw: bytes) -> None:
    with pytest.raises(AmqpError):
        await shop.strange.publish("commands", KEY, raw)
    await shop.handled(await shop.order(3))


async def test_endless_malformed_messages_displace_no_dead_letter(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, vhost: VirtualHost
) -> None:
    """Rejected messages have their own bounded queue."""
    by_type: Any = shop.runtime.service.by_type
    monkeypatch.setitem(by_type, orders.PlaceOrder, replace(by_type[orders.PlaceOrder], decide=_fails))
    [order_id] = await shop.order(1)
    [dead_letter] = await shop.dead_letters(1)
    assert dead_letter.queue == "order_svc.dead" and dead_letter.journey_id == order_id
    count, size = 100, BODY_BYTES_MAX
    assert count * size > REJECTED_BYTES_MAX
    for _ in range(count):
        await shop.strange.publish("commands", KEY, properties(), b"x" * size)

    async def handled() -> int:
        assert shop.runtime._dispatcher is not None
        async with vhost.admin as admin:
            depth = (await admin.depths(vhost.name))["order_svc.commands"]
        return (depth.ready or 0) + (depth.unacked or 0) + shop.runtime._dispatcher.in_flight

    await until(handled, lambda left: not left, within_s=WAIT_S_MAX)
    dead_letters = await shop.dead_letters(2)
    rejected = [dead_letter for dead_letter in dead_letters if dead_letter.queue == "order_svc.rejected"]
    assert [each.id for each in dead_letters if each.queue == "order_svc.dead"] == [dead_letter.id]
    assert 0 < sum(len(each.wire_message.body) for each in rejected) <= REJECTED_BYTES_MAX
