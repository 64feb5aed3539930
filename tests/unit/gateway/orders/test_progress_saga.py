"""The progress that customers see follows the saga's steps, in every order of arrival."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from chassis.core.decision import Context, Decision
from chassis.messaging.message import Event
from contracts import inventory, orders, payments
from contracts.notifications import MailKind, MailSent
from contracts.order_saga import (
    CAPTURE,
    CONFIRMATION,
    MAILS,
    PAYMENT,
    RELEASE,
    STEPS,
    STOCK,
    VOID_OR_REFUND,
    SagaStep,
    awaited,
)
from gateway.orders.aggregates import TIMELINES
from gateway.orders.decider import decide
from gateway.orders.messages import EVENT_MESSAGES, mail_name
from gateway.orders.progress import OrderProgress, build_progress
from gateway.orders.timeline import OrderTimeline, TimelineEntry
from tests.support.explored import Events, EventType, explored
from tests.support.messages import PLACE

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

# The step of the page that shows a step of the saga.
SHOWN = {
    STOCK: "stock",
    PAYMENT: "payment",
    CONFIRMATION: "confirmed",
    RELEASE: "items",
    VOID_OR_REFUND: "money",
}


def progress_of(emitted: Iterable[Event], now: datetime = NOW + timedelta(seconds=1)) -> OrderProgress:
    timeline = OrderTimeline()
    for event in emitted:
        if type(event) in TIMELINES.handles:
            decision = decide(timeline, event, Context(sent_at=NOW))
            assert isinstance(decision, Decision)
            timeline = decision.state
    return build_progress(PLACE.order_id, timeline, now)


def in_progress(progress: OrderProgress) -> set[str]:
    return {step.name for step in (*progress.steps, *progress.compensation) if step.state.in_progress}


def moments() -> list[tuple[Events, tuple[Event, ...]]]:
    """Every set of events that an order can have, each with one order in which they were emitted."""
    return list(explored().moments.items())


def test_a_step_is_in_progress_while_the_saga_awaits_it() -> None:
    """The page shows one step at a time: payment after stock. Later steps may hide it."""
    compared = 0
    for events, emitted in moments():
        steps = [step for step in awaited(events) if step in SHOWN]
        if not steps or orders.OrderPlaced not in events:
            continue
        shown = in_progress(progress_of(emitted))
        first = {SHOWN[step] for step in steps if step is not PAYMENT or inventory.StockReserved in events}
        assert shown >= first, [event.TYPE for event in emitted]
        compared += 1
    assert compared > 10


def test_an_ended_order_has_no_step_in_progress() -> None:
    for end in explored().ends:
        emitted = explored().moments[end.emitted]
        allowed = {"payment"} if end.emitted & set(CAPTURE.failed) else set()
        if orders.OrderPlaced in end.emitted:
            assert in_progress(progress_of(emitted)) <= allowed, [event.TYPE for event in emitted]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_every_event_of_a_step_has_a_customer_message(step: SagaStep) -> None:
    assert {*step.after, *step.results} <= EVENT_MESSAGES.keys() == set(TIMELINES.handles)


@pytest.mark.parametrize("kind", MAILS.values())
def test_every_order_mail_has_a_name_for_customers(kind: MailKind) -> None:
    assert mail_name(TimelineEntry(1, MailSent.TYPE, NOW, kind)) != mail_name(
        TimelineEntry(1, MailSent.TYPE, NOW, "another kind")
    )


def test_the_page_waits_for_the_mails_that_events_cause() -> None:
    for end in explored().ends:
        emitted = explored().moments[end.emitted]
        if orders.OrderPlaced in end.emitted and end.emitted & MAILS.keys():
            assert not progress_of(emitted).settled
            assert progress_of(emitted, NOW + timedelta(minutes=5)).settled


def test_a_capture_implies_the_earlier_steps() -> None:
    captured: list[EventType] = [payments.PaymentCaptured]
    example = {type(event): event for _, emitted in moments() for event in emitted}
    progress = progress_of([example[event] for event in captured])
    assert [step.state for step in progress.steps[1:4]] == ["done"] * 3
