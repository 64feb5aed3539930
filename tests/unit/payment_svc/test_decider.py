"""Given-when-then tests of every rule of payment_svc's decider."""

from typing import Any

import pytest

from chassis.core.decision import OutOfTurn
from contracts import payments
from contracts.http.payments import PaymentStatus
from contracts.payments import DeclineReason
from payment_svc import payment as card
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
    FREE,
    ORDER,
    PLACED,
    PLACED_FREE,
    REFUND,
    RESERVED,
    TOTAL,
    VOID,
)
from tests.unit.payment_svc.decision_tables import PAYMENTS

TO_AUTHORIZED: list[Any] = [PLACED, RESERVED, CARD_AUTHORIZED]
TO_CAPTURED: list[Any] = [*TO_AUTHORIZED, CONFIRMED, CARD_CAPTURED]


@pytest.mark.parametrize("join", [[PLACED, RESERVED], [RESERVED, PLACED]])
def test_authorization_needs_order_and_goods_in_any_order(join: list[Any]) -> None:
    assert emitted(PAYMENTS, join) == ["Authorize"]
    card_request = last_emitted(PAYMENTS, [*join, AUTHORIZE])
    assert card_request == card.AuthorizeCard(f"{ORDER}:authorize", ORDER, TOTAL, PLACED.card_token)


@pytest.mark.parametrize("alone", [PLACED, RESERVED])
def test_an_incomplete_join_requests_nothing(alone: Any) -> None:
    assert emitted(PAYMENTS, [alone]) == []


def test_an_authorization_emits_its_amount() -> None:
    assert last_emitted(PAYMENTS, TO_AUTHORIZED) == payments.PaymentAuthorized(order_id=ORDER, amount=TOTAL)


def test_a_decline_emits_its_reason() -> None:
    declined = last_emitted(PAYMENTS, [PLACED, RESERVED, CARD_DECLINED])
    assert declined == payments.PaymentDeclined(order_id=ORDER, reason=DeclineReason.INSUFFICIENT_FUNDS)


def test_a_confirmed_order_captures_the_full_authorization() -> None:
    card_request = last_emitted(PAYMENTS, [*TO_AUTHORIZED, CONFIRMED, CAPTURE])
    assert card_request == card.CaptureAmount(f"{ORDER}:capture", CARD_AUTHORIZED.reference, TOTAL)
    assert last_emitted(PAYMENTS, TO_CAPTURED) == payments.PaymentCaptured(order_id=ORDER, amount=TOTAL)


def test_a_refused_capture_is_a_payment_failure() -> None:
    failed = last_emitted(PAYMENTS, [*TO_AUTHORIZED, CONFIRMED, CARD_CAPTURE_REFUSED])
    assert failed == payments.PaymentFailed(order_id=ORDER, detail=CARD_CAPTURE_REFUSED.detail)


# a total of zero


@pytest.mark.parametrize("join", [[PLACED_FREE, RESERVED], [RESERVED, PLACED_FREE]])
def test_a_free_order_needs_no_card(join: list[Any]) -> None:
    nothing = payments.PaymentAuthorized(order_id=ORDER, amount=FREE)
    assert last_emitted(PAYMENTS, join) == nothing
    assert emitted(PAYMENTS, [*join, CONFIRMED]) == ["PaymentAuthorized", "PaymentCaptured"]


def test_a_free_order_waits_for_its_goods() -> None:
    assert emitted(PAYMENTS, [PLACED_FREE]) == []


@pytest.mark.parametrize(
    ("then", "news"),
    [
        ([CANCELLED], ["PaymentVoided"]),
        ([CONFIRMED, CANCELLED], ["PaymentCaptured", "PaymentVoided"]),
        ([CANCELLED, CONFIRMED], ["PaymentVoided"]),
    ],
    ids=["before", "after", "overtaking the confirmation"],
)
def test_a_cancelled_free_order_refunds_nothing(then: list[Any], news: list[str]) -> None:
    assert emitted(PAYMENTS, [PLACED_FREE, RESERVED, *then]) == ["PaymentAuthorized", *news]
    assert state_after(PAYMENTS, [PLACED_FREE, RESERVED, *then]).status is PaymentStatus.VOIDED


# voids and refunds


def test_a_cancelled_order_that_was_never_authorised_costs_nothing() -> None:
    for before in ([], [PLACED], [RESERVED]):
        assert emitted(PAYMENTS, [*before, CANCELLED]) == []
        assert state_after(PAYMENTS, [*before, CANCELLED]).status is PaymentStatus.DROPPED


@pytest.mark.parametrize("late", [[PLACED, RESERVED], [RESERVED, PLACED], [PLACED], [RESERVED]])
def test_a_tombstone_ignores_later_messages(late: list[Any]) -> None:
    assert emitted(PAYMENTS, [CANCELLED, *late]) == []


def test_an_authorisation_of_a_cancelled_order_is_voided() -> None:
    assert emitted(PAYMENTS, [*TO_AUTHORIZED, CANCELLED])[-1] == "Void"
    card_request = last_emitted(PAYMENTS, [*TO_AUTHORIZED, CANCELLED, VOID])
    assert card_request == card.VoidAuthorization(
        f"{ORDER}:void", CARD_AUTHORIZED.reference, f"{ORDER}:authorize"
    )
    assert emitted(PAYMENTS, [*TO_AUTHORIZED, CANCELLED, CARD_VOIDED])[-1] == "PaymentVoided"


def test_a_cancellation_during_authorization_waits_for_the_response() -> None:
    assert emitted(PAYMENTS, [PLACED, RESERVED, CANCELLED]) == ["Authorize"]
    assert emitted(PAYMENTS, [PLACED, RESERVED, CANCELLED, CARD_AUTHORIZED]) == ["Authorize", "Void"]
    assert emitted(PAYMENTS, [PLACED, RESERVED, CANCELLED, CARD_DECLINED]) == ["Authorize", "PaymentDeclined"]


def test_captured_money_is_refunded() -> None:
    assert emitted(PAYMENTS, [*TO_CAPTURED, CANCELLED])[-1] == "Refund"
    card_request = last_emitted(PAYMENTS, [*TO_CAPTURED, CANCELLED, REFUND])
    assert card_request == card.RefundAmount(f"{ORDER}:refund", CARD_CAPTURED.reference, TOTAL)
    refunded = last_emitted(PAYMENTS, [*TO_CAPTURED, CANCELLED, CARD_REFUNDED])
    assert refunded == payments.PaymentRefunded(order_id=ORDER, customer_id=PLACED.customer_id, amount=TOTAL)


def test_a_cancellation_during_capture_waits_and_refunds() -> None:
    during = [*TO_AUTHORIZED, CONFIRMED, CANCELLED]
    assert emitted(PAYMENTS, [*during, CARD_CAPTURED])[-2:] == ["PaymentCaptured", "Refund"]


def test_cancellation_after_a_refused_capture_voids_the_authorization() -> None:
    refused = [*TO_AUTHORIZED, CONFIRMED, CARD_CAPTURE_REFUSED, CANCELLED]
    assert emitted(PAYMENTS, refused)[-2:] == ["PaymentFailed", "Void"]
    cancelled_first = [*TO_AUTHORIZED, CONFIRMED, CANCELLED, CARD_CAPTURE_REFUSED]
    # no failure: staff need not check anything
    assert emitted(PAYMENTS, cancelled_first)[-2:] == [
        "Capture",
        "Void",
    ]
    for history in (refused, cancelled_first):
        card_request = last_emitted(PAYMENTS, [*history, VOID])
        assert card_request == card.VoidAuthorization(
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
def test_without_an_authorization_nothing_is_voided(end: Any) -> None:
    history = [PLACED, RESERVED, end]
    assert emitted(PAYMENTS, [*history, CANCELLED]) == emitted(PAYMENTS, history)


@pytest.mark.parametrize("meanwhile", [[], [CANCELLED]])
def test_an_authorization_never_made_drops_the_payment(meanwhile: list[Any]) -> None:
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
def test_a_finished_effect_is_not_requested_again(history: list[Any], again: list[Any]) -> None:
    for message in again:
        assert emitted(PAYMENTS, [*history, message]) == emitted(PAYMENTS, history)
        assert state_after(PAYMENTS, [*history, message]) == state_after(PAYMENTS, history)


@pytest.mark.parametrize("effect", [AUTHORIZE, CAPTURE, VOID, REFUND])
def test_retries_during_a_provider_outage_use_the_same_key(effect: Any) -> None:
    ways = {
        "Authorize": [PLACED, RESERVED],
        "Capture": [*TO_AUTHORIZED, CONFIRMED],
        "Void": [*TO_AUTHORIZED, CANCELLED],
        "Refund": [*TO_CAPTURED, CANCELLED],
    }
    history = ways[type(effect).__name__]
    assert last_emitted(PAYMENTS, [*history, effect]) == last_emitted(PAYMENTS, [*history, effect, effect])
    assert state_after(PAYMENTS, [*history, effect, effect]) == state_after(PAYMENTS, history)


def test_a_refund_before_the_recorded_capture_is_retried() -> None:
    for history in ([*TO_AUTHORIZED, CONFIRMED], TO_AUTHORIZED):
        with pytest.raises(OutOfTurn):
            emitted(PAYMENTS, [*history, REFUND])


@pytest.mark.parametrize(
    "message", [CONFIRMED, AUTHORIZE, CAPTURE, VOID, REFUND, CARD_AUTHORIZED, CARD_CAPTURED]
)
def test_an_unplaced_order_moves_no_money(message: Any) -> None:
    with pytest.raises(OutOfTurn):
        emitted(PAYMENTS, [message])
