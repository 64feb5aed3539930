"""The waterfall and the sequence diagram of an order, from what its services have recorded."""

import time
from dataclasses import replace
from datetime import timedelta

import pytest

from chassis.web.journey_history import RecordedTimes
from contracts import inventory, orders, payments
from journey.admin.diagnosis.journey_history import OUTSIDE, HistoryEntry, JourneyHistory
from journey.admin.diagnosis.sequence import build_sequence
from journey.admin.diagnosis.timeline import build_timeline
from journey.admin.diagnosis.waterfall import BarKind, RowState, Waterfall, WaterfallRow, build_waterfall
from tests.support.history_fixtures import BEGAN, RecordedHistory, after, confirmed, emitted, pending, placed
from tests.support.stuck_order_fixtures import ID, dead_letter


def waterfall_of(history: JourneyHistory, now: float = 1.0) -> Waterfall:
    return build_waterfall(build_timeline(history, pending(history)), history.silent, now=after(now))


def row(waterfall: Waterfall, contract: type, service: str) -> WaterfallRow:
    wanted = contract.__name__, service
    [found] = [each for each in waterfall.rows if (each.message_id, each.service) == wanted]
    return found


def seconds(row: WaterfallRow) -> list[tuple[str, float, float]]:
    return [
        (bar.kind.value, (bar.begin - BEGAN).total_seconds(), (bar.end - BEGAN).total_seconds())
        for bar in row.bars
    ]


def test_each_service_is_a_lane_with_its_messages_in_order() -> None:
    waterfall = waterfall_of(confirmed().without())
    assert {lane.service: [row.message_id for row in lane.rows] for lane in waterfall.lanes} == {
        "order_svc": ["PlaceOrder", "StockReserved", "PaymentAuthorized"],
        "inventory_svc": ["OrderPlaced", "OrderConfirmed"],
        "payment_svc": ["OrderPlaced", "StockReserved", "Authorize", "OrderConfirmed", "Capture"],
        "notification_svc": ["OrderConfirmed", "SendMail"],
    }
    assert all(lane.responds for lane in waterfall.lanes)
    assert not waterfall.axis.cuts


def test_bars_separate_queue_effect_and_handling() -> None:
    authorize = row(waterfall_of(confirmed().without()), payments.Authorize, "payment_svc")
    assert seconds(authorize) == [
        ("queue", 0.08, 0.09),
        ("handling", 0.09, 0.1),
        ("effect", 0.1, 0.4),
        ("handling", 0.4, 0.4),
    ]
    assert authorize.sentence == "10 ms in queue, 10 ms handling, 300 ms effect"


def test_a_message_from_outside_is_dated_by_its_sender() -> None:
    place = row(waterfall_of(confirmed().without()), orders.PlaceOrder, "order_svc")
    assert place.sender == OUTSIDE
    assert seconds(place) == [("queue", 0, 0.01), ("handling", 0.01, 0.02)]
    assert place.status == ("new", "placed")


def test_a_declined_payment_shows_the_compensation() -> None:
    history = placed()
    history.handled(
        payments.Authorize, "payment_svc", 0.4, emits=[payments.PaymentDeclined], effect=(0.1, 0.4)
    )
    history.handled(payments.PaymentDeclined, "order_svc", 0.42, emits=[orders.OrderCancelled])
    history.handled(orders.OrderCancelled, "inventory_svc", 0.44, emits=[inventory.StockReleased])
    history.handled(orders.OrderCancelled, "payment_svc", 0.45)
    history.handled(orders.OrderCancelled, "notification_svc", 0.46)
    diagram = build_sequence(waterfall_of(history.without()))
    assert [(arrow.message_id, arrow.sender, arrow.service) for arrow in diagram.arrows[-5:]] == [
        ("Authorize", "payment_svc", "payment_svc"),
        ("PaymentDeclined", "payment_svc", "order_svc"),
        ("OrderCancelled", "order_svc", "inventory_svc"),
        ("OrderCancelled", "order_svc", "payment_svc"),
        ("OrderCancelled", "order_svc", "notification_svc"),
    ]
    assert diagram.participants == (
        *(OUTSIDE, "order_svc", "payment_svc", "inventory_svc", "notification_svc"),
    )


def test_a_cancellation_crosses_the_authorization() -> None:
    """The customer's command is sent before the payment is authorized, and handled before the news of it."""
    history = placed()
    history.handled(
        payments.Authorize, "payment_svc", 0.4, emits=[payments.PaymentAuthorized], effect=(0.1, 0.4)
    )
    history.sent(orders.CancelOrder, 0.3)
    history.handled(orders.CancelOrder, "order_svc", 0.405, emits=[orders.OrderCancelled])
    history.handled(payments.PaymentAuthorized, "order_svc", 0.41)
    history.handled(orders.OrderCancelled, "payment_svc", 0.43, emits=[payments.Void])
    waterfall = waterfall_of(history.without())
    cancel, authorized = (
        row(waterfall, contract, "order_svc") for contract in (orders.CancelOrder, payments.PaymentAuthorized)
    )
    assert cancel.bars[0].begin < authorized.bars[0].begin, "the bars overlap"
    order = [arrow.message_id for arrow in build_sequence(waterfall).arrows]
    assert order.index("Authorize") < order.index("CancelOrder") < order.index("PaymentAuthorized")


def test_a_deadline_is_reached_over_a_shortened_pause() -> None:
    history = placed()
    history.sent(orders.DeadlinePassed, 900.0)
    history.handled(
        orders.DeadlinePassed,
        "order_svc",
        900.5,
        queued=0.4,
        emits=[orders.OrderCancelled],
    )
    waterfall = waterfall_of(history.without(), now=901)
    deadline = row(waterfall, orders.DeadlinePassed, "order_svc")
    assert deadline.sender == "order_svc", "the service reminds itself"
    assert seconds(deadline) == [("queue", 900.0, 900.4), ("handling", 900.4, 900.5)]


def test_idle_pauses_are_cut_and_long_effects_are_not() -> None:
    history = RecordedHistory()
    history.sent(payments.Authorize, 0.0)
    history.handled(
        payments.Authorize, "payment_svc", 40.0, emits=[payments.PaymentAuthorized], effect=(1.0, 40.0)
    )
    history.handled(payments.PaymentAuthorized, "order_svc", 41.0)
    history.sent(orders.DeadlinePassed, 7_241.0)
    history.handled(orders.DeadlinePassed, "order_svc", 7_242.0)
    axis = waterfall_of(history.without()).axis
    [cut] = axis.cuts
    assert (cut.begin, cut.end) == (after(41.0), after(7_241.0))
    assert cut.share_end - cut.share_begin == pytest.approx(0.08)
    assert axis.share(after(0)) == 0 and axis.share(after(7_242.0)) == pytest.approx(1)
    assert axis.share(after(40)) - axis.share(after(1)) == pytest.approx(39 / 42 * 0.92)
    assert (axis.share(after(-5)), axis.share(after(9_000))) == (0, 1)


def test_retries_after_a_bug_are_counted() -> None:
    history = placed()
    history.handled(
        payments.Authorize,
        "payment_svc",
        665.3,
        queued=665.0,
        failed_attempts=3,
        effect=(665.1, 665.3),
        emits=[payments.PaymentAuthorized],
    )
    waterfall = waterfall_of(history.without(), now=666)
    authorize = row(waterfall, payments.Authorize, "payment_svc")
    assert [bar.kind for bar in authorize.bars][:2] == [BarKind.RETRY, BarKind.HANDLING]
    assert authorize.sentence == "11 min with 3 failed attempts, 20 ms handling, 200 ms effect"
    assert [cut.end for cut in waterfall.axis.cuts] == [after(665.08)], "the ladder's pauses are shortened"


def test_waits_for_an_external_service_are_counted() -> None:
    history = placed()
    history.handled(payments.Authorize, "payment_svc", 65.3, queued=65.0, postponed=2, effect=(65.1, 65.3))
    authorize = row(waterfall_of(history.without(), now=66), payments.Authorize, "payment_svc")
    assert authorize.bars[0].kind is BarKind.WAIT
    assert authorize.sentence == "65 s postponed 2 times, 20 ms handling, 200 ms effect"


def test_a_stopped_service_is_unknown_and_no_bar_is_invented() -> None:
    waterfall = waterfall_of(confirmed().without("payment_svc"), now=1.0)
    [lane] = [lane for lane in waterfall.lanes if not lane.responds]
    assert lane.service == "payment_svc"
    assert {(each.message_id, each.state) for each in lane.rows} == {
        (name, RowState.UNKNOWN) for name in ("OrderPlaced", "StockReserved", "OrderConfirmed")
    }
    placing = lane.rows[0]
    assert seconds(placing) == [("unknown", 0.02, 1.0)]
    assert placing.sentence == "unknown: payment_svc does not respond"
    authorized = row(waterfall, payments.PaymentAuthorized, "order_svc")
    assert authorized.sender == "payment_svc", "its owner, though its history is missing"


def test_a_silent_service_without_messages_is_named() -> None:
    [*_, lane] = build_waterfall([], ["user_svc"], now=BEGAN).lanes
    assert (lane.service, lane.responds, lane.rows) == ("user_svc", False, ())


def test_a_message_in_its_queue_is_pending_until_now() -> None:
    authorize = row(waterfall_of(placed().without(), now=125.08), payments.Authorize, "payment_svc")
    assert authorize.state is RowState.PENDING
    assert seconds(authorize) == [("wait", 0.08, 125.08)]
    assert authorize.sentence == "not handled for 2 min"


def test_a_dead_letter_ends_its_row_with_its_error() -> None:
    history = placed().without()
    died = replace(
        dead_letter("payment_svc", payments.Authorize),
        died_at=after(665),
        wire_message=replace(
            dead_letter("payment_svc", payments.Authorize).wire_message, message_id="Authorize"
        ),
    )
    messages = build_timeline(history, pending(history), [died])
    waterfall = build_waterfall(messages, now=after(700))
    authorize = row(waterfall, payments.Authorize, "payment_svc")
    assert (authorize.state, authorize.error) == (RowState.DEAD, "KeyError: 'x'")
    assert seconds(authorize) == [("retry", 0.08, 665.0)]
    assert authorize.sentence == "dead letter after 4 attempts in 11 min"


def test_a_record_of_an_earlier_version_shows_one_undivided_bar() -> None:
    entries = [replace(entry, times=RecordedTimes()) for entry in confirmed().without().entries]
    waterfall = waterfall_of(JourneyHistory(entries))
    authorize = row(waterfall, payments.Authorize, "payment_svc")
    assert seconds(authorize) == [("elapsed", 0.08, 0.4)]
    assert authorize.sentence == "320 ms from sent to handled"
    place = row(waterfall, orders.PlaceOrder, "order_svc")
    assert place.sent_at is None and seconds(place) == [("elapsed", 0.02, 0.02)]


@pytest.mark.parametrize("skew", [-3600.0, -0.5, 0.5, 3600.0])
def test_clocks_that_differ_never_turn_a_bar_around(skew: float) -> None:
    """payment_svc's clock is ahead or behind."""
    entries = [
        replace(
            entry,
            at=entry.at + timedelta(seconds=skew),
            times=entry.times.model_copy(
                update={
                    name: value + timedelta(seconds=skew)
                    for name, value in entry.times
                    if name in ("received_at", "effect_began_at", "effect_ended_at") and value
                }
            ),
        )
        if entry.service == "payment_svc"
        else entry
        for entry in confirmed().without().entries
    ]
    waterfall = waterfall_of(JourneyHistory(sorted(entries, key=lambda entry: entry.at)))
    assert all(bar.begin <= bar.end for row in waterfall.rows for bar in row.bars)
    seen: set[str] = set()
    for arrow in build_sequence(waterfall).arrows:
        assert arrow.caused_by in {"", *seen}, "no message before its cause"
        seen.add(arrow.message_id)


def test_a_clock_set_back_during_handling_gives_no_negative_bar() -> None:
    history = placed()
    history.handled(payments.Authorize, "payment_svc", 0.4, queued=5.0, effect=(5.1, 5.2))
    authorize = row(waterfall_of(history.without()), payments.Authorize, "payment_svc")
    assert seconds(authorize) == [("queue", 0.08, 0.4), ("handling", 0.4, 0.4)]


def test_a_page_of_a_long_order_has_its_own_axis() -> None:
    """A long-lived order: each message causes the next, a minute later."""
    entries = [
        HistoryEntry(
            "order_svc",
            "orders",
            ID,
            f"m{number}",
            orders.DispatchOrder.TYPE,
            after(60 * number),
            "confirmed",
            "confirmed",
            (emitted(orders.DispatchOrder, 60 * number) | {"id": f"m{number + 1}"},),
            RecordedTimes(received_at=after(60 * number - 0.1)),
        )
        for number in range(2_000)
    ]
    begun = time.process_time()
    whole = waterfall_of(JourneyHistory(entries), now=200_000)
    part = whole.part(101, 200)
    arrows = build_sequence(part).arrows
    assert time.process_time() - begun < 20, "not quadratic in the number of messages"
    assert len(whole.rows) == 2_001, "the last one is pending"
    assert [each.number for each in part.rows] == list(range(101, 201))
    assert [arrow.number for arrow in arrows] == list(range(101, 201))
    assert part.axis.begin is not None and part.axis.begin > after(5_900)
    shares = [part.axis.share(each.bars[0].begin) for each in part.rows]
    assert shares == sorted(shares) and shares[0] == 0
