"""What client programs leave on the broker is bounded, and cannot stop anybody else."""

from dataclasses import replace
from functools import partial
from typing import Any

import aio_pika
import aiormq
import httpx
import pytest

from chassis.bus import BusUnavailable
from chassis.topology import Policy
from contracts.envelope import EVENTS
from journey import client_users
from tests.clients.desk import Desk, path_of, publish_as_order_svc
from tests.conformance.inbox import placed
from tests.infrastructure import VirtualHost
from tests.until import until

QUEUE_TYPES = ("classic", "quorum", "stream")


@pytest.mark.real
@pytest.mark.parametrize("type_", QUEUE_TYPES)
async def test_every_queue_of_a_client_is_bounded(desk: Desk, api: httpx.AsyncClient, type_: str) -> None:
    made = await desk.added("hoarder")
    connection = await aio_pika.connect(made["url"])
    async with connection:
        channel = await connection.channel()
        for name in ("inbox", "order_svc.dead", "retry.5s", "journal"):
            arguments: dict[str, Any] = {"x-queue-type": type_, "x-max-length-bytes": 2**40}
            await channel.declare_queue(f"{made['queue_prefix']}{name}", durable=True, arguments=arguments)
    for name in ("inbox", "order_svc.dead", "retry.5s", "journal"):
        path = f"queues/{path_of(desk)}/{made['queue_prefix']}{name}"
        found = await until(partial(_effective, api, path))
        assert found["max-length-bytes"] == 4 * 2**20
        assert ("expires" in found and "message-ttl" in found) is (type_ != "stream")
        assert found.get("overflow", "drop-head") == "drop-head"


@pytest.mark.real
@pytest.mark.parametrize("type_", ["classic", "quorum"])
async def test_an_abandoned_queue_keeps_its_newest_and_then_disappears(desk: Desk, type_: str) -> None:
    """Scaled down: 20 messages and two seconds instead of 10,000 and a day."""
    vhost = _with_client_policy(desk.vhost, **{"max-length": 20, "expires": 2_000})
    await vhost.apply()
    made = await desk.added("abandoner")
    connection = await aio_pika.connect(made["url"])
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(
            f"{made['queue_prefix']}inbox", durable=True, arguments={"x-queue-type": type_}
        )
        await queue.bind(await channel.get_exchange(EVENTS, ensure=False), "#")
        assert set(await publish_as_order_svc(vhost, *(placed() for _ in range(100)))) == {None}
        held = await channel.declare_queue(queue.name, passive=True)
        assert held.declaration_result.message_count is not None
        assert held.declaration_result.message_count <= 20
    async with vhost.admin as admin:
        await until(lambda: admin.depths(vhost.name), lambda depths: queue.name not in depths)


@pytest.mark.real
@pytest.mark.parametrize("exclusive", [False, True])
async def test_a_queue_that_refuses_for_everybody_is_named_and_removed(desk: Desk, exclusive: bool) -> None:
    made = await desk.added("refuser")
    connection = await aio_pika.connect(made["url"])
    channel = await connection.channel()
    queue = await channel.declare_queue(
        f"{made['queue_prefix']}inbox",
        durable=not exclusive,
        exclusive=exclusive,
        arguments={"x-overflow": "reject-publish", "x-max-length": 1},
    )
    await queue.bind(await channel.get_exchange(EVENTS, ensure=False), "#")
    try:
        await publish_as_order_svc(desk.vhost, *(placed() for _ in range(3)))
        [answer] = await publish_as_order_svc(desk.vhost, placed())
        assert isinstance(answer, BusUnavailable)
        async with desk.vhost.admin as admin:
            [named] = await until(lambda: admin.plan(desk.vhost.topology, desk.vhost.name))
            assert named.startswith(f"queue {queue.name} refuses what it cannot hold")
            assert await admin.remove_refusing_queues(desk.vhost.name) == [queue.name]
            await until(lambda: admin.depths(desk.vhost.name), lambda depths: queue.name not in depths)
        assert await publish_as_order_svc(desk.vhost, placed()) == [None]
    finally:
        if not connection.is_closed:
            await connection.close()


@pytest.mark.real
async def test_a_client_opens_no_more_connections_and_channels_than_it_may(desk: Desk) -> None:
    made = await desk.added("greedy")
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


async def _effective(api: httpx.AsyncClient, path: str) -> dict[str, Any]:
    answer = (await api.get(path)).raise_for_status().json()
    return answer.get("effective_policy_definition") or {}


def _with_client_policy(vhost: VirtualHost, **changed: int) -> VirtualHost:
    def shortened(policy: Policy) -> Policy:
        if policy.name != "queues of clients":
            return policy
        return replace(policy, definition={**policy.definition, **changed})

    return replace(vhost, topology=replace(vhost.topology, policies=tuple(map(shortened, vhost.topology.policies))))
