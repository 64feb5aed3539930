"""What client programs leave on the broker is bounded, and cannot affect others."""

from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

import aio_pika
import aiormq
import httpx
import pytest
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage

from chassis.bus.protocol import BusUnavailable
from chassis.bus.rabbitmq import RabbitBus
from chassis.bus.topology_model import Policy
from chassis.messaging.envelope import WireMessage
from chassis.messaging.message import Event
from contracts import orders
from contracts.catalog import CATALOG, NAMES
from journey.admin.broker import client_users
from tests.integration.clients.broker_client import (
    ClientCommands,
    is_cut,
    path_of,
    publish_as_order_svc,
    refused,
)
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost
from tests.support.recording_consumer import wrapped

QUEUE_TYPES = ("classic", "quorum", "stream")


def dispatched() -> WireMessage:
    """An event that clients may read."""
    return wrapped(orders.OrderDispatched(order_id=uuid4(), customer_id=uuid4())).wire_message(CATALOG)


@pytest.mark.real
@pytest.mark.parametrize("type_", QUEUE_TYPES)
async def test_every_queue_of_a_client_is_bounded(
    client_commands: ClientCommands, api: httpx.AsyncClient, type_: str
) -> None:
    made = await client_commands.added("hoarder")
    connection = await aio_pika.connect(made["url"])
    async with connection:
        channel = await connection.channel()
        for name in ("inbox", "order_svc.dead", "retry.5s", "journal"):
            arguments: dict[str, Any] = {"x-queue-type": type_, "x-max-length-bytes": 2**40}
            await channel.declare_queue(f"{made['queue_prefix']}{name}", durable=True, arguments=arguments)
    for name in ("inbox", "order_svc.dead", "retry.5s", "journal"):
        path = f"queues/{path_of(client_commands)}/{made['queue_prefix']}{name}"
        found = await until(partial(_effective, api, path))
        assert found["max-length-bytes"] == 4 * 2**20
        assert ("expires" in found and "message-ttl" in found) is (type_ != "stream")
        assert found.get("overflow", "drop-head") == "drop-head"


@pytest.mark.real
@pytest.mark.parametrize("type_", ["classic", "quorum"])
async def test_an_abandoned_queue_keeps_its_newest_and_then_disappears(
    client_commands: ClientCommands, type_: str
) -> None:
    """Scaled down: 20 messages and two seconds instead of 10,000 and a day."""
    vhost = _with_client_policy(client_commands.vhost, **{"max-length": 20, "expires": 2_000})
    await vhost.apply()
    made = await client_commands.added("abandoner")
    connection = await aio_pika.connect(made["url"])
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(
            f"{made['queue_prefix']}inbox", durable=True, arguments={"x-queue-type": type_}
        )
        await queue.bind(await channel.get_exchange(NAMES.client_events, ensure=False), "#")
        assert set(await publish_as_order_svc(vhost, *(dispatched() for _ in range(100)))) == {None}
        held = await channel.declare_queue(queue.name, passive=True)
        assert held.declaration_result.message_count is not None
        assert held.declaration_result.message_count <= 20
    async with vhost.admin as admin:
        await until(lambda: admin.depths(vhost.name), lambda depths: queue.name not in depths)


@pytest.mark.real
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("overflow", ["reject-publish", "reject-publish-dlx"])
async def test_a_full_queue_that_refuses_stops_no_service(
    client_commands: ClientCommands, exclusive: bool, overflow: str
) -> None:
    made = await client_commands.added("refuser")
    connection = await aio_pika.connect(made["url"])
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(
            f"{made['queue_prefix']}inbox",
            durable=not exclusive,
            exclusive=exclusive,
            arguments={"x-overflow": overflow, "x-max-length": 1},
        )
        own = await channel.declare_exchange(f"{made['queue_prefix']}own", aio_pika.ExchangeType.TOPIC)
        for exchange in (await channel.get_exchange(NAMES.client_events, ensure=False), own):
            await queue.bind(exchange, "#")
        responses = [
            await publish_as_order_svc(client_commands.vhost, *(dispatched() for _ in range(10)))
            for _ in range(3)
        ]
        assert responses == [[None] * 10] * 3
        await until(lambda: _is_refused(own))  # the queue does reject what is published to it directly


@pytest.mark.real
async def test_a_client_cannot_bind_to_what_services_publish_to(client_commands: ClientCommands) -> None:
    made = await client_commands.added("binder")
    shared = [
        exchange for exchange in client_commands.vhost.topology.exchanges if exchange != NAMES.client_events
    ]
    for url, prefix in (
        (made["url"], made["queue_prefix"]),
        (client_commands.vhost.url(NAMES.client), f"{NAMES.client}."),
    ):
        for exchange in shared:
            for work in (_bind_queue, _bind_exchange):
                assert await refused(url, partial(work, exchange), f"{prefix}{uuid4()}"), (exchange, work)
        assert not await refused(url, partial(_bind_queue, NAMES.client_events), f"{prefix}{uuid4()}")


@pytest.mark.real
async def test_a_client_receives_exactly_the_events_for_clients(client_commands: ClientCommands) -> None:
    made = await client_commands.added("listener", "none")
    connection = await aio_pika.connect(made["url"])
    handled_type: list[str] = []

    async def deliver(message: AbstractIncomingMessage) -> None:
        handled_type.append(str(message.routing_key))

    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(f"{made['queue_prefix']}inbox", exclusive=True)
        await queue.bind(await channel.get_exchange(NAMES.client_events, ensure=False), "#")
        await queue.consume(deliver, no_ack=True)
        events = [type_ for type_, contract in sorted(CATALOG.items()) if issubclass(contract, Event)]
        last = dispatched()
        # order_svc's events arrive in order, so nothing follows the last one
        for type_ in (
            *events,
            last.routing_key,
        ):
            bus = RabbitBus(client_commands.vhost.url(CATALOG[type_].OWNER))
            await bus.start()
            assert await bus.publish(
                [replace(last, routing_key=type_, type=type_, message_id=str(uuid4()))]
            ) == [None]
            await bus.stop()
        await until(lambda: _count(handled_type, last.routing_key), lambda count: count == 2)
    assert sorted(set(handled_type)) == [event.TYPE for event in CATALOG.read_by_clients()]


def test_client_events_contain_no_payment_data_and_no_lines() -> None:
    private = {"card_token", "lines", "email", "name", "address", "password", "token"}
    assert CATALOG.read_by_clients()
    for event in CATALOG.read_by_clients():
        known = {"lines"} if event is orders.OrderRejected else set[str]()  # docs/permissions.md names it
        assert private & event.model_fields.keys() == known, event.TYPE
        assert event.OWNER == "order_svc"


@pytest.mark.real
@pytest.mark.parametrize("exclusive", [False, True])
async def test_applying_the_topology_moves_the_bindings_of_earlier_versions(
    client_commands: ClientCommands, exclusive: bool
) -> None:
    """An earlier version allowed clients to bind to the exchange `events`."""
    made = await client_commands.added("early")
    wide = {"configure": ".*", "write": ".*", "read": ".*"}
    async with client_commands.vhost.admin as admin:
        await admin.ask("PUT", f"permissions/{path_of(client_commands)}/{made['user']}", json=wide)
        connection = await aio_pika.connect(made["url"])
        channel = await connection.channel()
        arguments: dict[str, Any] = {"x-overflow": "reject-publish", "x-max-length": 1}
        name, own = f"{made['queue_prefix']}inbox", f"{made['queue_prefix']}own"
        queue = await channel.declare_queue(
            name, durable=not exclusive, exclusive=exclusive, arguments=arguments
        )
        for destination in (
            queue,
            await channel.declare_exchange(own, aio_pika.ExchangeType.TOPIC, durable=True),
        ):
            await destination.bind(await channel.get_exchange(NAMES.events, ensure=False), "order.*.*")
        [response, *_] = [
            each
            for each in await publish_as_order_svc(client_commands.vhost, *(dispatched(), dispatched()))
            if each
        ]
        assert isinstance(response, BusUnavailable)
        plan = await admin.plan(client_commands.vhost.topology, client_commands.vhost.name)
        assert [
            named for named in plan if named.startswith(f"binding of {NAMES.events} to {name} by order.*.*")
        ]
        await client_commands.vhost.apply()
        await until(
            lambda: publish_as_order_svc(client_commands.vhost, dispatched()),
            lambda responses: responses == [None],
        )
        assert await admin.plan(client_commands.vhost.topology, client_commands.vhost.name) == []
        bound = await admin.ask(
            "GET", f"exchanges/{path_of(client_commands)}/{NAMES.client_events}/bindings/source"
        )
        assert {each["destination"] for each in bound} == ({own} if exclusive else {own, name})
        assert await is_cut(connection) is exclusive
        if not connection.is_closed:
            await connection.close()


@pytest.mark.real
async def test_connections_and_channels_of_a_client_are_limited(client_commands: ClientCommands) -> None:
    made = await client_commands.added("greedy")
    connections = [await aio_pika.connect(made["url"]) for _ in range(client_users.CONNECTIONS_MAX)]
    try:
        with pytest.raises(aiormq.exceptions.AMQPError):
            await aio_pika.connect(made["url"])
        for _ in range(client_users.CHANNELS_MAX):
            await connections[0].channel()
        with pytest.raises(aiormq.exceptions.AMQPError):
            await connections[0].channel()
    finally:
        for connection in connections:
            await connection.close()


async def _count(handled_type: list[str], type_: str) -> int:
    return handled_type.count(type_)


async def _is_refused(exchange: AbstractExchange) -> bool:
    try:
        await exchange.publish(aio_pika.Message(b"{}"), "any")
    except aio_pika.exceptions.DeliveryError:
        return True
    return False


async def _bind_queue(exchange: str, channel: AbstractChannel, queue: str) -> None:
    declared = await channel.declare_queue(queue, exclusive=True)
    await declared.bind(await channel.get_exchange(exchange, ensure=False), orders.OrderDispatched.TYPE)


async def _bind_exchange(exchange: str, channel: AbstractChannel, name: str) -> None:
    own = await channel.declare_exchange(name, aio_pika.ExchangeType.TOPIC, auto_delete=True)
    await own.bind(await channel.get_exchange(exchange, ensure=False), orders.OrderDispatched.TYPE)


async def _effective(api: httpx.AsyncClient, path: str) -> dict[str, Any]:
    response = (await api.get(path)).raise_for_status().json()
    return response.get("effective_policy_definition") or {}


def _with_client_policy(vhost: VirtualHost, **changed: int) -> VirtualHost:
    def shortened(policy: Policy) -> Policy:
        if policy.name != "queues of clients":
            return policy
        return replace(policy, definition={**policy.definition, **changed})

    return replace(
        vhost, topology=replace(vhost.topology, policies=tuple(map(shortened, vhost.topology.policies)))
    )
