"""Given-when-then tests of refunds of a part: several never exceed the captured total.

Long because each answer of the card provider, and each decision of staff about it, may come again or late.
"""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from chassis.core.codec import Codec
from chassis.core.decision import Context, Decision, OutOfTurn
from contracts import orders, payments
from contracts.http.payments import PaymentStatus
from contracts.payments import Effect, SettlementReason
from contracts.values import Money
from payment_svc import payment as card
from payment_svc.partial_refunds import (
    REFUND_AGAIN,
    REFUNDS_MAX,
    RETURN_OUTSIDE,
    SETTLED_OUTSIDE,
    refundable_minor,
)
from payment_svc.payment import Payment
from payment_svc.provider_responses import parse_response
from payment_svc.resolution import recall
from tests.support.decision_tables import play
from tests.support.given_when_then import emitted, last_emitted, state_after
from tests.support.messages import (
    CARD_AUTHORIZED,
    CARD_CAPTURE_REFUSED,
    CARD_CAPTURED,
    CARD_CAPTURED_HALF,
    CARD_NOT_VOIDED,
    CARD_PART_HALF,
    CARD_PART_NOT_DONE,
    CARD_PART_REFUNDED,
    CONFIRMED,
    CUSTOMER,
    FREE,
    GOODS_REQUESTED,
    ORDER,
    OTHER_REFUND_ID,
    PART,
    PART_REFUNDED,
    PLACED,
    POUNDS,
    REFUND_ID,
    REFUND_PART,
    REFUND_REFUSED,
    REFUND_REQUESTED,
    REFUND_SETTLED_OUTSIDE,
    REFUND_TOO_MUCH,
    RELEASED_OUTSIDE,
    RESERVED,
    REST,
    RETURNED,
    SETTLE,
    SETTLE_RELEASED,
    SETTLE_RETURNED,
    STAFF,
    TOTAL,
)
from tests.unit.payment_svc.decision_tables import PAYMENTS

REFERENCE = CARD_AUTHORIZED.reference
TO_CAPTURING: list[Any] = [PLACED, RESERVED, CARD_AUTHORIZED, CONFIRMED]
TO_CAPTURED: list[Any] = [*TO_CAPTURING, CARD_CAPTURED]
TO_FAILED: list[Any] = [*TO_CAPTURING, CARD_CAPTURE_REFUSED]
REFUNDED: list[Any] = [*TO_CAPTURED, REFUND_REQUESTED, CARD_PART_REFUNDED]


UNREADABLE_OTHER = card.UnusableResponse(f"{ORDER}:part:{OTHER_REFUND_ID}", "it cannot be read")


def requested(amount: Money, refund_id: UUID = OTHER_REFUND_ID) -> orders.RefundRequested:
    return orders.RefundRequested(order_id=ORDER, refund_id=refund_id, staff_id=STAFF, amount=amount)


def why_refused(history: list[Any]) -> str:
    refused = last_emitted(PAYMENTS, history)
    assert isinstance(refused, payments.RefundRefused), refused
    assert state_after(PAYMENTS, history) == state_after(PAYMENTS, history[:-1])
    return refused.detail


def test_a_part_is_refunded_under_a_key_of_its_own() -> None:
    assert last_emitted(PAYMENTS, [*TO_CAPTURED, REFUND_REQUESTED]) == REFUND_PART
    request = last_emitted(PAYMENTS, [*TO_CAPTURED, REFUND_REQUESTED, REFUND_PART])
    assert request == card.RefundAmount(f"{ORDER}:part:{REFUND_ID}", REFERENCE, PART, REFUND_ID)


def test_the_event_has_the_part_and_the_sum() -> None:
    assert last_emitted(PAYMENTS, REFUNDED) == PART_REFUNDED
    second = card.Refunded(REFERENCE, REST, OTHER_REFUND_ID)
    assert last_emitted(PAYMENTS, [*REFUNDED, requested(REST), second]) == payments.PaymentPartRefunded(
        order_id=ORDER, customer_id=CUSTOMER, refund_id=OTHER_REFUND_ID, amount=REST, refunded=TOTAL
    )
    assert state_after(PAYMENTS, REFUNDED).status is PaymentStatus.CAPTURED


@pytest.mark.parametrize("before", [[*TO_CAPTURED, REFUND_REQUESTED], REFUNDED], ids=["granted", "refunded"])
def test_several_refunds_never_exceed_the_total(before: list[Any]) -> None:
    """A refund that is not done yet counts, too."""
    too_much = Money(amount_minor=REST.amount_minor + 1, currency="EUR")
    assert why_refused([*before, requested(too_much)]) == "only 50.00 EUR of 64.00 EUR are left to refund"
    assert refundable_minor(state_after(PAYMENTS, [*before, requested(REST)])) == 0
    assert why_refused([*TO_CAPTURED, REFUND_TOO_MUCH]) == "only 64.00 EUR of 64.00 EUR are left to refund"


@pytest.mark.parametrize(
    ("request_", "why"),
    [(requested(POUNDS), "the order is in EUR"), (requested(FREE), "at least one minor unit")],
)
def test_a_refund_is_an_amount_of_the_order(request_: orders.RefundRequested, why: str) -> None:
    assert why in why_refused([*TO_CAPTURED, request_])


@pytest.mark.parametrize("behind", [TO_CAPTURING[:count] for count in range(len(TO_CAPTURING) + 1)])
def test_a_refund_waits_for_the_capture(behind: list[Any]) -> None:
    """The database was set back, or the capture takes long: a refusal would be final."""
    with pytest.raises(OutOfTurn):
        emitted(PAYMENTS, [*behind, REFUND_REQUESTED])
    rest = [*TO_CAPTURED[len(behind) :], REFUND_REQUESTED]
    assert last_emitted(PAYMENTS, [*behind, *rest]) == REFUND_PART


@pytest.mark.parametrize("behind", [*(TO_CAPTURING[:count] for count in (2, 3, 4)), TO_CAPTURED])
def test_a_refund_of_the_lost_time_counts_before_others(behind: list[Any]) -> None:
    """The card provider has carried it out, so the rest is all that another one may have."""
    lost: Any = recall(state_after(PAYMENTS, behind), PART_REFUNDED, Context())
    for message in [*TO_CAPTURED[len(behind) :], REFUND_REQUESTED, REFUND_PART, CARD_PART_REFUNDED]:
        lost = play(PAYMENTS.aggregate, lost.state, message, {})
        assert isinstance(lost, Decision)
        assert not [each for each in lost.emits if isinstance(each, payments.RefundRefused)]
    assert lost.state == state_after(PAYMENTS, REFUNDED)


@pytest.mark.parametrize("behind", [TO_CAPTURING, [*TO_CAPTURED, REFUND_REQUESTED]])
def test_a_refund_refused_in_the_lost_time_stays_refused(behind: list[Any]) -> None:
    before = state_after(PAYMENTS, behind)
    refused = recall(before, REFUND_REFUSED, Context())
    assert refused.emits == () and refused.state == replace(before, refunds=())
    done = state_after(PAYMENTS, REFUNDED)
    assert recall(done, REFUND_REFUSED, Context()).state == done


@pytest.mark.parametrize("event", [PART_REFUNDED, REFUND_REFUSED])
def test_a_refund_of_an_unknown_payment_is_not_recalled(event: Any) -> None:
    with pytest.raises(OutOfTurn):
        recall(Payment(), event, Context())


def test_only_captured_money_is_refunded() -> None:
    for history, why in (
        (TO_FAILED, "failed"),
        ([*TO_FAILED, SETTLE], "was settled outside; return the amount in the same way"),
    ):
        assert why in why_refused([*history, REFUND_REQUESTED])


MISMATCHED_CAPTURE: list[Any] = [*TO_CAPTURING, CARD_CAPTURED_HALF]
SETTLED = {
    "capture failed": [*TO_FAILED, SETTLE],
    "release unclear": [*TO_FAILED, SETTLE, CARD_NOT_VOIDED],
    "part captured": [*MISMATCHED_CAPTURE, SETTLE],
    "captured at the provider": [*MISMATCHED_CAPTURE, SETTLE_RELEASED],
    "another refund unclear": [*TO_CAPTURED, requested(PART), UNREADABLE_OTHER, SETTLE_RETURNED],
}


@pytest.mark.parametrize("history", SETTLED.values(), ids=SETTLED)
@pytest.mark.parametrize("request_", [REFUND_REQUESTED, GOODS_REQUESTED], ids=["amount", "goods"])
def test_a_refund_of_a_settled_payment_moves_no_money(
    history: list[Any], request_: orders.RefundRequested
) -> None:
    """Whatever the provider captured. order_svc learns why, so that it can book the goods."""
    assert why_refused([*history, request_]) == SETTLED_OUTSIDE
    refused = last_emitted(PAYMENTS, [*history, request_])
    assert refused == REFUND_SETTLED_OUTSIDE
    assert emitted(PAYMENTS, [*history, request_, REFUND_PART])[-1] == "RefundRefused", "nothing is requested"


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (requested(POUNDS), "the order is in EUR"),
        (requested(FREE), "at least one minor unit"),
        (REFUND_TOO_MUCH, "left to refund"),
    ],
)
def test_a_wrong_amount_of_a_settled_payment_is_refused(request_: orders.RefundRequested, why: str) -> None:
    """Then no goods are booked, either."""
    refused = last_emitted(PAYMENTS, [*TO_FAILED, SETTLE, request_])
    assert why in refused.detail and not refused.settled_outside


@pytest.mark.parametrize("history", [TO_FAILED, MISMATCHED_CAPTURE])
def test_a_refund_before_the_settlement_names_the_remedy(history: list[Any]) -> None:
    early = [*history, GOODS_REQUESTED]
    refused = last_emitted(PAYMENTS, early)
    assert refused.detail.endswith("decide about it, then send a new refund") and not refused.settled_outside
    later = GOODS_REQUESTED.model_copy(update={"refund_id": OTHER_REFUND_ID})
    assert last_emitted(PAYMENTS, [*early, SETTLE, later]).settled_outside


def test_a_payment_has_a_limited_number_of_refunds() -> None:
    cent = Money(amount_minor=1, currency="EUR")
    ids = [UUID(int=(7 << 76) | (2 << 62) | number) for number in range(1, REFUNDS_MAX + 2)]
    history = [*TO_CAPTURED, *(requested(cent, refund_id) for refund_id in ids)]
    assert f"at most {REFUNDS_MAX}" in why_refused(history)


# copies, in both orders


def test_a_refund_counts_once() -> None:
    for history in ([*TO_CAPTURED, REFUND_REQUESTED], REFUNDED):
        assert emitted(PAYMENTS, [*history, REFUND_REQUESTED]) == emitted(PAYMENTS, history)
        assert state_after(PAYMENTS, [*history, REFUND_REQUESTED]) == state_after(PAYMENTS, history)
    for late in (REFUND_PART, CARD_PART_REFUNDED, CARD_PART_NOT_DONE):
        assert emitted(PAYMENTS, [*REFUNDED, late]) == emitted(PAYMENTS, REFUNDED)


def test_two_refunds_may_be_finished_in_any_order() -> None:
    both = [*TO_CAPTURED, REFUND_REQUESTED, requested(REST)]
    second = card.Refunded(REFERENCE, REST, OTHER_REFUND_ID)
    ends = [
        state_after(PAYMENTS, [*both, *results])
        for results in ([CARD_PART_REFUNDED, second], [second, CARD_PART_REFUNDED])
    ]
    assert ends[0] == ends[1] and ends[0].refunded == TOTAL


# a provider that results otherwise, or not at all


def test_a_refund_not_carried_out_can_be_granted_again() -> None:
    history = [*TO_CAPTURED, REFUND_REQUESTED, CARD_PART_NOT_DONE]
    assert last_emitted(PAYMENTS, history).detail == f"{CARD_PART_NOT_DONE.detail}{REFUND_AGAIN}"
    assert state_after(PAYMENTS, history) == state_after(PAYMENTS, TO_CAPTURED)
    assert last_emitted(PAYMENTS, [*history, requested(TOTAL)]).refund_id == OTHER_REFUND_ID


@pytest.mark.parametrize(
    "result",
    [
        CARD_PART_HALF,
        card.Refunded("ref-9", PART, REFUND_ID),
        card.UnusableResponse(f"{ORDER}:part:{REFUND_ID}", "it cannot be read"),
    ],
)
def test_a_refund_of_another_amount_is_left_to_staff(result: Any) -> None:
    history = [*TO_CAPTURED, REFUND_REQUESTED, result]
    mismatched = last_emitted(PAYMENTS, history)
    assert (mismatched.effect, mismatched.attempt) == (Effect.REFUND, 1)
    settlement = payments.Settlement(reason=SettlementReason.RETURNED, amount=PART, reference="BANK-1")
    settle = payments.SettlePayment(order_id=ORDER, staff_id=STAFF, settlement=settlement)
    assert emitted(PAYMENTS, [*history, settle])[-1] == "PaymentResolved"
    payment = state_after(PAYMENTS, [*history, settle])
    assert payment.status is PaymentStatus.CAPTURED and payment.refunded == PART


def test_a_settled_refund_of_another_amount_counts_as_done() -> None:
    """Then the customer has a mail, and order_svc books the goods. It happens once."""
    history = [*TO_CAPTURED, GOODS_REQUESTED, CARD_PART_HALF]
    assert "PaymentPartRefunded" not in emitted(PAYMENTS, history)
    settlement = payments.Settlement(reason=SettlementReason.RETURNED, amount=PART, reference="BANK-1")
    settle = payments.SettlePayment(order_id=ORDER, staff_id=STAFF, settlement=settlement)
    names = emitted(PAYMENTS, [*history, settle, settle])
    assert names[len(emitted(PAYMENTS, history)) :] == [
        "PaymentPartRefunded",
        "PaymentResolved",
        "ResolutionRefused",
    ]
    [refund] = state_after(PAYMENTS, [*history, settle]).refunds
    assert refund.done and not refund.unclear


UNREADABLE = card.UnusableResponse(f"{ORDER}:part:{REFUND_ID}", "it cannot be read")
UNCLEAR: list[Any] = [*TO_CAPTURED, GOODS_REQUESTED, UNREADABLE]


def test_an_unclear_refund_of_which_no_money_moved_is_refused() -> None:
    """The customer has no mail, order_svc books no goods, and the amount can be refunded by another one."""
    names = emitted(PAYMENTS, [*UNCLEAR, SETTLE_RELEASED])
    assert names[len(emitted(PAYMENTS, UNCLEAR)) :] == ["PaymentResolved", "RefundRefused"]
    refused = last_emitted(PAYMENTS, [*UNCLEAR, SETTLE_RELEASED])
    assert refused.refund_id == REFUND_ID and RELEASED_OUTSIDE.reference in refused.detail
    payment = state_after(PAYMENTS, [*UNCLEAR, SETTLE_RELEASED])
    assert (payment.status, payment.refunds, payment.settlements) == (PaymentStatus.CAPTURED, (), ())
    again = last_emitted(PAYMENTS, [*UNCLEAR, SETTLE_RELEASED, requested(TOTAL)])
    assert isinstance(again, payments.RefundPart) and again.refund_id == OTHER_REFUND_ID


def test_late_copies_change_nothing_after_no_money_moved() -> None:
    """The settlement may be sent twice, and the next refund may be unclear, too."""
    ended = [*UNCLEAR, SETTLE_RELEASED]
    for late in (REFUND_PART, UNREADABLE):
        assert emitted(PAYMENTS, [*ended, late]) == emitted(PAYMENTS, ended)
    second = card.UnusableResponse(f"{ORDER}:part:{OTHER_REFUND_ID}", "not this one either")
    history = [*ended, requested(REST), second]
    assert isinstance(last_emitted(PAYMENTS, [*history, SETTLE_RELEASED]), payments.ResolutionRefused)
    assert state_after(PAYMENTS, [*history, SETTLE_RELEASED]) == state_after(PAYMENTS, history)


def test_a_settlement_before_the_result_differs_changes_nothing() -> None:
    early = [*TO_CAPTURED, GOODS_REQUESTED, SETTLE_RELEASED]
    assert isinstance(last_emitted(PAYMENTS, early), payments.ResolutionRefused)
    assert state_after(PAYMENTS, [*early, UNREADABLE]) == state_after(PAYMENTS, UNCLEAR)


def test_staff_see_what_is_wrong_with_each_unclear_refund() -> None:
    both = [*TO_CAPTURED, REFUND_REQUESTED, requested(REST), CARD_PART_HALF]
    second = card.UnusableResponse(f"{ORDER}:part:{OTHER_REFUND_ID}", "it cannot be read")
    detail = state_after(PAYMENTS, [*both, second]).detail
    assert "asked to refund 14.00 EUR" in detail and "it cannot be read" in detail


@pytest.mark.parametrize("settle", [SETTLE_RELEASED, SETTLE_RETURNED])
@pytest.mark.parametrize(
    "behind", [TO_CAPTURED, [*TO_CAPTURED, GOODS_REQUESTED], UNCLEAR], ids=["captured", "granted", "unclear"]
)
def test_a_settled_refund_is_known_after_a_restore(behind: list[Any], settle: Any) -> None:
    """Also if the backup has no answer of the card provider, so that the payment is captured."""
    decision: Any = play(PAYMENTS.aggregate, state_after(PAYMENTS, UNCLEAR), settle, {})
    lost = state_after(PAYMENTS, behind)
    for event in decision.emits:
        lost = recall(lost, event, Context()).state
    assert replace(lost, detail="") == replace(decision.state, detail="")
    late = play(PAYMENTS.aggregate, lost, REFUND_PART, {})
    assert isinstance(late, Decision) and late.emits == ()


def test_a_settled_refund_is_known_before_the_restored_capture() -> None:
    decision: Any = play(PAYMENTS.aggregate, state_after(PAYMENTS, UNCLEAR), SETTLE_RETURNED, {})
    lost = state_after(PAYMENTS, TO_CAPTURING)
    for event in decision.emits:
        lost = recall(lost, event, Context()).state
    captured = play(PAYMENTS.aggregate, lost, CARD_CAPTURED, {})
    assert isinstance(captured, Decision)
    assert replace(captured.state, detail="") == replace(decision.state, detail="")


def test_what_was_not_refunded_is_returned_as_settled() -> None:
    """After a settlement outside, a new refund would be refused."""
    other = requested(REST)
    never = card.NeverDone(f"{ORDER}:part:{OTHER_REFUND_ID}", "nothing was done")
    history = [*TO_CAPTURED, GOODS_REQUESTED, other, UNREADABLE, SETTLE_RETURNED, never]
    refused = last_emitted(PAYMENTS, history)
    assert refused.detail == f"{never.detail}{RETURN_OUTSIDE}" and refused.settled_outside


def test_a_restored_payment_refuses_the_same_refund_again() -> None:
    """Its own event recalls the settlement before the request comes again."""
    decision: Any = play(PAYMENTS.aggregate, state_after(PAYMENTS, TO_FAILED), SETTLE, {})
    lost = state_after(PAYMENTS, TO_FAILED)
    for event in (decision.emits[-1], REFUND_SETTLED_OUTSIDE):
        lost = recall(lost, event, Context()).state
    again = play(PAYMENTS.aggregate, lost, GOODS_REQUESTED, {})
    assert isinstance(again, Decision) and again.emits == (REFUND_SETTLED_OUTSIDE,)


def test_the_goods_of_a_refund_are_in_its_event() -> None:
    """payment_svc does nothing with them; the customer's mail and page name them."""
    refunded = last_emitted(PAYMENTS, [*TO_CAPTURED, GOODS_REQUESTED, CARD_PART_REFUNDED])
    assert refunded == PART_REFUNDED.model_copy(update={"returned": RETURNED})


def test_the_result_names_the_part_that_was_requested() -> None:
    request = card.RefundAmount(f"{ORDER}:part:{REFUND_ID}", REFERENCE, PART, REFUND_ID)
    document = {
        "key": request.key,
        "outcome": "refunded",
        "reference": REFERENCE,
        "amount": PART.model_dump(),
    }
    assert parse_response(request, document) == CARD_PART_REFUNDED


def test_a_part_of_an_older_payment_can_be_refunded() -> None:
    codec = Codec(Payment)
    stored = codec.dump(state_after(PAYMENTS, TO_CAPTURED))
    del stored["refunds"]
    decision = PAYMENTS.aggregate.decide(codec.load(stored), REFUND_REQUESTED, Context())
    assert isinstance(decision, Decision) and decision.emits == (REFUND_PART,)
