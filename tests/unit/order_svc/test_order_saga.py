"""The list of the saga's steps matches the deciders, in every order of arrival:
no step is missing or too many.
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from chassis.core.decision import Decision
from chassis.messaging.message import Event
from contracts import orders, payments
from contracts.http.orders import OrderStatus
from contracts.order_saga import (
    DISPATCH,
    MAILS,
    STATUSES,
    STEPS,
    SagaStep,
    awaited,
    implied,
    with_implied,
)
from notification_svc.mail import Mail
from tests.support.decision_tables import cells, play
from tests.support.explored import Emission, EventType, explored
from tests.support.messages import PLACE
from tests.unit.notification_svc.decision_tables import MAILS as MAIL_TABLE
from tests.unit.order_svc.decision_tables import ORDERS

# Of an authorisation that was never published, because the order had ended before the provider responded.
_HIDDEN = (payments.PaymentVoided, payments.PaymentMismatched)


def wrong(steps: Sequence[SagaStep]) -> list[str]:
    """Where these steps contradict the deciders."""
    never_ending = {
        f"{step.name} is awaited for ever after {_names(end.emitted)}"
        for end in explored().ends
        for step in awaited(end.emitted, steps)
    }
    unexpected = {
        f"{emission.event.__name__} is not awaited after {_names(emission.before)}"
        for emission in explored().emissions
        if emission.caused and not _expected(emission, steps)
    }
    return sorted(never_ending | unexpected)


def _expected(emission: Emission, steps: Sequence[SagaStep]) -> bool:
    """Awaited; or late, because the order has ended since its service began with it."""
    results = [step for step in steps if emission.event in step.results]
    if any(step.is_awaited(emission.before) for step in results):
        return True
    if emission.event in _HIDDEN and payments.PaymentAuthorized not in emission.before:
        return True
    begun = [step for step in results if emission.before.issuperset(step.after)]
    return bool(begun) and orders.OrderCancelled in emission.before


def _names(events: frozenset[EventType]) -> str:
    return ", ".join(sorted(event.__name__ for event in events))


def test_the_saga_steps_match_the_deciders() -> None:
    assert wrong(STEPS) == []


@pytest.mark.parametrize("position", range(len(STEPS)), ids=[step.name for step in STEPS])
def test_a_step_that_is_left_out_is_noticed(position: int) -> None:
    assert wrong([*STEPS[:position], *STEPS[position + 1 :]])


@pytest.mark.parametrize(
    ("step", "result"),
    [
        pytest.param(step, result, id=f"{step.name}-{result.TYPE}")
        for step in STEPS
        for result in step.results
    ],
)
def test_a_result_that_is_left_out_is_noticed(step: SagaStep, result: EventType) -> None:
    without = replace(
        step,
        done=tuple(event for event in step.done if event is not result),
        failed=tuple(event for event in step.failed if event is not result),
    )
    assert wrong([without if each is step else each for each in STEPS])


def test_implied_events_always_precede_the_event() -> None:
    for event in {emission.event for emission in explored().emissions}:
        always = frozenset.intersection(
            *(each.before for each in explored().emissions if each.event is event)
        )
        if event is payments.PaymentRefunded:  # shares its step with a void, which needs less
            assert implied(event) < always
        elif any(event in step.results for step in (*STEPS, DISPATCH)):
            assert implied(event) == always, event


def test_an_order_has_what_its_last_event_implies() -> None:
    dispatched = with_implied([orders.OrderDispatched])
    assert {orders.OrderPlaced, payments.PaymentAuthorized, orders.OrderConfirmed} < dispatched
    assert with_implied([orders.OrderCancelled]) == {orders.OrderCancelled}


def test_each_status_is_entered_by_its_event() -> None:
    entered = {
        (emitted, cell.then)
        for (_, before), cell in cells(ORDERS).items()
        for emitted in cell.emits
        if cell.then in [status.value.replace("_", " ") for status in OrderStatus]
        and cell.then != before.partition(",")[0]
    }
    expected = {(event.__name__, status.value.replace("_", " ")) for event, status in STATUSES.items()}
    assert entered == expected


def test_each_event_with_a_mail_about_an_order_queues_it() -> None:
    about_orders = {
        type(message): message
        for message in MAIL_TABLE.messages.values()
        if isinstance(message, Event) and message.SUBJECT == "order_id"
    }
    queued = {
        event: play(MAIL_TABLE.aggregate, Mail(), message, {}) for event, message in about_orders.items()
    }
    assert {
        event: decision.state.kind
        for event, decision in queued.items()
        if isinstance(decision, Decision) and decision.emits  # a tracking reference sends no mail
    } == MAILS


def test_every_end_of_an_order_is_explored() -> None:
    ends = {end.state("orders", PLACE.order_id).status for end in explored().ends}
    assert ends == {"confirmed", "dispatched", "cancelled", "needs_attention"}
