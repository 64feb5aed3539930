"""The carrier's tracking reference, before and after the dispatch."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from chassis.bus.memory import MemoryStore
from chassis.clock import CLOCK_SKEW_MAX
from chassis.core.codec import Codec
from chassis.core.decision import UNKNOWN_TIME, Context, Decision
from chassis.store.protocol import Change, Loaded
from contracts import orders
from order_svc.decider import Recalled, decide, recall
from order_svc.order import Order
from order_svc.service import order_service
from tests.support.given_when_then import emitted, last_emitted, state_after
from tests.support.messages import (
    AUTHORIZED,
    CANCEL,
    CUSTOMER,
    DISPATCH,
    FAILED,
    ORDER,
    PLACE,
    PLACE_UNKNOWN,
    RESERVED,
    TRACK,
    TRACK_AGAIN,
)
from tests.support.pending_message_factory import message_processor, pending
from tests.unit.order_svc.decision_tables import ORDERS

NOON = datetime(2031, 5, 6, 12, 0, tzinfo=UTC)
LATER, LAST = NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)
TO_CONFIRMED = [PLACE, RESERVED, AUTHORIZED]


@pytest.mark.parametrize("warehouse", [[DISPATCH, TRACK], [TRACK, DISPATCH]])
def test_a_tracking_reference_is_published_in_any_order(warehouse: list[Any]) -> None:
    history = [*TO_CONFIRMED, *warehouse]
    assert sorted(emitted(ORDERS, history)[2:]) == ["OrderDispatched", "TrackingRecorded"]
    assert state_after(ORDERS, history).tracking == TRACK.tracking


def test_a_known_reference_is_published_before_the_dispatch() -> None:
    """notification_svc handles events in this order, and mails about the dispatch."""
    assert emitted(ORDERS, [*TO_CONFIRMED, TRACK, DISPATCH])[2:] == ["TrackingRecorded", "OrderDispatched"]
    recorded = orders.TrackingRecorded(order_id=ORDER, customer_id=CUSTOMER, tracking=TRACK.tracking)
    assert last_emitted(ORDERS, [*TO_CONFIRMED, DISPATCH, TRACK]) == recorded


def test_a_later_tracking_reference_replaces_the_first() -> None:
    history = [*TO_CONFIRMED, DISPATCH, TRACK, TRACK, TRACK_AGAIN]
    assert emitted(ORDERS, history)[3:] == ["TrackingRecorded", "TrackingRecorded"]
    assert last_emitted(ORDERS, history).tracking == TRACK_AGAIN.tracking


def test_a_dispatched_order_is_tracked_although_its_capture_failed() -> None:
    assert emitted(ORDERS, [*TO_CONFIRMED, DISPATCH, FAILED, TRACK])[-1] == "TrackingRecorded"


@pytest.mark.parametrize(
    ("history", "status"),
    [
        ([], "new"),
        ([PLACE], "placed"),
        ([PLACE, CANCEL], "cancelled"),
        ([PLACE_UNKNOWN], "rejected"),
        ([*TO_CONFIRMED, FAILED], "needs_attention"),
    ],
)
def test_a_tracking_reference_needs_a_confirmed_order(history: list[Any], status: str) -> None:
    refused = last_emitted(ORDERS, [*history, TRACK])
    assert isinstance(refused, orders.TrackingRefused) and f"the order is {status};" in refused.detail
    assert state_after(ORDERS, [*history, TRACK]) == state_after(ORDERS, history)


def test_a_cancelled_order_publishes_no_tracking_reference() -> None:
    assert emitted(ORDERS, [*TO_CONFIRMED, TRACK, CANCEL])[2:] == ["OrderCancelled"]


def sent(order: Order, commands: Iterable[tuple[orders.RecordTracking, datetime]]) -> tuple[Order, list[str]]:
    """The order after commands that were sent at these times, and the names of the replies."""
    replies: list[str] = []
    for command, at in commands:
        decision = decide(order, command, Context(sent_at=at))
        order = decision.state
        replies += [type(event).__name__ for event in decision.emits]
    return order, replies


FIRST, SECOND = (TRACK, NOON), (TRACK_AGAIN, LATER)


@pytest.mark.parametrize("warehouse", [[], [DISPATCH], [DISPATCH, FAILED]])
@pytest.mark.parametrize("arrived", [[FIRST, SECOND], [SECOND, FIRST], [FIRST, SECOND, FIRST]])
def test_the_reference_that_was_sent_last_stays(warehouse: list[Any], arrived: list[Any]) -> None:
    """Whatever the order of arrival: an older command may have been a dead letter for a while."""
    order, replies = sent(state_after(ORDERS, [*TO_CONFIRMED, *warehouse]), arrived)
    assert order.tracking == TRACK_AGAIN.tracking
    assert replies.count("TrackingRefused") == (arrived[-1] == FIRST), "staff see what became of it"


def test_an_older_reference_is_not_published_with_the_dispatch() -> None:
    order, _ = sent(state_after(ORDERS, TO_CONFIRMED), [SECOND, FIRST])
    recorded, dispatched = decide(order, DISPATCH, Context()).emits
    assert isinstance(recorded, orders.TrackingRecorded) and isinstance(dispatched, orders.OrderDispatched)
    assert recorded.tracking == TRACK_AGAIN.tracking


def test_an_outdated_reference_is_rejected_with_both_times() -> None:
    order, _ = sent(state_after(ORDERS, [*TO_CONFIRMED, DISPATCH]), [SECOND])
    decision = decide(order, TRACK, Context(sent_at=NOON))
    assert isinstance(decision, Decision)
    [refused] = decision.emits
    assert isinstance(refused, orders.TrackingRefused)
    assert f"sent at {NOON.isoformat()}" in refused.detail and LATER.isoformat() in refused.detail


class Dispatched:
    """A dispatched order in a database, and the real message path with a clock."""

    def __init__(self) -> None:
        self.service, self.store = order_service(), MemoryStore()

    async def start(self) -> None:
        await self.store.start(self.service.kinds)
        state = Codec(Order).dump(state_after(ORDERS, [*TO_CONFIRMED, DISPATCH]))
        await self.store.save([Change(await self.loaded(), state)])

    async def loaded(self) -> Loaded:
        [loaded] = (await self.store.load("orders", [str(ORDER)])).values()
        return loaded

    async def track(self, command: orders.RecordTracking, at: datetime, sent_at: datetime) -> str:
        """The type of the reply to a command that arrives at this time."""
        work = pending(self.service, command, sent_at=sent_at)
        await message_processor(self.service, self.store, clock=lambda: at).process([work])
        assert isinstance(work.outcome, tuple), work.outcome
        [reply] = work.outcome
        return reply.type


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=2_900_000)])
async def test_a_fast_clock_blocks_later_references_for_a_minute_only(ahead: timedelta) -> None:
    """Its time counts as the latest that a tolerated skew explains."""
    order = Dispatched()
    await order.start()
    assert await order.track(TRACK, NOON, NOON + ahead) == orders.TrackingRecorded.TYPE
    bound = NOON + CLOCK_SKEW_MAX
    assert await order.track(TRACK_AGAIN, NOON, bound - timedelta(seconds=1)) == orders.TrackingRefused.TYPE
    after = bound + timedelta(seconds=1)
    assert await order.track(TRACK_AGAIN, after, after) == orders.TrackingRecorded.TYPE


async def test_a_tolerated_clock_skew_keeps_the_order_of_sending() -> None:
    order = Dispatched()
    await order.start()
    newer = NOON + CLOCK_SKEW_MAX
    assert await order.track(TRACK_AGAIN, NOON, newer) == orders.TrackingRecorded.TYPE
    assert await order.track(TRACK, NOON, newer - timedelta(seconds=1)) == orders.TrackingRefused.TYPE


def test_a_repeated_reference_counts_from_its_last_time() -> None:
    between = TRACK.model_copy(update={"tracking": "RR555555555DE"})
    order, replies = sent(
        state_after(ORDERS, [*TO_CONFIRMED, DISPATCH]), [FIRST, (TRACK, LAST), FIRST, (between, LATER)]
    )
    assert (order.tracking, order.tracking_at) == (TRACK.tracking, LAST)
    assert replies == ["TrackingRecorded", "TrackingRefused"]


@pytest.mark.parametrize("after_zone", [UTC, timezone(timedelta(hours=-9))])
def test_times_are_compared_across_time_zones(after_zone: timezone) -> None:
    second = (TRACK_AGAIN, LATER.astimezone(after_zone))
    order, _ = sent(state_after(ORDERS, [*TO_CONFIRMED, DISPATCH]), [second, FIRST])
    assert order.tracking == TRACK_AGAIN.tracking


def test_a_command_without_a_time_counts_when_it_arrives() -> None:
    order, _ = sent(state_after(ORDERS, [*TO_CONFIRMED, DISPATCH]), [SECOND, (TRACK, UNKNOWN_TIME)])
    assert (order.tracking, order.tracking_at) == (TRACK.tracking, LATER)
    order, replies = sent(order, [(TRACK_AGAIN, NOON)])
    assert order.tracking == TRACK.tracking and replies == ["TrackingRefused"]


def test_a_reference_of_an_earlier_version_is_replaced() -> None:
    """Its document has no time of the command."""
    order = state_after(ORDERS, [*TO_CONFIRMED, DISPATCH, TRACK])
    assert order.tracking_at is None
    assert sent(order, [(TRACK_AGAIN, NOON)])[0].tracking == TRACK_AGAIN.tracking


def test_what_is_recalled_keeps_the_time_that_is_known() -> None:
    """The event has no time of the command, and follows it: its own would refuse a newer command."""
    order, _ = sent(state_after(ORDERS, [*TO_CONFIRMED, DISPATCH]), [FIRST])
    event: Recalled = orders.TrackingRecorded(
        order_id=ORDER, customer_id=CUSTOMER, tracking=TRACK_AGAIN.tracking
    )
    recalled = recall(order, event, Context(sent_at=LAST))
    assert isinstance(recalled, Decision)
    assert (recalled.state.tracking, recalled.state.tracking_at) == (TRACK_AGAIN.tracking, NOON)
