"""Given-when-then tests of what staff decide about a payment that no rule can continue.

Long because each decision is tested in both orders of arrival.
"""

from typing import Any

import pytest

from chassis.core.codec import Codec
from chassis.core.decision import Context, Decision, OutOfTurn
from contracts import payments
from contracts.http.payments import Hold, PaymentStatus
from contracts.payments import Effect, SettlementReason
from contracts.values import Money
from payment_svc import payment as card
from payment_svc.payment import Payment
from payment_svc.resolution import recall
from tests.support.given_when_then import emitted, last_emitted, state_after
from tests.support.messages import (
    CANCELLED,
    CAPTURE,
    CARD_AUTHORIZED,
    CARD_CAPTURE_REFUSED,
    CARD_CAPTURED,
    CARD_CAPTURED_HALF,
    CARD_NOT_REFUNDED,
    CARD_NOT_VOIDED,
    CARD_REFUNDED,
    CARD_VOIDED,
    CARD_VOIDED_HALF,
    CONFIRMED,
    CUSTOMER,
    FREE,
    HALF,
    ORDER,
    PAID_OUTSIDE,
    PLACED,
    POUNDS,
    REFUND,
    RELEASED_OUTSIDE,
    RESERVED,
    RESOLVED,
    RETRY,
    RETURNED_OUTSIDE,
    SETTLE,
    SETTLE_RELEASED,
    SETTLE_RETURNED,
    STAFF,
    TOTAL,
    VOID,
    WRITTEN_OFF,
)
from tests.unit.payment_svc.decision_tables import PAYMENTS

REFERENCE = CARD_AUTHORIZED.reference
TO_AUTHORIZED: list[Any] = [PLACED, RESERVED, CARD_AUTHORIZED]
TO_FAILED: list[Any] = [*TO_AUTHORIZED, CONFIRMED, CARD_CAPTURE_REFUSED]
TO_MISMATCHED: list[Any] = [*TO_AUTHORIZED, CONFIRMED, CARD_CAPTURED_HALF]
NOT_VOIDED: list[Any] = [*TO_AUTHORIZED, CANCELLED, CARD_NOT_VOIDED]
NOT_REFUNDED: list[Any] = [*TO_AUTHORIZED, CONFIRMED, CARD_CAPTURED, CANCELLED, CARD_NOT_REFUNDED]


def settling(reason: SettlementReason, amount: Money = TOTAL) -> payments.SettlePayment:
    settlement = payments.Settlement(reason=reason, amount=amount, reference="BANK-815")
    return payments.SettlePayment(order_id=ORDER, staff_id=STAFF, settlement=settlement)


def at(command: Any, attempt: int) -> Any:
    return command.model_copy(update={"attempt": attempt})


# repeating a request


def test_a_failed_capture_is_repeated_under_a_new_key() -> None:
    card_request = last_emitted(PAYMENTS, [*TO_FAILED, RETRY, at(CAPTURE, 1)])
    assert card_request == card.CaptureAmount(f"{ORDER}:capture:1", REFERENCE, TOTAL)
    second = [*TO_FAILED, RETRY, CARD_CAPTURE_REFUSED, RETRY, at(CAPTURE, 2)]
    assert last_emitted(PAYMENTS, second).key == f"{ORDER}:capture:2"


def test_a_repeated_capture_that_succeeds_resolves_the_payment() -> None:
    history = [*TO_FAILED, RETRY, CARD_CAPTURED]
    assert emitted(PAYMENTS, history)[-3:] == ["Capture", "PaymentCaptured", "PaymentResolved"]
    assert last_emitted(PAYMENTS, history) == payments.PaymentResolved(
        order_id=ORDER, effect=Effect.CAPTURE, attempt=1
    )
    assert state_after(PAYMENTS, history).status is PaymentStatus.CAPTURED


def test_a_repeated_capture_that_is_refused_fails_again() -> None:
    failed = last_emitted(PAYMENTS, [*TO_FAILED, RETRY, CARD_CAPTURE_REFUSED])
    assert failed == payments.PaymentFailed(order_id=ORDER, detail=CARD_CAPTURE_REFUSED.detail, attempt=1)


@pytest.mark.parametrize(
    ("before", "command", "request_", "result", "ends"),
    [
        (
            NOT_VOIDED,
            VOID,
            card.VoidAuthorization(f"{ORDER}:void:1", REFERENCE, f"{ORDER}:authorize"),
            CARD_VOIDED,
            "PaymentVoided",
        ),
        (
            NOT_REFUNDED,
            REFUND,
            card.RefundAmount(f"{ORDER}:refund:1", REFERENCE, TOTAL),
            CARD_REFUNDED,
            "PaymentRefunded",
        ),
    ],
    ids=["void", "refund"],
)
def test_an_unanswered_undoing_is_repeated_under_a_new_key(
    before: list[Any], command: Any, request_: Any, result: Any, ends: str
) -> None:
    assert state_after(PAYMENTS, before).status is PaymentStatus.NEEDS_RECONCILIATION
    assert last_emitted(PAYMENTS, [*before, RETRY, at(command, 1)]) == request_
    assert emitted(PAYMENTS, [*before, RETRY, result])[-2:] == [ends, "PaymentResolved"]


def test_a_refund_after_a_repeated_capture_has_its_usual_key() -> None:
    history = [*TO_FAILED, RETRY, CARD_CAPTURED, CANCELLED, REFUND]
    assert last_emitted(PAYMENTS, history).key == f"{ORDER}:refund"


@pytest.mark.parametrize(
    "history",
    [
        TO_AUTHORIZED,
        [*TO_AUTHORIZED, CONFIRMED],
        [*TO_AUTHORIZED, CONFIRMED, CARD_CAPTURED],
        [*TO_FAILED, RETRY],
        TO_MISMATCHED,
        [PLACED, RESERVED, CONFIRMED, card.NeverAuthorized()],
    ],
)
def test_what_may_have_had_an_effect_is_not_repeated(history: list[Any]) -> None:
    refused = last_emitted(PAYMENTS, [*history, RETRY])
    assert isinstance(refused, payments.ResolutionRefused) and refused.detail.startswith("not repeated: ")
    assert state_after(PAYMENTS, [*history, RETRY]) == state_after(PAYMENTS, history)


@pytest.mark.parametrize("command", [RETRY, SETTLE])
def test_an_unknown_payment_cannot_be_resolved(command: Any) -> None:
    with pytest.raises(OutOfTurn):
        emitted(PAYMENTS, [command])


def test_a_copy_of_the_first_command_does_not_request_anything() -> None:
    """Its time would decide whether the repeated request may still be sent."""
    assert emitted(PAYMENTS, [*TO_FAILED, RETRY, CAPTURE]) == emitted(PAYMENTS, [*TO_FAILED, RETRY])


def test_an_older_result_does_not_end_the_repeated_void() -> None:
    history = [*NOT_VOIDED, RETRY, CARD_NOT_VOIDED]
    assert state_after(PAYMENTS, history).status is PaymentStatus.VOIDING


@pytest.mark.parametrize("history", [NOT_VOIDED, NOT_REFUNDED, [*TO_FAILED, SETTLE, CARD_NOT_VOIDED]])
def test_an_unanswered_request_names_a_remedy_that_works(history: list[Any]) -> None:
    detail = state_after(PAYMENTS, history).detail
    repeated = last_emitted(PAYMENTS, [*history, RETRY])
    assert ("have it repeated" in detail) == (not isinstance(repeated, payments.ResolutionRefused))
    settled = last_emitted(
        PAYMENTS, [*history, SETTLE_RETURNED if history is NOT_REFUNDED else SETTLE_RELEASED]
    )
    assert "mark it as settled" in detail and isinstance(settled, payments.PaymentResolved)


# both orders of arrival: a repeated capture, and a cancellation


def test_a_cancellation_during_a_repeated_capture_refunds_it() -> None:
    history = [*TO_FAILED, RETRY, CANCELLED, CARD_CAPTURED]
    assert emitted(PAYMENTS, history)[-3:] == ["PaymentCaptured", "PaymentResolved", "Refund"]


def test_a_cancellation_before_the_retry_voids_and_refuses_it() -> None:
    history = [*TO_FAILED, CANCELLED, RETRY]
    assert emitted(PAYMENTS, history)[-2:] == ["Void", "ResolutionRefused"]
    assert state_after(PAYMENTS, [*history, CARD_VOIDED]).status is PaymentStatus.VOIDED


# settling outside


@pytest.mark.parametrize("reason", [SettlementReason.PAID, SettlementReason.WRITTEN_OFF])
@pytest.mark.parametrize("before", [TO_FAILED, TO_MISMATCHED, [*TO_FAILED, RETRY, CARD_CAPTURE_REFUSED]])
def test_a_settled_payment_counts_as_captured(before: list[Any], reason: SettlementReason) -> None:
    command = settling(reason)
    payment = state_after(PAYMENTS, [*before, command])
    assert payment.status is PaymentStatus.CAPTURED
    assert payment.settlements == (command.settlement,)
    resolved = last_emitted(PAYMENTS, [*before, command])
    assert (resolved.settlement, resolved.staff_id) == (command.settlement, STAFF)
    assert (resolved.effect, resolved.attempt) == (Effect.CAPTURE, before.count(RETRY))


@pytest.mark.parametrize("later", [[], [CANCELLED], [CANCELLED, SETTLE_RETURNED]])
def test_a_settlement_of_a_failed_capture_releases_the_card(later: list[Any]) -> None:
    history = [*TO_FAILED, SETTLE]
    assert emitted(PAYMENTS, history)[-2:] == ["Void", "PaymentResolved"]
    request = card.VoidAuthorization(f"{ORDER}:void", REFERENCE, f"{ORDER}:authorize")
    assert last_emitted(PAYMENTS, [*history, *later, VOID]) == request
    before = state_after(PAYMENTS, [*history, *later])
    after = state_after(PAYMENTS, [*history, *later, CARD_VOIDED])
    assert (after.status, after.settlements, after.hold) == (before.status, before.settlements, None)
    assert emitted(PAYMENTS, [*TO_MISMATCHED, SETTLE])[-1:] == ["PaymentResolved"]


@pytest.mark.parametrize("later", [[], [CANCELLED, SETTLE_RETURNED]])
@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (CARD_VOIDED_HALF, "asked to void 64.00 EUR, the card provider answers"),
        (CARD_NOT_VOIDED, CARD_NOT_VOIDED.detail),
        (card.UnusableResponse(f"{ORDER}:void", "no amount"), "no amount"),
    ],
    ids=["half", "unanswered", "unusable"],
)
def test_a_differing_release_after_a_settlement_is_shown(
    later: list[Any], result: Any, expected: str
) -> None:
    history = [*TO_FAILED, SETTLE, *later]
    payment = state_after(PAYMENTS, [*history, result])
    assert payment.status is state_after(PAYMENTS, history).status
    assert expected in payment.detail and payment.hold is Hold.UNCLEAR


# after a release that differs, or has no answer
UNCLEAR: list[Any] = [*TO_FAILED, SETTLE, CARD_NOT_VOIDED]


def test_a_release_that_succeeds_needs_no_staff() -> None:
    assert state_after(PAYMENTS, [*TO_FAILED, SETTLE]).hold is Hold.RELEASING
    assert state_after(PAYMENTS, [*TO_FAILED, SETTLE, CARD_VOIDED]).hold is None
    assert state_after(PAYMENTS, TO_FAILED).hold is None


def test_an_unclear_release_is_kept_beside_the_refund() -> None:
    payment = state_after(PAYMENTS, [*TO_FAILED, SETTLE, CANCELLED, CARD_NOT_VOIDED])
    assert payment.status is PaymentStatus.NEEDS_RECONCILIATION and payment.unclear is Effect.REFUND
    assert payment.hold is Hold.UNCLEAR
    assert "is cancelled after its payment was settled" in payment.detail
    assert CARD_NOT_VOIDED.detail in payment.detail


def test_what_was_written_off_is_released_after_the_cancellation() -> None:
    history = [*TO_FAILED, settling(SettlementReason.WRITTEN_OFF), CANCELLED]
    request = card.VoidAuthorization(f"{ORDER}:void", REFERENCE, f"{ORDER}:authorize")
    assert last_emitted(PAYMENTS, [*history, VOID]) == request


@pytest.mark.parametrize("later", [[], [CANCELLED, SETTLE_RETURNED]])
def test_staff_settle_an_unclear_release(later: list[Any]) -> None:
    before = state_after(PAYMENTS, [*UNCLEAR, *later])
    after = state_after(PAYMENTS, [*UNCLEAR, *later, SETTLE_RELEASED])
    assert (after.status, after.hold) == (before.status, None)
    assert after.settlements == (*before.settlements, RELEASED_OUTSIDE)
    resolved = last_emitted(PAYMENTS, [*UNCLEAR, *later, SETTLE_RELEASED])
    assert isinstance(resolved, payments.PaymentResolved)
    assert (resolved.effect, resolved.settlement) == (Effect.VOID, RELEASED_OUTSIDE)
    assert emitted(PAYMENTS, [*UNCLEAR, *later, SETTLE_RELEASED])[-2:] != [
        "PaymentRefunded",
        "PaymentResolved",
    ]


@pytest.mark.parametrize("wrong", [settling(SettlementReason.PAID, HALF), SETTLE_RETURNED, SETTLE])
def test_an_unclear_release_is_settled_as_released_only(wrong: payments.SettlePayment) -> None:
    refused = last_emitted(PAYMENTS, [*UNCLEAR, wrong])
    assert isinstance(refused, payments.ResolutionRefused) and "not settled" in refused.detail
    assert state_after(PAYMENTS, [*UNCLEAR, wrong]) == state_after(PAYMENTS, UNCLEAR)


def test_a_settled_release_counts_once() -> None:
    once = [*UNCLEAR, SETTLE_RELEASED]
    for again in (SETTLE_RELEASED, CARD_NOT_VOIDED, CARD_VOIDED_HALF):
        assert state_after(PAYMENTS, [*once, again]) == state_after(PAYMENTS, once)


def test_a_settled_release_is_recalled() -> None:
    settled = last_emitted(PAYMENTS, [*UNCLEAR, SETTLE_RELEASED])
    once = recall(state_after(PAYMENTS, [*TO_FAILED, SETTLE]), settled, Context()).state
    assert (once.hold, once.settlements) == (None, (PAID_OUTSIDE, RELEASED_OUTSIDE))
    assert recall(once, settled, Context()).state == once


@pytest.mark.parametrize("wrong", [settling(SettlementReason.PAID, HALF), SETTLE_RETURNED, SETTLE_RELEASED])
def test_a_failed_capture_is_settled_by_its_total_only(wrong: payments.SettlePayment) -> None:
    refused = last_emitted(PAYMENTS, [*TO_FAILED, wrong])
    assert "64.00 EUR must be paid or written off" in refused.detail
    assert state_after(PAYMENTS, [*TO_FAILED, wrong]) == state_after(PAYMENTS, TO_FAILED)


@pytest.mark.parametrize("before", [TO_FAILED, TO_MISMATCHED])
def test_another_currency_settles_nothing(before: list[Any]) -> None:
    refused = last_emitted(PAYMENTS, [*before, settling(SettlementReason.PAID, POUNDS)])
    assert "the order is in EUR" in refused.detail


def test_a_released_payment_moves_nothing() -> None:
    refused = last_emitted(PAYMENTS, [*TO_MISMATCHED, CANCELLED, settling(SettlementReason.RELEASED)])
    assert "its amount is 0" in refused.detail


def test_an_unanswered_void_is_settled_when_nothing_is_held() -> None:
    history = [*NOT_VOIDED, SETTLE_RELEASED]
    assert emitted(PAYMENTS, history)[-2:] == ["PaymentVoided", "PaymentResolved"]
    assert state_after(PAYMENTS, history).status is PaymentStatus.VOIDED
    assert "no money may move" in last_emitted(PAYMENTS, [*NOT_VOIDED, SETTLE]).detail


def test_an_unanswered_refund_is_settled_by_its_total() -> None:
    history = [*NOT_REFUNDED, SETTLE_RETURNED]
    assert emitted(PAYMENTS, history)[-2:] == ["PaymentRefunded", "PaymentResolved"]
    assert state_after(PAYMENTS, history).status is PaymentStatus.REFUNDED
    for wrong in (SETTLE_RELEASED, settling(SettlementReason.RETURNED, HALF)):
        assert "64.00 EUR must be returned" in last_emitted(PAYMENTS, [*NOT_REFUNDED, wrong]).detail


def test_a_cancelled_mismatch_is_settled_by_what_was_taken() -> None:
    for history in ([*TO_MISMATCHED, CANCELLED], [*TO_AUTHORIZED, CONFIRMED, CANCELLED, CARD_CAPTURED_HALF]):
        settled = [*history, settling(SettlementReason.RETURNED, HALF)]
        assert state_after(PAYMENTS, settled).status is PaymentStatus.REFUNDED
        decision = PAYMENTS.aggregate.decide(
            state_after(PAYMENTS, history), settling(SettlementReason.RETURNED, HALF), Context()
        )
        assert isinstance(decision, Decision)
        assert decision.emits[0] == payments.PaymentRefunded(
            order_id=ORDER, customer_id=CUSTOMER, amount=HALF
        )


@pytest.mark.parametrize("history", [TO_AUTHORIZED, [*TO_FAILED, RETRY], [*TO_FAILED, SETTLE]])
def test_only_what_needs_staff_is_settled(history: list[Any]) -> None:
    refused = last_emitted(PAYMENTS, [*history, SETTLE])
    assert isinstance(refused, payments.ResolutionRefused) and "the payment is" in refused.detail


# both orders of arrival: a settlement, and a cancellation


def test_a_cancellation_after_the_settlement_needs_staff_again() -> None:
    history = [*TO_FAILED, SETTLE, CANCELLED]
    mismatched = last_emitted(PAYMENTS, history)
    assert mismatched.effect is Effect.REFUND and "paid 64.00 EUR under BANK-815" in mismatched.detail
    returned = state_after(PAYMENTS, [*history, SETTLE_RETURNED])
    assert returned.status is PaymentStatus.REFUNDED
    assert returned.settlements == (PAID_OUTSIDE, RETURNED_OUTSIDE)


def test_a_cancelled_order_does_not_owe_what_was_written_off() -> None:
    history = [*TO_FAILED, settling(SettlementReason.WRITTEN_OFF), CANCELLED]
    assert WRITTEN_OFF in state_after(PAYMENTS, history[:-1]).settlements
    assert state_after(PAYMENTS, [*history, SETTLE_RELEASED]).settlements == (RELEASED_OUTSIDE,)


@pytest.mark.parametrize("reason", [SettlementReason.PAID, SettlementReason.WRITTEN_OFF])
def test_a_repeated_settlement_counts_once(reason: SettlementReason) -> None:
    """Under another message id, after the cancellation has made the payment unresolved again."""
    history = [*TO_FAILED, settling(reason), CANCELLED]
    refused = last_emitted(PAYMENTS, [*history, settling(reason)])
    assert isinstance(refused, payments.ResolutionRefused) and "recorded already" in refused.detail
    assert state_after(PAYMENTS, [*history, settling(reason)]) == state_after(PAYMENTS, history)


def test_a_settlement_after_the_cancellation_is_refused() -> None:
    assert emitted(PAYMENTS, [*TO_FAILED, CANCELLED, SETTLE])[-2:] == ["Void", "ResolutionRefused"]


# documents and messages of other versions, and a database that was set back


def test_a_failed_payment_of_an_older_version_can_be_resolved() -> None:
    codec = Codec(Payment)
    new = ("attempt", "retried", "unclear", "unanswered", "settlements", "given_up", "hold")
    stored = codec.dump(state_after(PAYMENTS, TO_FAILED))
    older = codec.load({name: value for name, value in stored.items() if name not in new})
    for command, status in ((RETRY, PaymentStatus.CAPTURING), (SETTLE, PaymentStatus.CAPTURED)):
        decision = PAYMENTS.aggregate.decide(older, command, Context())
        assert isinstance(decision, Decision) and decision.state.status is status


@pytest.mark.parametrize(
    ("settlement", "status"),
    [
        (SETTLE, PaymentStatus.CAPTURED),
        (SETTLE_RELEASED, PaymentStatus.VOIDED),
        (SETTLE_RETURNED, PaymentStatus.REFUNDED),
    ],
)
def test_a_mismatch_of_an_older_version_ends_by_the_reason(settlement: Any, status: PaymentStatus) -> None:
    older = Payment(
        status=PaymentStatus.NEEDS_RECONCILIATION, order_id=ORDER, customer_id=CUSTOMER, total=TOTAL
    )
    decision = PAYMENTS.aggregate.decide(older, settlement, Context())
    assert isinstance(decision, Decision) and decision.state.status is status


def test_a_recalled_resolution_counts_once() -> None:
    failed = state_after(PAYMENTS, TO_FAILED)
    once = recall(failed, RESOLVED, Context()).state
    assert once == state_after(PAYMENTS, [*TO_FAILED, SETTLE])
    assert recall(once, RESOLVED, Context()).state == once
    repeated = RESOLVED.model_copy(update={"attempt": 1, "settlement": None, "staff_id": None})
    for before in (failed, state_after(PAYMENTS, [*TO_AUTHORIZED, CONFIRMED])):
        assert recall(before, repeated, Context()).state.status is PaymentStatus.CAPTURED
    with pytest.raises(OutOfTurn):
        recall(state_after(PAYMENTS, TO_AUTHORIZED), RESOLVED, Context())


def test_a_settlement_shows_what_it_adds_to_the_books() -> None:
    balances = [
        each.balance_minor for each in (PAID_OUTSIDE, WRITTEN_OFF, RETURNED_OUTSIDE, RELEASED_OUTSIDE)
    ]
    assert balances == [TOTAL.amount_minor, TOTAL.amount_minor, -TOTAL.amount_minor, 0]
    assert RELEASED_OUTSIDE.amount == FREE
