"""The whole saga in every order of arrival, with the production deciders only."""

import random
from collections import deque
from collections.abc import Iterator
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.messaging.message import Message
from contracts import orders
from contracts.http.orders import OrderStatus
from tests.support.choreography import Pending, Provider, World, broken_promises
from tests.support.explored import world
from tests.support.messages import (
    CANCEL,
    CANCEL_AS_STAFF,
    CANCEL_BY_STRANGER,
    CUSTOMER,
    DISPATCH,
    FREE_PRICE_BOOK,
    KETTLE,
    PLACE,
    RETRY,
    SETTLE,
    WANTED,
)

WORLDS_MAX = 50_000


def explore(start: World) -> set[str]:
    """Explore every choice; returns the final statuses of the order. Fails with the path to a violation."""
    quiet = (here for here in explored_worlds(start) if here.quiet)
    return {str(here.state("orders", PLACE.order_id).status) for here in quiet}


def explored_worlds(start: World) -> Iterator[World]:
    """Every world that choices lead to. Fails with the path to a violation."""
    seen = {start.fingerprint}
    left: deque[tuple[World, tuple[str, ...]]] = deque([(start, ())])
    while left:
        here, path = left.popleft()
        yield here
        for what, there in _choices(here, path):
            if there.fingerprint not in seen:
                seen.add(there.fingerprint)
                assert not (broken := [*broken_promises(there)]), _story(broken, (*path, what))
                left.append((there, (*path, what)))
        assert len(seen) < WORLDS_MAX


def _choices(here: World, path: tuple[str, ...]) -> list[tuple[str, World]]:
    try:
        return list(here.choices())
    except Exception as error:
        raise AssertionError(_story([repr(error)], path)) from error


def _story(broken: list[str], path: tuple[str, ...]) -> str:
    return "\n".join([*broken, "after:", *(f"  {message}" for message in path)])


MEANWHILE: dict[str, list[Message]] = {
    "cancelled or dispatched": [CANCEL, DISPATCH],
    "placed twice and cancelled": [PLACE, CANCEL],
    "cancelled by its customer and by a stranger": [CANCEL, CANCEL_BY_STRANGER],
    "dispatched twice": [DISPATCH, DISPATCH],
}


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize(
    ("pieces", "provider", "endings"),
    [
        (5, Provider(), {"confirmed", "dispatched", "cancelled"}),
        (5, Provider(accepts_card=False), {"cancelled"}),
        (5, Provider(captures=False), {"needs_attention", "cancelled"}),
        (5, Provider(day_may_pass=True), {"confirmed", "dispatched", "cancelled"}),
        (1, Provider(), {"cancelled"}),
    ],
    ids=["all goes well", "the card is declined", "the capture is refused", "a day passes", "out of stock"],
)
def test_every_message_order_reaches_an_allowed_ending(
    meanwhile: str, pieces: int, provider: Provider, endings: set[str]
) -> None:
    """The additional messages arrive at any moment or never, and so does the deadline."""
    start = world(pieces, provider).carrying(PLACE)
    for copy, message in enumerate(MEANWHILE[meanwhile], start=1):
        start = start.carrying(message, optional=True, copy=copy)
    assert explore(start) <= endings


@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_a_free_order_ends_without_the_card_provider(meanwhile: str) -> None:
    start = world(5, Provider(accepts_card=False), FREE_PRICE_BOOK).carrying(PLACE)
    for copy, message in enumerate(MEANWHILE[meanwhile], start=1):
        start = start.carrying(message, optional=True, copy=copy)
    assert explore(start) <= {"confirmed", "dispatched", "cancelled"}


@pytest.mark.parametrize(
    "by_staff",
    [[SETTLE], [RETRY], [CANCEL_AS_STAFF, SETTLE], [CANCEL_AS_STAFF, RETRY]],
    ids=["settled", "repeated", "cancelled or settled", "cancelled or repeated"],
)
@pytest.mark.parametrize("meanwhile", [CANCEL, DISPATCH], ids=["cancelled", "dispatched"])
def test_staff_resolve_a_failed_capture_in_every_order_of_arrival(
    by_staff: list[Message], meanwhile: Message
) -> None:
    provider = Provider(captures=False, captures_repeated=True)
    start = world(5, provider).carrying(PLACE).carrying(meanwhile, optional=True)
    for message in by_staff:
        start = start.carrying(message, optional=True)
    usual = {"confirmed", "needs_attention", "cancelled"}
    assert explore(start) == usual | ({"dispatched"} if meanwhile is DISPATCH else set())


def test_every_ending_is_reached() -> None:
    """Guards against an explorer that passes because it explores nothing."""
    start = (
        world(5, Provider()).carrying(PLACE).carrying(CANCEL, optional=True).carrying(DISPATCH, optional=True)
    )
    assert explore(start) == {"confirmed", "dispatched", "cancelled"}


@given(seed=st.integers(0, 2**32), pieces=st.integers(0, 7), captures=st.booleans())
@settings(max_examples=150, deadline=None)
def test_competing_orders_share_the_last_pieces(seed: int, pieces: int, captures: bool) -> None:
    dice = random.Random(seed)
    here = world(pieces, Provider(captures=captures))
    order_ids = [UUID(int=0x01980000_0000_7000_8000_000000000100 + number) for number in range(4)]
    for order_id in order_ids:
        here = here.carrying(PLACE.model_copy(update={"order_id": order_id}))
        here = here.carrying(orders.CancelOrder(order_id=order_id, customer_id=CUSTOMER), optional=True)
        here = here.carrying(orders.DispatchOrder(order_id=order_id), optional=True)
    while not here.quiet:
        here = dice.choice(list(here.choices()))[1]
        assert not [*broken_promises(here)]
    taken = [
        here.state("orders", order_id).status not in (OrderStatus.CANCELLED, OrderStatus.REJECTED)
        for order_id in order_ids
    ]
    assert sum(taken) * WANTED[0].quantity <= pieces
    shelf = here.states["shelves", KETTLE]
    assert shelf.sold == sum(taken) * WANTED[0].quantity
    assert shelf.available == pieces - shelf.sold


def test_the_explorer_notices_money_taken_for_a_cancelled_order() -> None:
    start = world(5, Provider())
    lost = Pending("orders", CANCEL)
    ended = start.handles(lost, PLACE).handles(Pending("orders", CANCEL, copy=1), CANCEL)
    provider = Provider(done={f"{PLACE.order_id}:capture": object()})
    forged = World(ended.states, frozenset(), provider=provider)
    assert [*broken_promises(forged)]
