"""`journey replay`: rebuilds every order from the journal alone, and compares it with what order_svc remembers."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import httpx

from contracts.envelope import OPERATOR, Malformed, parse
from contracts.message import REGISTRY, Event
from journey import doctor, journal
from journey.instances import answering
from journey.place import Place
from journey.projection import OrderAsTold, fold, order_of
from journey.system import Say

_PAUSE_S = 0.5
# What order_svc calls an order that it knows only from a cancellation that came first. It has said nothing of it.
_UNSAID = "new"


@dataclass
class Comparison:
    """How many orders are the same in order_svc and in the journal, and a sentence about each that is not.

    `older`: orders that the journal has forgotten, because it keeps events for so long only.
    """

    agreeing: int = 0
    older: int = 0
    differing: list[str] = field(default_factory=list)


@dataclass
class Replay:
    """The orders as far as the journal was read; `advance` reads on from there."""

    orders: dict[str, OrderAsTold] = field(default_factory=dict)
    read: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    begins: str = ""
    _next: int | None = None

    async def advance(self, place: Place, say: Say) -> None:
        entries = journal.with_progress(journal.read(place.amqp_url(OPERATOR), self._next), say)
        async with aclosing(entries):
            async for entry in entries:
                self.take(entry)

    def take(self, entry: journal.Entry) -> None:
        self._next = entry.offset + 1
        self.read += 1
        self.begins = self.begins or entry.at
        contract = REGISTRY.get(entry.parcel.type or "")
        try:
            envelope, event = parse(entry.parcel, reader=contract.OWNER if contract else "")
        except Malformed as error:
            self.unread[str(error)] += 1
            return
        if isinstance(event, Event) and (order_id := order_of(event)):
            self.orders[order_id] = fold(self.orders.get(order_id, OrderAsTold()), envelope, event)

    def compare(self, statuses: Mapping[str, str]) -> "Comparison":
        """`statuses`: by order, what order_svc remembers."""
        result = Comparison()
        for order_id in sorted(statuses.keys() | self.orders.keys()):
            told = self.orders.get(order_id, OrderAsTold()).status
            remembered = statuses.get(order_id, "").replace(_UNSAID, "")
            if told == remembered:
                result.agreeing += 1
            elif not told and self.is_older(order_id):
                result.older += 1
            else:
                sentence = f"order_svc says {remembered or 'nothing'}, the journal {told or 'nothing'}"
                result.differing.append(f"order {order_id}: {sentence}")
        return result

    def is_older(self, order_id: str) -> bool:
        """Whether an order was placed before the oldest event that the journal has kept, as its id tells."""
        return bool(self.begins) and (placed := _placed_at(order_id)) is not None and placed < self.begins


async def compared(replay: Replay, place: Place, *, wait_s: float) -> Comparison:
    """Compare again and again until all agree: what was just written is said a moment later."""
    end = asyncio.get_running_loop().time() + wait_s
    async with httpx.AsyncClient() as http:
        while True:
            orders = doctor.pages(http, f"{(await answering(http, place.http))['order_svc']}/orders")
            statuses = {order["order_id"]: order["status"] async for order in orders}
            await replay.advance(place, lambda text: None)
            result = replay.compare(statuses)
            if not result.differing or asyncio.get_running_loop().time() > end:
                return result
            await asyncio.sleep(_PAUSE_S)


def _placed_at(order_id: str) -> str | None:
    """The time in a UUIDv7, as messages write it; ids of other kinds hold none."""
    id_ = UUID(order_id)
    if id_.version != 7:
        return None
    return datetime.fromtimestamp((id_.int >> 80) / 1_000, UTC).isoformat(timespec="microseconds")
