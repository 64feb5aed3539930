"""One service on in-memory adapters, whose clock a test sets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.core.definition import ServiceDefinition
from chassis.messaging.envelope import WireMessage, wrap
from chassis.messaging.message import Message
from chassis.messaging.senders import senders
from chassis.runtime import Effects, Runtime
from contracts.catalog import CATALOG
from journey.admin.registry import shop_topology
from tests.support.pending_message_factory import NOW
from tests.support.settled import settled


class ObservedService:
    """`now`: the time of the service's clock."""

    def __init__(self, service: ServiceDefinition, effects: Effects | None = None) -> None:
        self.now = NOW
        self.broker = MemoryBroker(shop_topology(), delay_scale=0.001)
        self.store = MemoryStore()
        bus = MemoryBus(self.broker, service.name)
        self.runtime = Runtime(service, bus, self.store, effects=effects, clock=lambda: self.now)
        self.runtime.timer_check_s = 0.01

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def receive(
        self, message: Message, *, after_s: float = 0.0, user: str = "", traceparent: str = ""
    ) -> str:
        """A message that is sent now arrives so many seconds later. Returns its id, after it is handled.

        `user`: by default the first that may send it.
        """
        user = user or senders(type(message))[0]
        sent = wrap(message, id=str(uuid4()), source=user, now=self.now, traceparent=traceparent)
        self.passes(after_s)
        await self.deliver(sent.wire_message(CATALOG), user)
        return sent.id

    async def deliver(self, wire_message: WireMessage, user: str) -> None:
        """Publish it as this broker user, and wait until it is settled."""
        assert await MemoryBus(self.broker, user).publish([wire_message]) == [None]
        await self.settled()

    async def settled(self) -> None:
        await settled(self.broker)


@asynccontextmanager
async def observed(
    service: ServiceDefinition, effects: Effects | None = None
) -> AsyncIterator[ObservedService]:
    made = ObservedService(service, effects)
    await made.runtime.start()
    try:
        yield made
    finally:
        await made.runtime.stop(5)
