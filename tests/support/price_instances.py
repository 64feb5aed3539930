"""Instances of order_svc that share a database, and prices for them: one aggregate each."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from chassis.bus.memory import MemoryStore
from chassis.bus.protocol import Bus
from chassis.messaging.envelope import WireMessage, wrap
from chassis.runtime import Runtime
from contracts import products
from contracts.catalog import CATALOG
from contracts.values import Money
from order_svc.service import order_service
from tests.support.eventually import until
from tests.support.pending_message_factory import NOW

KIND = "prices"
WAIT_S_MAX = 120.0


@dataclass
class PriceInstances:
    """`connect`: makes a bus for a broker user. `partitions`: of order_svc."""

    connect: Callable[[str], Bus]
    partitions: int = 3
    store: MemoryStore = field(default_factory=MemoryStore)
    sent: list[str] = field(default_factory=list)
    running: list[Runtime] = field(default_factory=list)
    handled: list[int] = field(default_factory=list)  # by instance, in the order of their start

    async def start(self) -> int:
        """Start one more instance. Returns its number."""
        number = len(self.handled)
        self.handled.append(0)

        def count(before: Any, after: Any, now: datetime) -> None:
            self.handled[number] += 1

        service = order_service()
        aggregates = tuple(
            replace(each, observe=count) if each.kind == KIND else each for each in service.aggregates
        )
        service = replace(service, aggregates=aggregates, partitions=self.partitions)
        self.running.append(Runtime(service, self.connect("order_svc"), self.store))
        await self.running[number].start()
        return number

    async def send(self, count: int) -> None:
        """Publish so many messages, each about another price."""
        messages = [self._message() for _ in range(count)]
        bus = self.connect("product_svc")
        await bus.start()
        try:
            assert await bus.publish(messages) == [None] * count
        finally:
            await bus.stop()

    async def all_are_handled(self) -> None:
        """Each once: none is lost, and none is decided about twice."""
        await until(self._missing, lambda missing: not missing, within_s=WAIT_S_MAX)
        assert sum(self.handled) <= len(self.sent)

    async def share_fairly(self, numbers: Collection[int]) -> None:
        """Send messages until each of the instances has handled a third of an equal share of one round.

        The broker gives an instance that has just started little at first.
        """
        round_ = 60

        async def play() -> list[int]:
            before = list(self.handled)
            await self.send(round_)
            await self.all_are_handled()
            return [self.handled[number] - before[number] for number in numbers]

        fair = round_ / len(numbers) / 3
        await until(play, lambda shares: min(shares) >= fair, within_s=WAIT_S_MAX)

    async def stop(self) -> None:
        for runtime in self.running:
            await runtime.kill()

    async def _missing(self) -> set[str]:
        loaded = await self.store.load(KIND, self.sent)
        return {sku for sku in self.sent if loaded[sku].state is None}

    def _message(self) -> WireMessage:
        sku = f"SKU-{uuid4().hex[:12].upper()}"
        self.sent.append(sku)
        event = products.PriceChanged(sku=sku, price=Money(amount_minor=1, currency="EUR"), revision=1)
        return wrap(event, id=str(uuid4()), source="product_svc", now=NOW).wire_message(CATALOG)
