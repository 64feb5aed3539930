"""What the deciders can do with one order: all its ends, and every event with the events before it."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from chassis.messaging.message import Event
from contracts import orders, payments
from inventory_svc.stock import Shelf
from order_svc.price import Price
from tests.support.choreography import Provider, World
from tests.support.messages import CANCEL, DISPATCH, FREE_PRICE_BOOK, KETTLE, MUG, PLACE, PRICE_BOOK, SETTLE

EventType = type[Event]
Events = frozenset[EventType]

_FROM_OUTSIDE = (
    orders.PlaceOrder,
    orders.CancelOrder,
    orders.DispatchOrder,
    orders.DeadlinePassed,
    payments.SettlePayment,
)


def world(pieces: int, provider: Provider, price_book: Mapping[str, Price] = PRICE_BOOK) -> World:
    prices = {("prices", sku): price for sku, price in price_book.items()}
    shelves = {("shelves", sku): Shelf(sku, received=pieces, available=pieces) for sku in (KETTLE, MUG)}
    return World({**prices, **shelves}, frozenset(), provider=provider)


@dataclass(frozen=True)
class Emission:
    """`event` was emitted after `before`.

    `caused`: by another event, not by a command from outside or a deadline.
    """

    event: EventType
    before: Events
    caused: bool


@dataclass(frozen=True)
class Explored:
    """Every emission, and the worlds in which no message is in flight.

    `moments`: every set of events that an order can have, each with its events in an order in which they can
    arise.
    """

    emissions: frozenset[Emission]
    ends: tuple[World, ...]
    moments: Mapping[Events, tuple[Event, ...]]


@cache
def explored() -> Explored:
    """Every order of arrival: with and without a cancellation, with each kind of failure."""
    emissions: set[Emission] = set()
    ends: list[World] = []
    moments: dict[Events, tuple[Event, ...]] = {}
    for start in _starts():
        seen, left = {start.fingerprint}, deque([start])
        while left:
            here = left.popleft()
            moments.setdefault(here.emitted, here.events)
            if here.quiet:
                ends.append(here)
            for _, there in here.choices():
                emissions.update(_emissions(here, there))
                if there.fingerprint not in seen:
                    seen.add(there.fingerprint)
                    left.append(there)
    return Explored(frozenset(emissions), tuple(ends), moments)


def _starts() -> Iterator[World]:
    yield _cancellable(5, Provider()).carrying(DISPATCH, optional=True)
    yield _cancellable(1, Provider())
    yield _cancellable(5, Provider(accepts_card=False))
    yield _cancellable(5, Provider(captures=False)).carrying(SETTLE, optional=True)
    yield _cancellable(5, Provider(misreported=frozenset({"capture"}))).carrying(SETTLE, optional=True)
    yield _cancellable(5, Provider(), FREE_PRICE_BOOK).carrying(DISPATCH, optional=True)
    for effects in ({"authorize"}, {"void", "refund"}):
        yield _cancellable(5, Provider(misreported=frozenset(effects)))


def _cancellable(pieces: int, provider: Provider, price_book: Mapping[str, Price] = PRICE_BOOK) -> World:
    return world(pieces, provider, price_book).carrying(PLACE).carrying(CANCEL, optional=True)


def _emissions(here: World, there: World) -> Iterator[Emission]:
    handled = [pending.message for pending in there.handled - here.handled]
    caused = not any(isinstance(message, _FROM_OUTSIDE) for message in handled)
    return (Emission(event, here.emitted, caused) for event in there.emitted - here.emitted)
