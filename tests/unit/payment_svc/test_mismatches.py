"""Given-when-then tests of a card provider whose results differ from the request, for every operation."""

from collections.abc import Callable
from typing import Any

import pytest

from chassis.core.codec import Codec
from chassis.core.decision import Context
from contracts import payments
from contracts.http.payments import PaymentStatus
from contracts.payments import DeclineReason, Effect
from contracts.values import Money
from payment_svc import payment as card
from payment_svc.payment import Payment
from tests.support.given_when_then import emitted, last_emitted, state_after
from tests.support.messages import (
    AUTHORIZE,
    CANCELLED,
    CAPTURE,
    CARD_AUTHORIZED,
    CARD_CAPTURED,
    CARD_REFUNDED,
    CARD_VOIDED,
    CONFIRMED,
    HALF,
    ORDER,
    PLACED,
    POUNDS,
    REFUND,
    RESERVED,
    TOTAL,
    VOID,
)
from tests.unit.payment_svc.decision_tables import PAYMENTS

MORE = Money(amount_minor=TOTAL.amount_minor + 1, currency=TOTAL.currency)
OTHER_AMOUNTS = [HALF, MORE, POUNDS]
REFERENCE = CARD_AUTHORIZED.reference

TO_AUTHORIZING: list[Any] = [PLACED, RESERVED]
TO_AUTHORIZED: list[Any] = [*TO_AUTHORIZING, CARD_AUTHORIZED]
TO_CAPTURING: list[Any] = [*TO_AUTHORIZED, CONFIRMED]
TO_VOIDING: list[Any] = [*TO_AUTHORIZED, CANCELLED]
TO_REFUNDING: list[Any] = [*TO_CAPTURING, CARD_CAPTURED, CANCELLED]


def unusable(effect: str) -> card.UnusableResponse:
    return card.UnusableResponse(f"{ORDER}:{effect}", "the card provider answers about another transaction")


# before the pivot: decline and void


@pytest.mark.parametrize("amount", OTHER_AMOUNTS, ids=str)
@pytest.mark.parametrize("before", [[PLACED, RESERVED], [RESERVED, PLACED]])
def test_an_authorisation_of_another_amount_is_declined_and_voided(before: list[Any], amount: Money) -> None:
    history = [*before, card.Authorized("ref-9", amount)]
    assert emitted(PAYMENTS, history)[-2:] == ["PaymentDeclined", "Void"]
    card_request = last_emitted(PAYMENTS, [*history, VOID])
    assert card_request == card.VoidAuthorization(f"{ORDER}:void", "ref-9", f"{ORDER}:authorize")
    payment = state_after(PAYMENTS, history)
    assert (payment.status, payment.authorized) == (PaymentStatus.VOIDING, amount)
    assert str(amount) in payment.detail and str(TOTAL) in payment.detail


def test_the_decline_names_both_amounts_for_staff() -> None:
    decision = PAYMENTS.aggregate.decide(
        state_after(PAYMENTS, TO_AUTHORIZING), card.Authorized("ref-9", HALF), Context()
    )
    declined = decision.emits[0]  # type: ignore[union-attr]
    assert declined == payments.PaymentDeclined(
        order_id=ORDER,
        reason=DeclineReason.PROVIDER_MISMATCH,
        detail="asked to authorise 64.00 EUR, the card provider answers 32.00 EUR",
    )


def test_a_void_must_match_the_amount_actually_authorized() -> None:
    voiding = [*TO_AUTHORIZING, card.Authorized("ref-9", HALF)]
    assert state_after(PAYMENTS, [*voiding, card.Voided("ref-9", HALF)]).status is PaymentStatus.VOIDED
    assert (
        state_after(PAYMENTS, [*voiding, card.Voided("ref-9", TOTAL)]).status
        is PaymentStatus.NEEDS_RECONCILIATION
    )


def test_an_unusable_response_is_declined_and_voided_by_key() -> None:
    """The reference in it could belong to another customer's payment."""
    history = [*TO_AUTHORIZING, unusable("authorize")]
    assert emitted(PAYMENTS, history)[-2:] == ["PaymentDeclined", "Void"]
    card_request = last_emitted(PAYMENTS, [*history, VOID])
    assert card_request == card.VoidAuthorization(f"{ORDER}:void", "", f"{ORDER}:authorize")
    assert state_after(PAYMENTS, [*history, card.Voided("sim:x", HALF)]).status is PaymentStatus.VOIDED


@pytest.mark.parametrize("result", [card.Authorized("ref-9", HALF), unusable("authorize")])
def test_cancellation_before_or_after_an_unusable_response_is_equivalent(result: Any) -> None:
    before, after = [*TO_AUTHORIZING, CANCELLED, result], [*TO_AUTHORIZING, result, CANCELLED]
    voided = card.Voided("ref-9", HALF)
    for history in (before, after):
        assert emitted(PAYMENTS, [*history, voided]) == [
            "Authorize",
            "PaymentDeclined",
            "Void",
            "PaymentVoided",
        ]
    assert emitted(PAYMENTS, [*after[:-1], voided, CANCELLED])[-1] == "PaymentVoided"


# after the pivot: no more money moves until staff have compared the ledgers


def _other(response: Callable[[str, Money], object]) -> list[object]:
    """Responses that differ from what was requested, in amount or reference."""
    return [*(response(REFERENCE, amount) for amount in OTHER_AMOUNTS), response("ref-9", TOTAL)]


_OTHERWISE = [
    pytest.param(TO_CAPTURING, result, Effect.CAPTURE, id=f"capture {result}")
    for result in _other(card.Captured)
] + [
    pytest.param(TO_VOIDING, result, Effect.VOID, id=f"void {result}")
    for result in _other(card.Voided)
] + [
    pytest.param(TO_REFUNDING, result, Effect.REFUND, id=f"refund {result}")
    for result in _other(card.Refunded)
] + [
    pytest.param(TO_CAPTURING, unusable("capture"), Effect.CAPTURE, id="capture unusable"),
    pytest.param(TO_VOIDING, unusable("void"), Effect.VOID, id="void unusable"),
    pytest.param(TO_REFUNDING, unusable("refund"), Effect.REFUND, id="refund unusable"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "result", "effect"), _OTHERWISE)
def test_unexpected_money_movements_are_reported_and_left_to_staff(
    before: list[Any], result: Any, effect: Effect
) -> None:
    event = last_emitted(PAYMENTS, [*before, result])
    assert (event.effect, event.order_id) == (effect, ORDER)
    payment = state_after(PAYMENTS, [*before, result])
    assert payment.status is PaymentStatus.NEEDS_RECONCILIATION
    assert event.detail == payment.detail != ""
    for later in (
        AUTHORIZE,
        CAPTURE,
        VOID,
        REFUND,
        CARD_CAPTURED,
        CARD_VOIDED,
        CARD_REFUNDED,
        CONFIRMED,
        CANCELLED,
    ):
        assert emitted(PAYMENTS, [*before, result, later]) == emitted(PAYMENTS, [*before, result])


def test_cancellation_before_or_after_a_wrong_capture_is_equivalent() -> None:
    differs = card.Captured(REFERENCE, HALF)
    before, after = [*TO_CAPTURING, CANCELLED, differs], [*TO_CAPTURING, differs, CANCELLED]
    assert emitted(PAYMENTS, before) == emitted(PAYMENTS, after)
    assert state_after(PAYMENTS, before) == state_after(PAYMENTS, after)


@pytest.mark.parametrize(
    ("history", "late"),
    [
        (TO_CAPTURING, unusable("authorize")),
        (TO_VOIDING, unusable("authorize")),
        ([*TO_CAPTURING, CARD_CAPTURED], unusable("capture")),
        ([*TO_VOIDING, CARD_VOIDED], unusable("void")),
        ([*TO_REFUNDING, CARD_REFUNDED], unusable("refund")),
        (TO_REFUNDING, unusable("capture")),
    ],
)
def test_an_unusable_response_to_an_older_request_changes_nothing(history: list[Any], late: Any) -> None:
    assert state_after(PAYMENTS, [*history, late]) == state_after(PAYMENTS, history)


# documents of an earlier version


@pytest.mark.parametrize("status", ["authorized", "capturing", "voiding", "refunding"])
def test_a_payment_of_an_older_version_continues(status: str) -> None:
    codec = Codec(Payment)
    stored = codec.dump(state_after(PAYMENTS, TO_AUTHORIZED)) | {"status": status}
    for new in ("authorized", "detail"):
        del stored[new]
    payment = codec.load(stored)
    responses = {"capturing": CARD_CAPTURED, "voiding": CARD_VOIDED, "refunding": CARD_REFUNDED}
    decision = PAYMENTS.aggregate.decide(payment, responses.get(status, CONFIRMED), Context())
    assert decision.state.status not in (status, PaymentStatus.NEEDS_RECONCILIATION)  # type: ignore[union-attr]


def test_a_decline_of_an_older_version_is_read() -> None:
    old = b'{"order_id":"%s","reason":"refused"}' % str(ORDER).encode()
    assert payments.PaymentDeclined.model_validate_json(old).detail == ""
