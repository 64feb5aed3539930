"""A message that kills its service each time it is handled; in virtual time, with the real subscription."""

import asyncio
from typing import Any

import pytest

from chassis import telemetry
from chassis.bus.memory import RETURNS
from chassis.bus.protocol import Delivery
from chassis.bus.rabbitmq_subscription import PROBATION_S
from chassis.bus.retry_ladder import RETURNS_SUSPECT
from chassis.messaging.envelope import WireMessage
from tests.simulation import virtual_time
from tests.simulation.channels import Consuming
from tests.simulation.fake_broker import Broker
from tests.simulation.faults import Counted, Listed
from tests.simulation.run import play
from tests.simulation.scenarios import FATAL_MESSAGE
from tests.simulation.world import TOPOLOGY, World

pytestmark = pytest.mark.timeout(600)

QUEUE = "order_svc.commands"


def test_a_fatal_message_is_dead_lettered_and_other_orders_end() -> None:
    """The broker notices each death late,
    so the next process has its full prefetch when the message is redelivered.
    """
    telemetry.configure("critical", pretty=False)
    worlds: list[World] = []
    run = play(FATAL_MESSAGE.name, Listed(), prepare=worlds.append)
    assert not run.broken
    [deaths] = worlds[0].deaths.values()
    assert deaths > RETURNS_SUSPECT


def test_the_prefetch_stays_at_one_during_probation() -> None:
    """A message may need longer than the probation to kill its process."""

    async def story() -> None:
        broker = Broker(TOPOLOGY, Counted(Listed(), lambda *_: None), _named, lambda _: 0.0)
        consuming, got = Consuming(broker), list[Delivery]()
        await consuming.subscribe(QUEUE, 10, got.append)
        broker.later(0.0, QUEUE, wire_message("healthy"))
        await asyncio.sleep(PROBATION_S / 10)
        await got[0].ack()
        broker.give_back(QUEUE, [wire_message("suspect", **{RETURNS: RETURNS_SUSPECT})])
        for number in range(5):
            broker.later(0.0, QUEUE, wire_message(f"behind {number}"))
        await asyncio.sleep(10 * PROBATION_S)
        assert [delivery.wire_message.message_id for delivery in got] == ["healthy", "suspect"]
        await got[1].ack()
        await asyncio.sleep(10 * PROBATION_S)
        assert len(got) == 7
        consuming.stop()

    virtual_time.play(story())


def wire_message(id_: str, **headers: Any) -> WireMessage:
    return WireMessage("", QUEUE, b"{}", id_, "test", None, None, headers=headers)


def _named(wire_message: WireMessage) -> str:
    return wire_message.message_id or ""
