"""An order's projection follows from the set of its events: duplicates and their order change nothing."""

import dataclasses
import tracemalloc
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.messaging.envelope import Envelope, wrap
from chassis.messaging.identity import new_id
from chassis.messaging.message import Event
from contracts import inventory, notifications, orders, payments, users
from contracts.catalog import CATALOG
from contracts.notifications import MailKind
from contracts.order_saga import MAILS
from contracts.orders import CancelReason
from contracts.values import Money, PricedLine
from journey.admin.event_log.journal import Entry
from journey.admin.event_log.order_events import ProjectedOrder, fold, order_of
from journey.admin.event_log.replay import DIFFERING_MAX, Replay, Statuses
from tests.support.recording_consumer import wrapped

PRICE = Money(amount_minor=420, currency="EUR")
ORDER, ANN = UUID(int=1), UUID(int=2)
LINES = (PricedLine(sku="TEA", quantity=1, price=PRICE),)

PLACED = orders.OrderPlaced(order_id=ORDER, customer_id=ANN, lines=LINES, total=PRICE, card_token="tok_visa")
RESERVED = inventory.StockReserved(order_id=ORDER)
SHORT = inventory.StockRejected(order_id=ORDER, short=())
AUTHORIZED = payments.PaymentAuthorized(order_id=ORDER, amount=PRICE)
CONFIRMED = orders.OrderConfirmed(order_id=ORDER, customer_id=ANN, total=PRICE)
CAPTURED = payments.PaymentCaptured(order_id=ORDER, amount=PRICE)
COMMITTED = inventory.StockCommitted(order_id=ORDER)
CANCELLED = orders.OrderCancelled(order_id=ORDER, customer_id=ANN, reason=CancelReason.CUSTOMER)
REFUNDED = payments.PaymentRefunded(order_id=ORDER, customer_id=ANN, amount=PRICE)
RELEASED = inventory.StockReleased(order_id=ORDER)
DISPATCHED = orders.OrderDispatched(order_id=ORDER, customer_id=ANN)

FAILED = payments.PaymentFailed(order_id=ORDER, detail="expired")

MAIL_DUE = ("mail order_confirmed (notification_svc)",)
HAPPY = (PLACED, RESERVED, AUTHORIZED, CONFIRMED, CAPTURED, COMMITTED)


def mailed(kind: MailKind) -> notifications.MailSent:
    return notifications.MailSent(about=ORDER, kind=kind)


def reported(*events: Event) -> ProjectedOrder:
    order = ProjectedOrder()
    for event in events:
        order = fold(order, wrapped(event), event)
    return order


@pytest.mark.parametrize(
    ("events", "status", "awaits"),
    [
        ((PLACED,), "placed", ["stock (inventory_svc)", "payment (payment_svc)"]),
        ((PLACED, RESERVED), "placed", ["payment (payment_svc)"]),
        ((PLACED, SHORT), "placed", ["cancellation (order_svc)"]),
        ((PLACED, RESERVED, AUTHORIZED), "placed", ["confirmation (order_svc)"]),
        (
            HAPPY[:4],
            "confirmed",
            ["capture (payment_svc)", "commit (inventory_svc)", "mail order_confirmed (notification_svc)"],
        ),
        (HAPPY, "confirmed", ["mail order_confirmed (notification_svc)"]),
        ((*HAPPY, mailed(MailKind.ORDER_CONFIRMED)), "confirmed", []),
        (
            (*HAPPY, mailed(MailKind.ORDER_CONFIRMED), DISPATCHED),
            "dispatched",
            ["mail order_dispatched (notification_svc)"],
        ),
        (
            (*HAPPY, CANCELLED),
            "cancelled",
            [
                "release (inventory_svc)",
                "void or refund (payment_svc)",
                "mail order_confirmed (notification_svc)",
                "mail order_cancelled (notification_svc)",
            ],
        ),
        (
            (*HAPPY, CANCELLED, RELEASED, REFUNDED, *map(mailed, MAILS.values())),
            "cancelled",
            [],
        ),
        ((*HAPPY[:4], FAILED), "confirmed", ["commit (inventory_svc)", "attention (order_svc)", *MAIL_DUE]),
        ((RESERVED,), "", []),
    ],
)
def test_a_projected_order_has_its_status_and_awaited_events(
    events: tuple[Event, ...], status: str, awaits: list[str]
) -> None:
    assert (reported(*events).status, reported(*events).awaits) == (status, awaits)


STORY: list[tuple[Envelope, Event]] = [
    (wrapped(event, event.OWNER), event)
    for event in (*HAPPY, CANCELLED, RELEASED, REFUNDED, mailed(MailKind.ORDER_CANCELLED))
]


@given(st.permutations(STORY), st.lists(st.sampled_from(STORY)))
def test_duplicates_and_message_order_do_not_change_the_projection(
    shuffled: list[tuple[Envelope, Event]], copies: list[tuple[Envelope, Event]]
) -> None:
    straight, other = ProjectedOrder(), ProjectedOrder()
    for envelope, event in STORY:
        straight = fold(straight, envelope, event)
    for envelope, event in (*shuffled, *copies):
        other = fold(other, envelope, event)
    assert other == straight
    assert other.timeline == straight.timeline


def test_only_events_about_orders_are_projected() -> None:
    assert order_of(PLACED) == order_of(CAPTURED) == order_of(mailed(MailKind.ORDER_CONFIRMED)) == str(ORDER)
    assert order_of(users.UserRegistered(user_id=ANN)) is None
    assert order_of(notifications.MailSent(about=ANN, kind=MailKind.USER_REGISTERED)) is None
    assert order_of(inventory.StockReceived(receipt_id=uuid4(), sku="TEA", quantity=1)) is None


@pytest.fixture
def replay() -> Iterator[Replay]:
    with Replay() as made:
        yield made


def replayed(replay: Replay, *envelopes: Envelope) -> Replay:
    for offset, envelope in enumerate(envelopes):
        replay.take(
            Entry(offset, dataclasses.replace(envelope.wire_message(CATALOG), user_id=envelope.source))
        )
    return replay


async def statuses(remembered: Mapping[str, str]) -> Statuses:
    for each in sorted(remembered.items()):
        yield each


async def test_a_status_differing_from_order_svc_is_named(replay: Replay) -> None:
    replayed(replay, wrapped(PLACED), wrapped(CONFIRMED))
    assert (await replay.compare(statuses({str(ORDER): "confirmed"}))).differing == 0
    for remembered, expected in ({str(ORDER): "cancelled"}, "cancelled"), ({}, "unknown"):
        compared = await replay.compare(statuses(remembered))
        assert compared.sentences == [f"order {ORDER}: {expected} in order_svc, confirmed in the journal"]
        assert compared.differing == 1


async def test_an_order_missing_in_the_journal_is_named_unless_older(
    replay: Replay,
) -> None:
    older = str(new_id())
    with Replay() as empty:
        compared = await empty.compare(statuses({older: "confirmed"}))
        assert compared.differing == 1, "an empty journal is no excuse"
    replayed(replay, wrapped(PLACED))
    newer = str(UUID(int=new_id().int + (60_000 << 80)))  # a minute later
    compared = await replay.compare(statuses({older: "confirmed", newer: "confirmed", str(ORDER): "placed"}))
    assert (compared.older, compared.agreeing) == (1, 1)
    assert compared.sentences == [f"order {newer}: confirmed in order_svc, unknown in the journal"]


async def test_an_early_cancellation_alone_is_no_difference(replay: Replay) -> None:
    replayed(replay, wrapped(PLACED))
    assert (await replay.compare(statuses({str(ORDER): "placed", str(UUID(int=9)): "new"}))).differing == 0


def test_events_of_foreign_senders_are_omitted(replay: Replay) -> None:
    replay.take(Entry(0, dataclasses.replace(wrapped(CONFIRMED).wire_message(CATALOG), user_id="client")))
    assert list(replay.orders()) == []
    assert replay.unread.total() == 1


@given(st.permutations(STORY), st.lists(st.sampled_from(STORY)))
def test_the_projection_is_independent_of_event_order(
    shuffled: list[tuple[Envelope, Event]], copies: list[tuple[Envelope, Event]]
) -> None:
    with Replay() as replay:
        replayed(replay, *(envelope for envelope, _ in (*shuffled, *copies)))
        expected = ProjectedOrder()
        for envelope, event in STORY:
            expected = fold(expected, envelope, event)
        assert list(replay.orders()) == [(str(ORDER), expected)]
        assert replay.order(str(ORDER)) == expected


async def test_rebuilding_and_comparing_orders_holds_none_of_them_in_memory(replay: Replay) -> None:
    async def remembered() -> Statuses:
        for number in range(3_000):
            yield str(UUID(int=number)), "confirmed"

    tracemalloc.start()
    try:
        _rebuild(replay, range(300))
        before, _ = tracemalloc.get_traced_memory()
        _rebuild(replay, range(300, 3_000))
        tracemalloc.reset_peak()
        compared = await replay.compare(remembered())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (compared.agreeing, compared.differing, len(compared.sentences)) == (0, 3_000, DIFFERING_MAX)
    assert peak - before < 300_000, "a hundred bytes an order would be as much"


def _rebuild(replay: Replay, numbers: range) -> None:
    for number in numbers:
        event = PLACED.model_copy(update={"order_id": UUID(int=number)})
        replayed(replay, wrapped(event))


def test_reasons_to_leave_events_out_are_bounded(replay: Replay) -> None:
    for number in range(1_500):
        replay._leave_out(f"reason {number}")
    assert (replay.unread.total(), len(replay.unread), replay.unread["other reasons"]) == (1_500, 1_001, 500)


def test_the_timeline_is_sorted_by_event_time() -> None:
    early = wrap(CONFIRMED, id="b", source="order_svc", now=datetime(2026, 1, 2, tzinfo=UTC))
    late = wrap(DISPATCHED, id="a", source="order_svc", now=datetime(2026, 1, 3, tzinfo=UTC))
    order = fold(fold(ProjectedOrder(), late, DISPATCHED), early, CONFIRMED)
    assert [entry.contract for entry in order.timeline] == [orders.OrderConfirmed, orders.OrderDispatched]
