"""Instances of a service that share a database and have a cache each, and messages about one order."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from chassis.bus.memory import MemoryStore
from chassis.core.definition import ServiceDefinition
from chassis.core.process import MessageProcessor
from chassis.messaging.message import Message
from chassis.store.cached import CachedStore
from chassis.store.protocol import Loaded
from contracts import orders
from contracts.values import Money, PricedLine
from tests.support.pending_message_factory import NOW, pending

ORDER, CUSTOMER = UUID(int=7), UUID(int=8)
KEY = str(ORDER)
PRICE = Money(amount_minor=420, currency="EUR")
PLACED = orders.OrderPlaced(
    order_id=ORDER,
    customer_id=CUSTOMER,
    lines=(PricedLine(sku="TEA", quantity=2, price=PRICE),),
    total=Money(amount_minor=840, currency="EUR"),
    card_token="tok_visa",
)
CONFIRMED = orders.OrderConfirmed(order_id=ORDER, customer_id=CUSTOMER, total=PLACED.total)


class Counted(MemoryStore):
    """Records which keys were read, and counts the attempted writes."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []
        self.tried = 0

    async def load(self, kind: str, keys: Collection[str]) -> dict[str, Loaded]:
        self.read += sorted(keys)
        return await super().load(kind, keys)

    async def save(self, changes: Any, *, together: bool = False) -> bool:
        self.tried += 1
        return await super().save(changes, together=together)


@dataclass
class Instance:
    """One of several instances of a service; they share its database, and each has its own cache."""

    service: ServiceDefinition
    store: Counted
    cached: CachedStore = field(init=False)

    def __post_init__(self) -> None:
        self.empty_cache()

    def empty_cache(self) -> None:
        """As if many other aggregates had displaced what it had."""
        self.cached = CachedStore(self.store, self.service.cached_kinds)

    async def deliver(self, *messages: Message, id_: str = "", response: Any = None) -> list[Any]:
        """Handle the messages; each has a slot for its effect.

        For each the emitted types, the effect to run, or the error.
        """
        works = [pending(self.service, message, id_, response=response) for message in messages]
        for work in works:
            work.has_slot = True
        await MessageProcessor(self.service, self.cached, clock=lambda: NOW).process(works)
        return [
            [emitted.type for emitted in w.outcome] if isinstance(w.outcome, tuple) else w.outcome
            for w in works
        ]

    @property
    def reads(self) -> list[str]:
        """The keys read since the last call."""
        read, self.store.read = self.store.read, []
        return read


def two(service: ServiceDefinition) -> tuple[Instance, Instance]:
    store = Counted()
    return Instance(service, store), Instance(service, store)
