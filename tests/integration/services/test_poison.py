"""A message that kills its consumer is found and dead-lettered, and the other messages are handled,
not dead-lettered.

The consumer fails while it handles the culprit: its connection is lost, or it restarts as a new process
without memory.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from chassis.bus.memory import MemoryStore
from chassis.bus.protocol import Delivery
from chassis.bus.rabbitmq import RabbitBus
from chassis.bus.retry_ladder import RETURNS_SUSPECT
from chassis.clock import utc_now
from chassis.core import retry
from chassis.core.decision import Context, Decider
from chassis.messaging.envelope import WireMessage, wrap
from chassis.messaging.identity import new_id
from chassis.runtime import Runtime
from contracts import orders
from contracts.catalog import CATALOG
from contracts.values import OrderLine
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.dead_letters.reader import read as read_dead_letters
from journey.admin.event_log.journal import read as read_journal
from order_svc.service import order_service
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost

pytestmark = pytest.mark.real

ORDERS = 300
RETURNS_MAX = 10  # fewer than usual: each one is a death
WAIT_S_MAX = 120.0


def order() -> WireMessage:
    lines = (OrderLine(sku="TEA", quantity=1),)
    placed = orders.PlaceOrder(order_id=new_id(), customer_id=UUID(int=1), lines=lines, card_token="tok_visa")
    return wrap(placed, id=str(new_id()), source="test", now=utc_now()).wire_message(CATALOG)


class Mortal:
    """Instances of order_svc, one after the other, that die when they decide on certain orders."""

    def __init__(self, vhost: VirtualHost, culprits: set[str], *, whole_process: bool) -> None:
        self._vhost = vhost
        self._culprits = culprits
        self._whole_process = whole_process
        self.store = MemoryStore()
        self.deaths: Counter[str] = Counter()
        self.returned: Counter[str] = Counter()
        self._died = asyncio.Event()
        self.runtime: Runtime | None = None

    async def begin(self) -> None:
        service = order_service()
        self.runtime = Runtime(service, RabbitBus(self._vhost.url("order_svc")), self.store)
        if self._whole_process:
            by_type: Any = service.by_type
            endpoints = by_type[orders.PlaceOrder]
            by_type[orders.PlaceOrder] = replace(endpoints, decide=self._deadly(endpoints.decide))
        await self.runtime.start()
        for subscription in self.runtime._subscriptions:
            self._record(self.runtime, subscription)

    def _record(self, runtime: Runtime, subscription: Any) -> None:
        receive = subscription._receive

        def noted(delivery: Delivery) -> None:
            wire_message = delivery.wire_message
            self.returned[wire_message.message_id or ""] = max(
                self.returned[wire_message.message_id or ""], delivery.returned
            )
            is_deadly = wire_message.correlation_id in self._culprits and delivery.returned < RETURNS_MAX
            if is_deadly and not self._whole_process:
                self.deaths[wire_message.correlation_id or ""] += 1
                self._lose_connection(runtime)
            else:
                receive(delivery)

        subscription._receive = noted

    def _deadly(self, decide: Decider[Any]) -> Decider[Any]:
        """In the middle of a batch: nothing of it is written."""

        def decide_or_die(state: Any, message: Any, context: Context[Any]) -> Any:
            if str(message.subject) in self._culprits:
                self.deaths[message.subject] += 1
                self._died.set()
                raise asyncio.CancelledError
            return decide(state, message, context)

        return decide_or_die

    @staticmethod
    def _lose_connection(runtime: Runtime) -> None:
        assert isinstance(runtime.bus, RabbitBus)
        connection: Any = runtime.bus._consuming._connection
        connection.transport.writer.transport.abort()

    async def live(self) -> None:
        """As a process that is restarted after each death. Otherwise only its connection is reopened."""
        await self.begin()
        while True:
            await self._died.wait()
            self._died.clear()
            if self._whole_process and self.runtime is not None:
                await self.runtime.kill()
                await self.begin()


@asynccontextmanager
async def living(mortal: Mortal) -> AsyncIterator[None]:
    life = asyncio.create_task(mortal.live())
    try:
        yield
    finally:
        life.cancel()
        await asyncio.wait([life])
        if mortal.runtime is not None:
            await mortal.runtime.kill()


@pytest.mark.parametrize("culprits", [1, 2])
@pytest.mark.parametrize("whole_process", [False, True], ids=["connection", "process"])
async def test_a_poison_message_is_found_and_others_are_handled(
    vhost: VirtualHost, monkeypatch: pytest.MonkeyPatch, whole_process: bool, culprits: int
) -> None:
    monkeypatch.setattr(retry, "RETURNS_MAX", RETURNS_MAX)
    wire_messages = [order() for _ in range(ORDERS)]
    bad = {wire_messages[number].correlation_id or "" for number in (ORDERS // 2, ORDERS - 5)[:culprits]}
    healthy = [wire_message for wire_message in wire_messages if wire_message.correlation_id not in bad]
    client = RabbitBus(vhost.url("client"))
    await client.start()
    assert not any(await client.publish(wire_messages))
    mortal = Mortal(vhost, bad, whole_process=whole_process)

    async def unhandled() -> int:
        found = await mortal.store.load(
            "orders", [wire_message.correlation_id or "" for wire_message in healthy]
        )
        return sum(not loaded.version for loaded in found.values())

    async def dead_letters() -> list[DeadLetter]:
        return await read_dead_letters(vhost.url("operator"), ["order_svc"])

    async with living(mortal):
        await until(unhandled, lambda count: not count, within_s=WAIT_S_MAX)
        found = await until(
            dead_letters, lambda dead_letters: len(dead_letters) == culprits, within_s=WAIT_S_MAX
        )
        assert {dead_letter.journey_id for dead_letter in found} == bad
        assert {dead_letter.error_type for dead_letter in found} == {"PoisonMessage"}
        late = order()
        assert await client.publish([late] + [order() for _ in range(20)]) == [None] * 21
        await until(
            lambda: mortal.returned[late.message_id or ""] == 0 and late.message_id in mortal.returned
        )
        assert mortal.runtime is not None and not mortal.runtime.crashed.done()
    await client.stop()

    assert max(mortal.deaths.values()) <= RETURNS_MAX
    assert max(mortal.returned[wire_message.message_id or ""] for wire_message in healthy) < RETURNS_MAX
    emitted = Counter(
        [entry.wire_message.correlation_id async for entry in read_journal(vhost.url("operator"))]
    )
    assert (
        max(emitted[wire_message.correlation_id] for wire_message in healthy)
        <= RETURNS_SUSPECT + culprits + 1
    )
