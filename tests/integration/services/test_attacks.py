"""A client program that may only place orders tries to send other commands,
with everything that a broker offers.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import quote

import aio_pika
import httpx
import pytest
from aiormq.exceptions import ChannelClosed

from chassis.bus.protocol import Delivery
from chassis.bus.rabbitmq import RabbitBus
from chassis.bus.topology import build
from chassis.bus.topology_model import Topology
from chassis.messaging.envelope import Forged, Malformed, WireMessage, parse
from chassis.messaging.senders import OPERATOR
from contracts import orders
from contracts.catalog import CATALOG, NAMES
from journey.admin.dead_letters.dead_letter import DeadLetter, dead_letter_of
from journey.admin.dead_letters.reader import read
from journey.admin.registry import CONSUMING_SERVICES
from tests.integration.services.attacks import (
    ATTACKS,
    CLIENT,
    EXPIRING,
    FORGED,
    IN,
    NOWHERE,
    OTHERS,
    PLACE,
    REFUSED,
    STAFFS,
    Attack,
)
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost
from tests.support.recording_consumer import WAIT_S_MAX

pytestmark = pytest.mark.real


@pytest.fixture
def topology() -> Topology:
    made = build((CONSUMING_SERVICES[name]() for name in ("order_svc", "inventory_svc", "product_svc")), 0.01)
    return replace(made, users=(*made.users, CLIENT.rights()))


class Watcher:
    """The messages that arrive at the services, and whether their validation accepts them."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self._settling: set[asyncio.Future[None]] = set()

    def __call__(self, delivery: Delivery) -> None:
        wire_message, reader = delivery.wire_message, delivery.queue.partition(".")[0]
        self._settling.add(asyncio.ensure_future(delivery.ack()))
        try:
            parse(judged(delivery.queue, wire_message), CATALOG, reader=reader)
        except Forged:
            self.outcomes.setdefault(wire_message.message_id or "", FORGED)
        except Malformed as error:  # only the empty body is wrong
            self.outcomes[wire_message.message_id or ""] = f"believed: {error}"


def judged(queue: str, wire_message: WireMessage) -> WireMessage:
    if not queue.endswith((".dead", ".rejected")):
        return wire_message
    return dead_letter_of(queue.partition(".")[0], wire_message).message_at_failure


@asynccontextmanager
async def observed(vhost: VirtualHost) -> AsyncIterator[Watcher]:
    bus, watcher = RabbitBus(vhost.url(OPERATOR)), Watcher()
    await bus.start()
    for queue in IN:
        await bus.subscribe(queue, 100, watcher)
    yield watcher
    await bus.stop()


async def test_no_broker_feature_gives_clients_more_rights(
    vhost: VirtualHost,
) -> None:
    wanted = (STAFFS, OTHERS)
    expected = {
        f"{attack.__name__} {of.TYPE}": outcome for attack, outcome in ATTACKS.items() for of in wanted
    }
    assert len(expected) == 2 * 21
    outcomes: dict[str, str] = {}
    async with observed(vhost) as watcher, await aio_pika.connect(vhost.url(CLIENT.user)) as connection:
        for attack in ATTACKS:
            for of in wanted:
                name = f"{attack.__name__} {of.TYPE}"
                channel = await connection.channel()
                try:
                    await attack(Attack(channel, of, name))
                except ChannelClosed:
                    outcomes[name] = REFUSED
        channel = await connection.channel()
        await Attack(channel, orders.PlaceOrder, "control").publish(NAMES.commands, PLACE)
        # Since 4.0 a broker also checks the permission for each key in CC and BCC: it rejects what 3.x lets
        # through.
        expected |= {name: REFUSED for name in outcomes if expected[name] == FORGED}
        arriving = {name for name, outcome in expected.items() if outcome == FORGED} | {"control"}
        await until(lambda: arriving <= watcher.outcomes.keys(), within_s=WAIT_S_MAX)
    control = watcher.outcomes.pop("control")
    assert control.startswith("believed")
    assert dict.fromkeys(expected, NOWHERE) | watcher.outcomes | outcomes == expected


async def test_messages_expired_by_a_client_displace_no_dead_letter(
    vhost: VirtualHost,
) -> None:
    """There is no consumer, so the broker dead-letters it, and no service has seen it."""
    async with await aio_pika.connect(vhost.url(CLIENT.user)) as connection:
        channel = await connection.channel()
        for attack in EXPIRING:
            for of in (STAFFS, OTHERS, orders.PlaceOrder):
                await attack(Attack(channel, of, f"{attack.__name__} {of.TYPE}"))

    async def dead() -> list[DeadLetter]:
        return [
            dead_letter
            for dead_letter in await read(vhost.url(OPERATOR), ["order_svc"])
            if dead_letter.by_broker
        ]

    dead_letters = await until(dead, lambda found: len(found) == len(EXPIRING) * 3, within_s=WAIT_S_MAX)
    assert {dead_letter.queue for dead_letter in dead_letters} == {"order_svc.rejected"}
    for dead_letter in dead_letters:
        with pytest.raises(Forged):
            parse(dead_letter.message_at_failure, CATALOG, reader="order_svc")
        with pytest.raises(Forged):
            parse(replace(dead_letter.original_message, user_id=OPERATOR), CATALOG, reader="order_svc")


async def test_a_client_has_no_right_at_the_management_api(vhost: VirtualHost) -> None:
    """The API would allow publishing messages, and creating policies and shovels."""
    name = quote(vhost.name, safe="")
    message = {"properties": {}, "routing_key": STAFFS.TYPE, "payload": "{}", "payload_encoding": "string"}
    url = f"http://{vhost.management_url.rpartition('@')[2]}/api/"
    credentials = (CLIENT.user, vhost.passwords[CLIENT.user])
    # The API may end a connection after it has refused a request whose body it has not read.
    alone = {"Connection": "close"}
    async with httpx.AsyncClient(
        base_url=url, auth=credentials, headers=alone, trust_env=False, timeout=60
    ) as http:
        responses = [
            await http.post(f"exchanges/{name}/{NAMES.commands}/publish", json=message),
            await http.post(f"exchanges/{name}/amq.default/publish", json=message),
            await http.put(f"policies/{name}/own", json={"pattern": ".*", "definition": {"max-length": 1}}),
            await http.put(f"parameters/shovel/{name}/own", json={"value": {}}),
            await http.get(f"queues/{name}"),
            await http.get("whoami"),
        ]
    assert {response.status_code for response in responses} == {401}
