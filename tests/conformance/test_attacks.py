"""A client program that may only place orders tries, by all that a broker lets clients make, to command more."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import aio_pika
import httpx
import pytest
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelClosed

from chassis.bus import Delivery
from chassis.rabbit import RabbitBus
from chassis.topology import Topology, build
from contracts import orders
from contracts.envelope import COMMANDS, Forged, Malformed, Parcel, parse
from contracts.message import Message
from contracts.senders import OPERATOR
from journey.client_users import ClientUser, permitted
from journey.dead_letters import DeadLetter, letter_of, read
from journey.services import HEARERS
from tests.conformance.inbox import PATIENCE_S
from tests.infrastructure import VirtualHost
from tests.until import until

pytestmark = pytest.mark.real

CLIENT = ClientUser("narrow", permitted("place"))
OWN = CLIENT.queue_prefix
IN = ("order_svc.commands", "inventory_svc.commands", "product_svc.commands", "order_svc.events", "order_svc.dead")
# What only the staff may command, and what other clients may and this one may not.
STAFFS, OTHERS = orders.DispatchOrder, orders.CancelOrder
PLACE = orders.PlaceOrder.TYPE


@dataclass
class Attack:
    """One try; `of` is what the client wants to have said, `id` the message by which it is known."""

    channel: AbstractChannel
    of: type[Message]
    id: str

    @property
    def name(self) -> str:
        return f"{OWN}{self.id.replace(' ', '-')}"

    async def publish(self, exchange: str, key: str, headers: Any = None, **properties: Any) -> None:
        told = {"type": self.of.TYPE, "user_id": CLIENT.user, "message_id": self.id, **properties}
        message = aio_pika.Message(b"{}", content_type="application/json", headers=headers, **told)
        target = await self.channel.get_exchange(exchange, ensure=False)
        await target.publish(message, key, mandatory=False)

    async def exchange(self, kind: str = "topic", **arguments: Any) -> Any:
        dashed = {name.replace("_", "-"): value for name, value in arguments.items()}
        return await self.channel.declare_exchange(self.name, kind, auto_delete=True, arguments=dashed)

    async def expiring_queue(self, exchange: str, key: str) -> None:
        """A queue that hands what it gives up to an exchange, and a message in it."""
        given_up: dict[str, Any] = {
            "x-message-ttl": 1,
            "x-dead-letter-exchange": exchange,
            "x-dead-letter-routing-key": key,
        }
        queue = await self.channel.declare_queue(self.name, arguments=given_up)
        await queue.bind(await self.exchange("fanout"))
        await self.publish(self.name, PLACE)


async def in_disguise(attack: Attack) -> None:
    await attack.publish(COMMANDS, PLACE)


async def copied_in_small_letters(attack: Attack) -> None:
    await attack.publish(COMMANDS, PLACE, {"cc": [attack.of.TYPE], "Bcc": [attack.of.TYPE]})


async def copied_to_queues(attack: Attack) -> None:
    await attack.publish(COMMANDS, PLACE, {"BCC": [*IN, "#", attack.of.TYPE]})


async def without_key(attack: Attack) -> None:
    await attack.publish(COMMANDS, "", {"CC": [attack.of.TYPE]})


async def in_the_name_of_the_operator(attack: Attack) -> None:
    await attack.publish(COMMANDS, PLACE, user_id=OPERATOR)


async def by_other_properties(attack: Attack) -> None:
    """Names that others might read instead of user_id."""
    headers = {"user_id": OPERATOR, "cloudEvents:source": OPERATOR, "origin_user": OPERATOR, "attempt": 1}
    await attack.publish(COMMANDS, PLACE, {**headers, "BCC": [attack.of.TYPE]}, app_id=OPERATOR)


async def by_a_queue_that_gives_up_to_commands(attack: Attack) -> None:
    await attack.expiring_queue(COMMANDS, attack.of.TYPE)


async def by_a_queue_that_gives_up_to_the_default_exchange(attack: Attack) -> None:
    await attack.expiring_queue("", f"{attack.of.OWNER}.commands")


async def by_a_queue_that_gives_up_to_the_ladder(attack: Attack) -> None:
    await attack.expiring_queue("retry.5s", f"{attack.of.OWNER}.commands")


async def by_a_queue_that_gives_up_to_the_dead_letters(attack: Attack) -> None:
    await attack.expiring_queue("dead", attack.of.OWNER)


async def by_an_exchange_bound_to_commands(attack: Attack) -> None:
    own = await attack.exchange()
    commands = await attack.channel.get_exchange(COMMANDS, ensure=False)
    await commands.bind(own, "#")
    await attack.publish(attack.name, attack.of.TYPE)


async def by_an_exchange_whose_alternate_is_commands(attack: Attack) -> None:
    await attack.exchange(alternate_exchange=COMMANDS)
    await attack.publish(attack.name, attack.of.TYPE)


async def by_an_exchange_whose_alternate_is_dead(attack: Attack) -> None:
    await attack.exchange(alternate_exchange="dead")
    await attack.publish(attack.name, attack.of.OWNER)


async def by_binding_a_services_queue(attack: Attack) -> None:
    own = await attack.exchange("fanout")
    queue = await attack.channel.get_queue(f"{attack.of.OWNER}.commands", ensure=False)
    await queue.bind(own)
    await attack.publish(attack.name, attack.of.TYPE)


async def by_listening_to_commands(attack: Attack) -> None:
    queue = await attack.channel.declare_queue(attack.name, exclusive=True)
    await queue.bind(COMMANDS, "#")


async def by_replacing_commands(attack: Attack) -> None:
    await attack.channel.declare_exchange(COMMANDS, "fanout", durable=True)


async def by_a_reply(attack: Attack) -> None:
    await attack.channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
    await attack.channel.default_exchange.publish(
        aio_pika.Message(b"{}", type=attack.of.TYPE, user_id=CLIENT.user, message_id=attack.id),
        f"{attack.of.OWNER}.commands",
    )


async def by_a_message_that_expires_in_the_services_queue(attack: Attack) -> None:
    """The broker makes a dead letter of it at the first look, with the sender's headers on it."""
    claims = {"origin_user": OPERATOR, "origin_key": attack.of.TYPE, "origin_exchange": COMMANDS, "attempt": 1}
    await attack.publish(COMMANDS, PLACE, claims, expiration=0)


async def by_a_message_that_expires_with_a_death_of_its_own(attack: Attack) -> None:
    """Brokers before 3.13 count up the entry that they find, and keep what the sender wrote into it."""
    death = {"queue": f"{attack.of.OWNER}.commands", "reason": "expired", "count": 0}
    death |= {"exchange": COMMANDS, "routing-keys": [attack.of.TYPE]}
    await attack.publish(COMMANDS, PLACE, {"x-death": [death]}, expiration=0)


REFUSED, FORGED, NOWHERE = "refused by the broker", "forged", "arrived nowhere"
ATTACKS: dict[Callable[[Attack], Awaitable[None]], str] = {
    in_disguise: FORGED,
    copied_in_small_letters: FORGED,
    copied_to_queues: FORGED,
    without_key: REFUSED,
    in_the_name_of_the_operator: REFUSED,
    by_other_properties: FORGED,
    by_a_queue_that_gives_up_to_commands: FORGED,
    by_a_queue_that_gives_up_to_the_default_exchange: REFUSED,
    by_a_queue_that_gives_up_to_the_ladder: REFUSED,
    by_a_queue_that_gives_up_to_the_dead_letters: REFUSED,
    by_an_exchange_bound_to_commands: FORGED,
    by_an_exchange_whose_alternate_is_commands: FORGED,
    by_an_exchange_whose_alternate_is_dead: REFUSED,
    by_binding_a_services_queue: REFUSED,
    by_listening_to_commands: REFUSED,
    by_replacing_commands: REFUSED,
    by_a_reply: REFUSED,
    by_a_message_that_expires_in_the_services_queue: FORGED,
    by_a_message_that_expires_with_a_death_of_its_own: FORGED,
}


@pytest.fixture
def topology() -> Topology:
    made = build((HEARERS[name]() for name in ("order_svc", "inventory_svc", "product_svc")), 0.01)
    return replace(made, users=(*made.users, CLIENT.rights()))


class Watcher:
    """What arrives at the services, and whether they would believe it."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self._settling: set[asyncio.Future[None]] = set()

    def __call__(self, delivery: Delivery) -> None:
        parcel, reader = delivery.parcel, delivery.queue.partition(".")[0]
        self._settling.add(asyncio.ensure_future(delivery.ack()))
        try:
            parse(judged(delivery.queue, parcel), reader=reader)
        except Forged:
            self.outcomes.setdefault(parcel.message_id or "", FORGED)
        except Malformed as error:  # the body is empty; that is all that is wrong with it
            self.outcomes[parcel.message_id or ""] = f"believed: {error}"


def judged(queue: str, parcel: Parcel) -> Parcel:
    if not queue.endswith(".dead"):
        return parcel
    return letter_of(queue.partition(".")[0], parcel).as_it_failed


@asynccontextmanager
async def watching(vhost: VirtualHost) -> AsyncIterator[Watcher]:
    bus, watcher = RabbitBus(vhost.url(OPERATOR)), Watcher()
    await bus.start()
    for queue in IN:
        await bus.subscribe(queue, 100, watcher)
    yield watcher
    await bus.stop()


async def test_no_way_that_a_broker_offers_to_clients_makes_a_service_believe_more(vhost: VirtualHost) -> None:
    wanted = (STAFFS, OTHERS)
    expected = {f"{attack.__name__} {of.TYPE}": outcome for attack, outcome in ATTACKS.items() for of in wanted}
    assert len(expected) == 2 * 19
    outcomes: dict[str, str] = {}
    async with watching(vhost) as watcher, await aio_pika.connect(vhost.url(CLIENT.user)) as connection:
        for attack in ATTACKS:
            for of in wanted:
                name = f"{attack.__name__} {of.TYPE}"
                channel = await connection.channel()
                try:
                    await attack(Attack(channel, of, name))
                except ChannelClosed:
                    outcomes[name] = REFUSED
        channel = await connection.channel()
        await Attack(channel, orders.PlaceOrder, "control").publish(COMMANDS, PLACE)
        # From 4.0 on a broker checks the right to each key in CC and BCC, too: it refuses what 3.x lets through.
        expected |= {name: REFUSED for name in outcomes if expected[name] == FORGED}
        arriving = {name for name, outcome in expected.items() if outcome == FORGED} | {"control"}
        await until(lambda: arriving <= watcher.outcomes.keys(), within_s=PATIENCE_S)
    control = watcher.outcomes.pop("control")
    assert control.startswith("believed")
    assert dict.fromkeys(expected, NOWHERE) | watcher.outcomes | outcomes == expected


async def test_what_a_client_lets_expire_unread_cannot_be_redriven(vhost: VirtualHost) -> None:
    """Nobody consumes here, so the broker gives it up, and no service has seen it."""
    expiring = (by_a_message_that_expires_in_the_services_queue, by_a_message_that_expires_with_a_death_of_its_own)
    async with await aio_pika.connect(vhost.url(CLIENT.user)) as connection:
        channel = await connection.channel()
        for attack in expiring:
            for of in (STAFFS, OTHERS, orders.PlaceOrder):
                await attack(Attack(channel, of, f"{attack.__name__} {of.TYPE}"))

    async def dead() -> list[DeadLetter]:
        return [letter for letter in await read(vhost.url(OPERATOR), ["order_svc"]) if letter.by_broker]

    letters = await until(dead, lambda found: len(found) == 6, within_s=PATIENCE_S)
    for letter in letters:
        with pytest.raises(Forged):
            parse(letter.as_it_failed, reader="order_svc")
        with pytest.raises(Forged):
            parse(replace(letter.revived, user_id=OPERATOR), reader="order_svc")


async def test_a_client_has_no_right_at_the_management_api(vhost: VirtualHost) -> None:
    """There a message could be published, and a policy or a shovel made."""
    place = quote(vhost.name, safe="")
    message = {"properties": {}, "routing_key": STAFFS.TYPE, "payload": "{}", "payload_encoding": "string"}
    url = f"http://{vhost.management_url.rpartition('@')[2]}/api/"
    account = (CLIENT.user, vhost.passwords[CLIENT.user])
    async with httpx.AsyncClient(base_url=url, auth=account, trust_env=False, timeout=60) as http:
        answers = [
            await http.post(f"exchanges/{place}/{COMMANDS}/publish", json=message),
            await http.post(f"exchanges/{place}/amq.default/publish", json=message),
            await http.put(f"policies/{place}/own", json={"pattern": ".*", "definition": {"max-length": 1}}),
            await http.put(f"parameters/shovel/{place}/own", json={"value": {}}),
            await http.get(f"queues/{place}"),
            await http.get("whoami"),
        ]
    assert {answer.status_code for answer in answers} == {401}
