"""Attempts of a client program to send forbidden commands or to reach dead letters,
with all that a broker offers.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel

from chassis.messaging.message import Message
from chassis.messaging.senders import OPERATOR
from contracts import orders
from contracts.catalog import NAMES
from journey.admin.broker.client_users import ClientUser, permitted

CLIENT = ClientUser("narrow", permitted("place"))
OWN = CLIENT.queue_prefix
IN = (
    *("order_svc.commands", "inventory_svc.commands", "product_svc.commands"),
    *("order_svc.events", "order_svc.dead", "order_svc.rejected"),
)
# A command that only staff may send, and one that other clients may send and this one may not.
STAFFS, OTHERS = orders.DispatchOrder, orders.CancelOrder
PLACE = orders.PlaceOrder.TYPE


@dataclass
class Attack:
    """One attempt. `of`: the message that the client tries to pass off; `id`:
    the message id that identifies it.
    """

    channel: AbstractChannel
    of: type[Message]
    id: str

    @property
    def name(self) -> str:
        return f"{OWN}{self.id.replace(' ', '-')}"

    async def publish(self, exchange: str, key: str, headers: Any = None, **properties: Any) -> None:
        reported = {"type": self.of.TYPE, "user_id": CLIENT.user, "message_id": self.id, **properties}
        message = aio_pika.Message(b"{}", content_type="application/json", headers=headers, **reported)
        target = await self.channel.get_exchange(exchange, ensure=False)
        await target.publish(message, key, mandatory=False)

    async def exchange(self, kind: str = "topic", **arguments: Any) -> Any:
        dashed = {name.replace("_", "-"): value for name, value in arguments.items()}
        return await self.channel.declare_exchange(self.name, kind, auto_delete=True, arguments=dashed)

    async def expiring_queue(self, exchange: str, key: str) -> None:
        """A queue that dead-letters to an exchange, with a message in it."""
        given_up: dict[str, Any] = {
            "x-message-ttl": 1,
            "x-dead-letter-exchange": exchange,
            "x-dead-letter-routing-key": key,
        }
        queue = await self.channel.declare_queue(self.name, arguments=given_up)
        await queue.bind(await self.exchange("fanout"))
        await self.publish(self.name, PLACE)


async def in_disguise(attack: Attack) -> None:
    await attack.publish(NAMES.commands, PLACE)


async def copied_in_lower_case(attack: Attack) -> None:
    await attack.publish(NAMES.commands, PLACE, {"cc": [attack.of.TYPE], "Bcc": [attack.of.TYPE]})


async def copied_to_queues(attack: Attack) -> None:
    await attack.publish(NAMES.commands, PLACE, {"BCC": [*IN, "#", attack.of.TYPE]})


async def without_key(attack: Attack) -> None:
    await attack.publish(NAMES.commands, "", {"CC": [attack.of.TYPE]})


async def in_the_name_of_the_operator(attack: Attack) -> None:
    await attack.publish(NAMES.commands, PLACE, user_id=OPERATOR)


async def by_other_properties(attack: Attack) -> None:
    """Properties that consumers might read instead of user_id."""
    headers = {"user_id": OPERATOR, "cloudEvents:source": OPERATOR, "origin_user": OPERATOR, "attempt": 1}
    await attack.publish(NAMES.commands, PLACE, {**headers, "BCC": [attack.of.TYPE]}, app_id=OPERATOR)


async def by_a_queue_that_gives_up_to_commands(attack: Attack) -> None:
    await attack.expiring_queue(NAMES.commands, attack.of.TYPE)


async def by_a_queue_that_gives_up_to_the_default_exchange(attack: Attack) -> None:
    await attack.expiring_queue("", f"{attack.of.OWNER}.commands")


async def by_a_queue_that_gives_up_to_the_ladder(attack: Attack) -> None:
    await attack.expiring_queue("retry.5s", f"{attack.of.OWNER}.commands")


async def by_a_queue_that_dead_letters(attack: Attack) -> None:
    await attack.expiring_queue("dead", attack.of.OWNER)


async def by_an_exchange_bound_to_commands(attack: Attack) -> None:
    own = await attack.exchange()
    commands = await attack.channel.get_exchange(NAMES.commands, ensure=False)
    await commands.bind(own, "#")
    await attack.publish(attack.name, attack.of.TYPE)


async def by_an_exchange_whose_alternate_is_commands(attack: Attack) -> None:
    await attack.exchange(alternate_exchange=NAMES.commands)
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
    await queue.bind(NAMES.commands, "#")


async def by_replacing_commands(attack: Attack) -> None:
    await attack.channel.declare_exchange(NAMES.commands, "fanout", durable=True)


async def by_a_reply(attack: Attack) -> None:
    await attack.channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
    await attack.channel.default_exchange.publish(
        aio_pika.Message(b"{}", type=attack.of.TYPE, user_id=CLIENT.user, message_id=attack.id),
        f"{attack.of.OWNER}.commands",
    )


async def by_a_message_that_expires_in_the_services_queue(attack: Attack) -> None:
    """The broker dead-letters it at once, with the sender's headers."""
    claims = {
        "origin_user": OPERATOR,
        "origin_key": attack.of.TYPE,
        "origin_exchange": NAMES.commands,
        "attempt": 1,
    }
    await attack.publish(NAMES.commands, PLACE, claims, expiration=0)


async def by_a_message_that_expires_with_a_death_of_its_own(attack: Attack) -> None:
    """Brokers before 3.13 increment an existing x-death entry, and keep what the sender wrote into it."""
    death = {"queue": f"{attack.of.OWNER}.commands", "reason": "expired", "count": 0}
    death |= {"exchange": NAMES.commands, "routing-keys": [attack.of.TYPE]}
    await attack.publish(NAMES.commands, PLACE, {"x-death": [death]}, expiration=0)


async def by_a_message_that_expires_with_another_reason(attack: Attack) -> None:
    """Brokers keep the first reason that they find."""
    claims = {"x-first-death-reason": "delivery_limit", "x-first-death-queue": f"{attack.of.OWNER}.commands"}
    await attack.publish(NAMES.commands, PLACE, claims, expiration=0)


async def by_a_detour_with_a_message_that_expires(attack: Attack) -> None:
    own = await attack.exchange()
    await (await attack.channel.get_exchange(NAMES.commands, ensure=False)).bind(own, "#")
    await attack.publish(attack.name, attack.of.TYPE, expiration=0)


EXPIRING = (
    by_a_message_that_expires_in_the_services_queue,
    by_a_message_that_expires_with_a_death_of_its_own,
    by_a_message_that_expires_with_another_reason,
    by_a_detour_with_a_message_that_expires,
)
REFUSED = "refused by the broker"
FORGED = "forged"
NOWHERE = "arrived nowhere"
ATTACKS: dict[Callable[[Attack], Awaitable[None]], str] = {
    in_disguise: FORGED,
    copied_in_lower_case: FORGED,
    copied_to_queues: FORGED,
    without_key: REFUSED,
    in_the_name_of_the_operator: REFUSED,
    by_other_properties: FORGED,
    by_a_queue_that_gives_up_to_commands: FORGED,
    by_a_queue_that_gives_up_to_the_default_exchange: REFUSED,
    by_a_queue_that_gives_up_to_the_ladder: REFUSED,
    by_a_queue_that_dead_letters: REFUSED,
    by_an_exchange_bound_to_commands: FORGED,
    by_an_exchange_whose_alternate_is_commands: FORGED,
    by_an_exchange_whose_alternate_is_dead: REFUSED,
    by_binding_a_services_queue: REFUSED,
    by_listening_to_commands: REFUSED,
    by_replacing_commands: REFUSED,
    by_a_reply: REFUSED,
    by_a_message_that_expires_in_the_services_queue: FORGED,
    by_a_message_that_expires_with_a_death_of_its_own: FORGED,
    by_a_message_that_expires_with_another_reason: FORGED,
    by_a_detour_with_a_message_that_expires: FORGED,
}
