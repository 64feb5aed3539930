"""What a broker refuses to a user without a right, and what it does not check."""

import asyncio
import re
from dataclasses import replace

import pytest

from chassis.bus.protocol import AccessRefused
from chassis.bus.retry_ladder import RetryLadder
from chassis.messaging.envelope import WireMessage
from tests.support.brokers import Broker
from tests.support.recording_consumer import Inbox, placed

INVENTORY = "inventory_svc.events"
PAYMENT = "payment_svc.events"
LADDER = RetryLadder().names


async def test_a_refused_publish_names_the_missing_right(broker: Broker) -> None:
    bus = await broker.bus("client")
    forbidden = WireMessage(
        "commands", "inventory.receive.v1", b"{}", "m-1", "inventory.receive.v1", None, None
    )
    [error] = await bus.publish([forbidden])
    assert isinstance(error, AccessRefused)
    assert "user 'client' lacks the right to write to topic 'inventory.receive.v1'" in str(error)


@pytest.mark.parametrize("header", ["CC", "BCC"])
async def test_copies_by_header_are_routed_unchecked_or_refused(broker: Broker, header: str) -> None:
    """That is why consumers compare the routing key with the type,
    and reject copies (chassis/messaging/origin.py).
    """
    inbox, bus = Inbox(), await broker.bus("client")
    await (await broker.bus("inventory_svc")).subscribe("inventory_svc.commands", 10, inbox)
    copied = WireMessage("commands", "order.place.v1", b"{}", "m-1", "inventory.receive.v1", None, None)
    [error] = await bus.publish([replace(copied, headers={header: ["inventory.receive.v1"]})])
    if error is not None:  # brokers since 4.0 check them
        assert isinstance(error, AccessRefused) and "ACCESS_REFUSED" in str(error)
        assert re.search(r"user '\w+' lacks the right to write to \w+ '", str(error)), error
        return
    await inbox.has(1)
    [arrived] = inbox.wire_messages
    assert (arrived.exchange, arrived.routing_key, arrived.user_id) == (
        "commands",
        "order.place.v1",
        "client",
    )
    assert ("BCC" in arrived.headers, "CC" in arrived.headers) == (False, header == "CC")


async def test_carbon_copies_on_the_ladder_return_to_every_queue(broker: Broker) -> None:
    inbox = Inbox()
    others = Inbox()
    bus = await broker.bus("inventory_svc")
    await bus.subscribe(INVENTORY, 10, inbox)
    await (await broker.bus("payment_svc")).subscribe(PAYMENT, 10, others)
    copied = replace(
        placed(), exchange=LADDER[0], routing_key=INVENTORY, headers={"CC": [PAYMENT], "attempt": 1}
    )
    [error] = await bus.publish([copied])
    if error is not None:  # brokers since 4.0 check the keys in CC
        assert isinstance(error, AccessRefused) and "ACCESS_REFUSED" in str(error)
        assert re.search(r"user '\w+' lacks the right to write to \w+ '", str(error)), error
        return
    await asyncio.gather(inbox.has(1), others.has(1))
    for arrived in (*inbox.wire_messages, *others.wire_messages):
        assert (arrived.exchange, arrived.user_id) == ("", "inventory_svc")
