"""Each forbidden act, tried by the users of the services on the real RabbitMQ."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiormq
import pytest
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ProbableAuthenticationError,
)

from chassis.bus.protocol import BusUnavailable
from chassis.bus.rabbitmq import RabbitBus
from chassis.messaging.message import Command
from chassis.messaging.senders import may_send
from contracts.catalog import CATALOG, NAMES
from journey.admin.registry import CONSUMING_SERVICES
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost

pytestmark = [pytest.mark.real, pytest.mark.every_service]

Act = Callable[[aiormq.abc.AbstractChannel, str], Awaitable[Any]]
SERVICES = tuple(CONSUMING_SERVICES)
EXCHANGES = ("commands", "events", "client_events", "dead", "unroutable", "lost", "retry.5s")
LOGIN_REFUSED = (AuthenticationError, ProbableAuthenticationError)

WITH_A_QUEUE: dict[str, Act] = {
    "consume": lambda channel, queue: channel.basic_consume(queue, ignore),
    "get": lambda channel, queue: channel.basic_get(queue),
    "purge": lambda channel, queue: channel.queue_purge(queue),
    "delete": lambda channel, queue: channel.queue_delete(queue),
    "bind": lambda channel, queue: channel.queue_bind(queue, "events", routing_key="#"),
    "declare": lambda channel, queue: channel.queue_declare(f"{queue}.copy", durable=True),
    "publish to": lambda channel, queue: publish(channel, queue, to=""),
}
WITH_AN_EXCHANGE: dict[str, Act] = {
    "delete": lambda channel, exchange: channel.exchange_delete(exchange),
    "declare": lambda channel, exchange: channel.exchange_declare(f"{exchange}.copy", durable=True),
    "bind its queue": lambda channel, exchange: channel.queue_bind("order_svc.events", exchange, "#"),
}


async def ignore(_: object) -> None:
    pass


async def publish(channel: aiormq.abc.AbstractChannel, key: str, *, to: str) -> Any:
    """`to`: the exchange."""
    return await channel.basic_publish(b"{}", exchange=to, routing_key=key)


class Intruder:
    """One connection, with a new channel after each refused act."""

    def __init__(self, connection: aiormq.abc.AbstractConnection) -> None:
        self._connection = connection

    async def refused(self, act: Act, name: str) -> bool:
        channel = await self._connection.channel()
        try:
            await act(channel, name)
        except ChannelAccessRefused:
            return True
        except AMQPError:
            return False
        await channel.close()
        return False


@pytest.mark.parametrize("user", SERVICES)
async def test_a_service_reaches_no_other_queue_or_exchange(vhost: VirtualHost, user: str) -> None:
    queues = [queue.name for queue in vhost.topology.queues if not queue.name.startswith(f"{user}.")]
    assert len(queues) >= 4 * (len(SERVICES) - 1)
    connection = await aiormq.connect(vhost.url(user))
    try:
        intruder = Intruder(connection)
        allowed = [
            f"{act} {queue}"
            for queue in queues
            for act, tries in WITH_A_QUEUE.items()
            if not await intruder.refused(tries, queue)
        ]
        allowed += [
            f"{act} {exchange}"
            for exchange in EXCHANGES
            for act, tries in WITH_AN_EXCHANGE.items()
            if not await intruder.refused(tries, exchange)
        ]
    finally:
        await connection.close()
    assert allowed == []


@pytest.mark.parametrize("user", SERVICES)
async def test_a_service_cannot_publish_for_another(vhost: VirtualHost, user: str) -> None:
    """It sends only its own messages, and moves only its own to retries and dead letters."""
    others = [other for other in SERVICES if other != user]
    forbidden = [
        *(
            ("commands" if issubclass(contract, Command) else "events", contract.TYPE)
            for contract in CATALOG.values()
            if not may_send(user, contract, NAMES)
        ),
        *(("retry.5s", f"{other}.events") for other in others),
        *(("dead", other) for other in others),
        *(("client_events", "order.placed.v1"), ("unroutable", "x"), ("lost", "x")),
    ]
    connection = await aiormq.connect(vhost.url(user))
    try:
        intruder = Intruder(connection)
        sent = [
            (exchange, key)
            for exchange, key in forbidden
            if not await intruder.refused(partial(publish, to=exchange), key)
        ]
    finally:
        await connection.close()
    assert len(forbidden) > len(CATALOG) / 2 and sent == []


@pytest.mark.parametrize("service", SERVICES)
async def test_a_revoked_password_is_refused(vhost: VirtualHost, service: str) -> None:
    """Tried with a user of the same rights, because the services' users belong to the whole broker."""
    user = f"{vhost.name}-{service}"
    endpoint = vhost.url(service).rpartition("@")[2]
    [rights] = [each for each in vhost.topology.users if each.name == service]
    async with vhost.admin as admin:
        for password in ("first", "second"):
            await admin.ask("PUT", f"users/{user}", json={"password": password, "tags": ""})
            granted = {"configure": rights.configure, "write": rights.write, "read": rights.read}
            await admin.ask("PUT", f"permissions/{vhost.name}/{user}", json=granted)
            bus = RabbitBus(f"amqp://{user}:{password}@{endpoint}")
            await bus.start()
            await bus.stop()
        with pytest.raises(LOGIN_REFUSED):
            await aiormq.connect(f"amqp://{user}:first@{endpoint}")
        bus = RabbitBus(f"amqp://{user}:first@{endpoint}")
        with pytest.raises(BusUnavailable):
            await bus.start()
        await bus.stop()
        await admin.ask("DELETE", f"users/{user}")


async def test_a_dropped_user_loses_its_open_connections(vhost: VirtualHost) -> None:
    name, path = f"{vhost.name}-spy", f"permissions/{vhost.name}/{vhost.name}-spy"
    async with vhost.admin as admin:
        await admin.ask("PUT", f"users/{name}", json={"password": "of-this-test", "tags": ""})
        await admin.ask("PUT", path, json={"configure": "", "write": "", "read": ""})
        endpoint = vhost.url("order_svc").rpartition("@")[2]
        connection = await aiormq.connect(f"amqp://{name}:of-this-test@{endpoint}")
        await admin.ask("DELETE", f"users/{name}")
        await until(lambda: connection.is_closed)
        with pytest.raises(LOGIN_REFUSED):
            await aiormq.connect(f"amqp://{name}:of-this-test@{endpoint}")
