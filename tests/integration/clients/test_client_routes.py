"""A client may declare exchanges and queues, but no service trusts what is routed through them."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from pamqp.common import FieldTable

from chassis.bus.protocol import Delivery
from chassis.bus.rabbitmq import RabbitBus
from chassis.messaging.envelope import Forged, WireMessage, parse
from chassis.messaging.identity import new_id
from chassis.messaging.senders import OPERATOR
from contracts import orders
from contracts.catalog import CATALOG, NAMES
from tests.integration.clients.broker_client import ClientCommands
from tests.support.eventually import until

pytestmark = pytest.mark.real

COMMAND = orders.DispatchOrder.TYPE
Route = Callable[[AbstractChannel, str, aio_pika.Message], Awaitable[object]]


async def _bound_exchange(channel: AbstractChannel, prefix: str, message: aio_pika.Message) -> None:
    own = await channel.declare_exchange(f"{prefix}bound", aio_pika.ExchangeType.TOPIC)
    commands = await channel.get_exchange(NAMES.commands, ensure=False)
    await commands.bind(own, "#")
    await own.publish(message, COMMAND)


async def _alternate_exchange(channel: AbstractChannel, prefix: str, message: aio_pika.Message) -> None:
    own = await channel.declare_exchange(
        f"{prefix}alternate", aio_pika.ExchangeType.TOPIC, arguments={"alternate-exchange": NAMES.commands}
    )
    await own.publish(message, COMMAND)


async def _dead_letter_exchange(
    channel: AbstractChannel, prefix: str, message: aio_pika.Message, key: str = "mine", **arguments: str
) -> None:
    own = await channel.declare_exchange(f"{prefix}source", aio_pika.ExchangeType.TOPIC)
    dying: FieldTable = {"x-dead-letter-exchange": NAMES.commands, "x-message-ttl": 0, **arguments}
    queue = await channel.declare_queue(f"{prefix}dying", arguments=dying)
    await queue.bind(own, "#")
    await own.publish(message, key)


async def _dead_letter_routing_key(channel: AbstractChannel, prefix: str, message: aio_pika.Message) -> None:
    await _dead_letter_exchange(channel, prefix, message, **{"x-dead-letter-routing-key": COMMAND})


async def _dead_letter_under_its_own_key(
    channel: AbstractChannel, prefix: str, message: aio_pika.Message
) -> None:
    await _dead_letter_exchange(channel, prefix, message, key=COMMAND)


@pytest.mark.parametrize(
    "route", [_bound_exchange, _alternate_exchange, _dead_letter_routing_key, _dead_letter_under_its_own_key]
)
async def test_messages_routed_through_client_exchanges_are_forged(
    client_commands: ClientCommands, route: Route
) -> None:
    made = await client_commands.added("router")
    taken: list[WireMessage] = []
    operator = RabbitBus(client_commands.vhost.url(OPERATOR))
    await operator.start()

    acks: list[asyncio.Future[None]] = []

    def take(delivery: Delivery) -> None:
        taken.append(delivery.wire_message)
        acks.append(asyncio.ensure_future(delivery.ack()))

    await operator.subscribe("order_svc.commands", 10, take)
    message = aio_pika.Message(
        json.dumps({"order_id": str(new_id())}).encode(),
        type=COMMAND,
        message_id=str(new_id()),
        user_id=made["user"],
        content_type="application/json",
    )
    try:
        connection = await aio_pika.connect(made["url"])
        async with connection:
            await route(await connection.channel(), made["queue_prefix"], message)
            [wire_message] = await until(lambda: taken)
    finally:
        await operator.stop()
    with pytest.raises(Forged):
        parse(wire_message, CATALOG, reader="order_svc")
