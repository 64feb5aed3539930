"""Given-when-then tests of every rule of payment_svc's decider."""

from typing import Any

import pytest

from chassis.core.decision import OutOfTurn
from contracts import payments
from contracts.payments import DeclineReason
from payment_svc import payment as card
from payment_svc.payment import PaymentStatus
from tests.support.decision_table_fixtures import PAYMENTS
from tests.support.given_when_then import emitted, last_emitted, state_after
from tests.support.messages import (
    AUTHORIZE,
    CANCELLED,
    CAPTURE,
    CARD_AUTHORIZED,
    CARD_CAPTURE_REFUSED,
    CARD_CAPTURED,
    CARD_DECLINED,
    CARD_NEVER_AUTHORIZED,
    CARD_REFUNDED,
    CARD_VOIDED,
    CONFIRMED,
    ORDER,
    PLACED,
    REFUND,
    RESERVED,
    TOTAL,
    VOID,
)

TO_AUTHORIZED: list[Any] = [PLACED, RESERVED, CARD_AUTHORIZED]
TO_CAPTURED: list[Any] = [*TO_AUTHORIZED, CONFIRMED, CARD_CAPTURED]


@pytest.mark.parametrize("join", [[PLACED, RESERVED], [RESERVED, PLACED]])
def test_the_card_is_asked_when_order_and_goods_are_known_whichever_came_first(join: list[Any]) -> None:
    assert emitted(PAYMENTS, join) == ["Authorize"]
    question = last_emitted(PAYMENTS, [*join, AUTHORIZE])
    assert question == card.AuthorizeCard(f"{ORDER}:authorize", ORDER, TOTAL, PLACED.card_token)


@pytest.mark.parametrize("alone", [PLACED, RESERVED])
def test_half_a_join_asks_nothing(alone: Any) -> None:
    assert emitted(PAYMENTS, [alone]) == []


def test_an_authorisation_is_told_with_its_amount() -> None:
    assert last_emitted(PAYMENTS, TO_AUTHORIZED) == payments.PaymentAuthorized(order_id=ORDER, amount=TOTAL)


def test_a_refusal_of_the_card_is_told_with_its_reason() -> None:
    declined = last_emitted(PAYMENTS, [PLACED, RESERVED, CARD_DECLINED])
    assert declined == payments.PaymentDeclined(order_id=ORDER, reason=DeclineReason.INSUFFICIENT_FUNDS)


def test_a_confirmed_order_is_captured_in_full_by_what_was_authorised() -> None:
    question = last_emitted(PAYMENTS, [*TO_AUTHORIZED, CONFIRMED, CAPTURE])
    assert question == card.CaptureAmount(f"{ORDER}:capture", CARD_AUTHORIZED.reference, TOTAL)
    assert last_emitted(PAYMENTS, TO_CAPTURED) == payments.PaymentCaptured(order_id=ORDER, amount=TOTAL)


def test_a_refused_capture_is_a_failure_of_the_payment_not_a_decline() -> None:
    failed = last_emitted(PAYMENTS, [*TO_AUTHORIZED, CONFIRMED, CARD_CAPTURE_REFUSED])
    assert failed == payments.PaymentFailed(order_id=ORDER, detail=CARD_CAPTURE_REFUSED.detail)


# voids and refunds


def test_a_cancelled_order_that_was_never_authorised_costs_nothing() -> None:
    for before in ([], [PLACED], [RESERVED]):
        assert emitted(PAYMENTS, [*before, CANCELLED]) == []
        assert state_after(PAYMENTS, [*before, CANCELLED]).status is PaymentStatus.DROPPED


@pytest.mark.parametrize("late", [[PLACED, RESERVED], [RESERVED, PLACED], [PLACED], [RESERVED]])
def test_a_tombstone_swallows_whatever_comes_later(late: list[Any]) -> None:
    assert emitted(PAYMENTS, [CANCELLED, *late]) == []


def test_an_authorisation_of_a_cancelled_order_is_voided() -> None:
    assert emitted(PAYMENTS, [*TO_AUTHORIZED, CANCELLED])[-1] == "Void"
    question = last_emitted(PAYMENTS, [*TO_AUTHORIZED, CANCELLED, VOID])
    assert question == card.VoidAuthorization(
        f"{ORDER}:void", CARD_AUTHORIZED.reference, f"{ORDER}:authorize"
    )
    assert emitted(PAYMENTS, [*TO_AUTHORIZED, CANCELLED, CARD_VOIDED])[-1] == "PaymentVoided"


def test_a_cancellation_while_the_provider_thinks_is_done_when_it_has_answered() -> None:
    assert emitted(PAYMENTS, [PLACED, RESERVED, CANCELLED]) == ["Authorize"]
    assert emitted(PAYMENTS, [PLACED, RESERVED, CANCELLED, CARD_AUTHORIZED]) == ["Authorize", "Void"]
    assert emitted(PAYMENTS, [PLACED, RESERVED, CANCELLED, CARD_DECLINED]) == ["Authorize", "PaymentDeclined"]


def test_what_was_taken_is_given_back() -> None:
    assert emitted(PAYMENTS, [*TO_CAPTURED, CANCELLED])[-1] == "Refund"
    question = last_emitted(PAYMENTS, [*TO_CAPTURED, CANCELLED, REFUND])
    assert question == card.RefundAmount(f"{ORDER}:refund", CARD_CAPTURED.reference, TOTAL)
    refunded = last_emitted(PAYMENTS, [*TO_CAPTURED, CANCELLED, CARD_REFUNDED])
    assert refunded == payments.PaymentRefunded(order_id=ORDER, customer_id=PLACED.customer_id, amount=TOTAL)


def test_a_cancellation_during_the_capture_waits_for_it_and_then_refunds() -> None:
    during = [*TO_AUTHORIZED, CONFIRMED, CANCELLED]
    assert emitted(PAYMENTS, [*during, CARD_CAPTURED])[-2:] == ["PaymentCaptured", "Refund"]


def test_what_is_still_set_aside_after_a_refused_capture_is_voided_when_the_order_is_cancelled() -> None:
    refused = [*TO_AUTHORIZED, CONFIRMED, CARD_CAPTURE_REFUSED, CANCELLED]
    assert emitted(PAYMENTS, refused)[-2:] == ["PaymentFailed", "Void"]
    cancelled_first = [*TO_AUTHORIZED, CONFIRMED, CANCELLED, CARD_CAPTURE_REFUSED]
    # no failure: staff need not check anything
    assert emitted(PAYMENTS, cancelled_first)[-2:] == [
        "Capture",
        "Void",
    ]
    for history in (refused, cancelled_first):
        question = last_emitted(PAYMENTS, [*history, VOID])
        assert question == card.VoidAuthorization(
            f"{ORDER}:void", CARD_AUTHORIZED.reference, f"{ORDER}:authorize"
        )
        assert state_after(PAYMENTS, [*history, CARD_VOIDED]).status is PaymentStatus.VOIDED


def test_a_cancellation_that_overtakes_the_confirmation_captures_nothing() -> None:
    overtaken = [*TO_AUTHORIZED, CANCELLED, CONFIRMED]
    assert emitted(PAYMENTS, [*overtaken, CARD_VOIDED]) == [
        "Authorize",
        "PaymentAuthorized",
        "Void",
        "PaymentVoided",
    ]
    assert emitted(PAYMENTS, [*TO_AUTHORIZED, CANCELLED, CARD_VOIDED, CONFIRMED])[-1] == "PaymentVoided"


@pytest.mark.parametrize("end", [CARD_DECLINED, CARD_NEVER_AUTHORIZED])
def test_where_nothing_was_set_aside_there_is_nothing_to_give_back(end: Any) -> None:
    history = [PLACED, RESERVED, end]
    assert emitted(PAYMENTS, [*history, CANCELLED]) == emitted(PAYMENTS, history)


@pytest.mark.parametrize("meanwhile", [[], [CANCELLED]])
def test_what_was_never_authorised_is_no_decline_and_the_payment_is_dropped(meanwhile: list[Any]) -> None:
    """An order that still waits is ended by its deadline."""
    history = [PLACED, RESERVED, *meanwhile, CARD_NEVER_AUTHORIZED]
    assert emitted(PAYMENTS, history) == ["Authorize"]
    assert state_after(PAYMENTS, history).status is PaymentStatus.DROPPED


# repeated requests and results


@pytest.mark.parametrize(
    ("history", "again"),
    [
        (TO_AUTHORIZED, [AUTHORIZE, CARD_AUTHORIZED, CARD_DECLINED]),
        ([PLACED, RESERVED, CARD_DECLINED], [AUTHORIZE, CARD_DECLINED]),
        ([*TO_AUTHORIZED, CONFIRMED], [AUTHORIZE, CARD_AUTHORIZED]),
        (TO_CAPTURED, [AUTHORIZE, CAPTURE, CARD_CAPTURED, CARD_CAPTURE_REFUSED]),
        ([*TO_AUTHORIZED, CANCELLED, CARD_VOIDED], [AUTHORIZE, CARD_NEVER_AUTHORIZED, VOID, CARD_VOIDED]),
        ([*TO_AUTHORIZED, CONFIRMED, CARD_CAPTURE_REFUSED, CANCELLED], [CAPTURE, CARD_CAPTURE_REFUSED]),
        ([*TO_CAPTURED, CANCELLED], [AUTHORIZE, CAPTURE, CARD_CAPTURED]),
        ([*TO_CAPTURED, CANCELLED, CARD_REFUNDED], [CAPTURE, REFUND, CARD_REFUNDED]),
    ],
)
def test_an_effect_that_is_over_is_not_asked_again(history: list[Any], again: list[Any]) -> None:
    for message in again:
        assert emitted(PAYMENTS, [*history, message]) == emitted(PAYMENTS, history)
        assert state_after(PAYMENTS, [*history, message]) == state_after(PAYMENTS, history)


@pytest.mark.parametrize("effect", [AUTHORIZE, CAPTURE, VOID, REFUND])
def test_asking_again_while_the_provider_is_silent_uses_the_same_key(effect: Any) -> None:
    ways = {
        "Authorize": [PLACED, RESERVED],
        "Capture": [*TO_AUTHORIZED, CONFIRMED],
        "Void": [*TO_AUTHORIZED, CANCELLED],
        "Refund": [*TO_CAPTURED, CANCELLED],
    }
    history = ways[type(effect).__name__]
    assert last_emitted(PAYMENTS, [*history, effect]) == last_emitted(PAYMENTS, [*history, effect, effect])
    assert state_after(PAYMENTS, [*history, effect, effect]) == state_after(PAYMENTS, history)


def test_a_refund_before_the_capture_is_recorded_is_out_of_turn_and_waits_on_the_ladder() -> None:
    for history in ([*TO_AUTHORIZED, CONFIRMED], TO_AUTHORIZED):
        with pytest.raises(OutOfTurn):
            emitted(PAYMENTS, [*history, REFUND])


@pytest.mark.parametrize(
    "message", [CONFIRMED, AUTHORIZE, CAPTURE, VOID, REFUND, CARD_AUTHORIZED, CARD_CAPTURED]
)
def test_money_is_never_touched_for_an_order_nobody_placed(message: Any) -> None:
    with pytest.raises(OutOfTurn):
        emitted(PAYMENTS, [message])
