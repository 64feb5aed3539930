"""Shared by the tests of client programs: `journey client` on a broker,
and operations that a program tries.
"""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
import aiormq

from chassis.bus.rabbitmq import RabbitBus
from chassis.messaging.envelope import WireMessage
from contracts.catalog import NAMES
from journey.admin.broker.clients import Clients
from journey.admin.endpoints import ShopEndpoints
from tests.support.cli_runner import run_journey
from tests.support.infrastructure import VirtualHost

Work = Callable[[aio_pika.abc.AbstractChannel, str], Awaitable[object]]


@dataclass(frozen=True)
class ClientCommands:
    """`journey client` for a shop that has only its broker.

    Names are unique: users belong to the whole broker.
    """

    home: Path
    endpoints: ShopEndpoints
    vhost: VirtualHost
    suffix: str

    def name(self, name: str) -> str:
        return f"{name}-{self.suffix}"

    def type(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_journey(self.home, "client", *arguments)

    async def added(self, name: str, may: str | None = None, *, rotate: bool = False) -> dict[str, Any]:
        async with self.vhost.admin as admin:
            return (await Clients(admin, self.endpoints).add(self.name(name), may, rotate=rotate)).document()


async def refused(url: str, work: Work, queue: str) -> bool:
    """Whether the broker rejects the operation for lack of a permission."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel(publisher_confirms=True)
        try:
            await work(channel, queue)
        except (aiormq.exceptions.ChannelAccessRefused, aiormq.exceptions.ChannelNotFoundEntity) as error:
            return isinstance(error, aiormq.exceptions.ChannelAccessRefused)
    return False


async def declare(channel: aio_pika.abc.AbstractChannel, queue: str) -> None:
    await channel.declare_queue(queue, durable=True)


async def is_cut(connection: aio_pika.abc.AbstractConnection) -> bool:
    try:
        await (await connection.channel()).close()
    except (aiormq.exceptions.AMQPError, ConnectionError, RuntimeError, asyncio.CancelledError):
        return True
    return False


def path_of(client_commands: ClientCommands) -> str:
    return client_commands.vhost.name


async def publish_as_order_svc(vhost: VirtualHost, *wire_messages: WireMessage) -> list[Exception | None]:
    bus = RabbitBus(vhost.url("order_svc"))
    await bus.start()
    try:
        return await bus.publish(wire_messages)
    finally:
        await bus.stop()


async def bind(channel: aio_pika.abc.AbstractChannel, queue: str) -> None:
    found = await channel.get_queue(queue, ensure=False)
    await found.bind(await channel.get_exchange(NAMES.client_events, ensure=False), "#")


async def read(channel: aio_pika.abc.AbstractChannel, queue: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).get(fail=False)


async def consume(channel: aio_pika.abc.AbstractChannel, queue: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).consume(_ignore)


async def _ignore(message: object) -> None: ...


async def purge(channel: aio_pika.abc.AbstractChannel, queue: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).purge()


async def delete(channel: aio_pika.abc.AbstractChannel, queue: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).delete(if_unused=False, if_empty=False)


WORK: list[Work] = [declare, bind, read, consume, purge, delete]
