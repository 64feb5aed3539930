"""Given-when-then tests of one mail: it is sent once, whatever arrives, however often."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from chassis.core.decision import Context, OutOfTurn, RunEffect
from chassis.messaging.identity import new_id
from chassis.messaging.message import Message
from contracts import notifications, orders, payments, users
from contracts.notifications import MailKind
from contracts.values import Money
from notification_svc.decider import KINDS, decide, key, newer_mails
from notification_svc.mail import Deferred, Deliver, Mail, MailStatus, Sent, Undeliverable

ORDER, ANN = new_id(), new_id()
TOTAL = Money(amount_minor=12_50, currency="EUR")
CONFIRMED = orders.OrderConfirmed(order_id=ORDER, customer_id=ANN, total=TOTAL)
DISPATCHED = orders.OrderDispatched(order_id=ORDER, customer_id=ANN)
CANCELLED = orders.OrderCancelled(order_id=ORDER, customer_id=ANN, reason=orders.CancelReason.DEADLINE)
REFUNDED = payments.PaymentRefunded(order_id=ORDER, customer_id=ANN, amount=TOTAL)
REGISTERED = users.UserRegistered(user_id=ANN)
REQUEST = new_id()
PROOF_WANTED = users.AddressProofRequested(request_id=REQUEST, user_id=ANN)
RESET_WANTED = users.PasswordResetRequested(request_id=REQUEST, user_id=ANN)
AGAIN = users.RegisteredAgain(request_id=REQUEST, user_id=ANN)
CHANGED = users.PasswordChanged(request_id=REQUEST, user_id=ANN)
EVENTS = (
    CONFIRMED,
    DISPATCHED,
    CANCELLED,
    REFUNDED,
    REGISTERED,
    PROOF_WANTED,
    RESET_WANTED,
    AGAIN,
    CHANGED,
)
SEND = notifications.SendMail(about=ORDER, kind=MailKind.ORDER_CONFIRMED)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = Deferred(NOW, NOW + timedelta(minutes=1))
SENT, GONE = Sent(), Undeliverable("the user is gone")


def play(
    messages: Iterable[Any], mail: Mail | None = None, others: Mapping[str, Mail] | None = None
) -> tuple[Mail, list[Message]]:
    """The mail after these messages, and all emitted messages; an effect changes nothing."""
    mail = mail or Mail()
    said: list[Message] = []
    for message in messages:
        decision = decide(mail, message, Context(others or {}))
        if not isinstance(decision, RunEffect):
            mail = decision.state
            said += decision.emits
    return mail, said


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_queues_its_mail(event: Message) -> None:
    mail, said = play([event])
    assert mail.status is MailStatus.QUEUED
    assert said == [notifications.SendMail(about=UUID(event.subject), kind=KINDS[type(event)])]
    assert key(event) == key(said[0])


def test_a_mail_remembers_the_facts_that_it_tells() -> None:
    queued = Mail(MailStatus.QUEUED, ORDER, user_id=ANN)
    requested = replace(queued, about=REQUEST)
    expected = {
        CONFIRMED: replace(queued, kind=MailKind.ORDER_CONFIRMED, amount=TOTAL),
        DISPATCHED: replace(queued, kind=MailKind.ORDER_DISPATCHED),
        CANCELLED: replace(queued, kind=MailKind.ORDER_CANCELLED, reason=orders.CancelReason.DEADLINE),
        REFUNDED: replace(queued, kind=MailKind.PAYMENT_REFUNDED, amount=TOTAL),
        REGISTERED: replace(queued, kind=MailKind.USER_REGISTERED, about=ANN),
        PROOF_WANTED: replace(requested, kind=MailKind.ADDRESS_PROOF),
        RESET_WANTED: replace(requested, kind=MailKind.PASSWORD_RESET),
        AGAIN: replace(requested, kind=MailKind.REGISTERED_AGAIN),
        CHANGED: replace(requested, kind=MailKind.PASSWORD_CHANGED),
    }
    assert {event: play([event])[0] for event in EVENTS} == expected


def test_every_request_is_a_mail_of_its_own() -> None:
    """Two requests for a reset give two links; user_svc limits how many requests are allowed."""
    assert key(RESET_WANTED.model_copy(update={"request_id": new_id()})) != key(RESET_WANTED)


def test_the_mails_of_one_order_have_keys_of_their_own() -> None:
    assert len({key(event) for event in EVENTS}) == len(EVENTS) == len(MailKind)


def test_the_command_asks_the_mailer() -> None:
    mail, _ = play([CONFIRMED])
    question = decide(mail, SEND, Context())
    assert isinstance(question, RunEffect)
    assert question.effect == Deliver(mail)


def test_a_mail_that_was_taken_is_sent() -> None:
    mail, said = play([CONFIRMED, SEND, SENT])
    assert mail.status is MailStatus.SENT
    assert said[1:] == [notifications.MailSent(about=ORDER, kind=MailKind.ORDER_CONFIRMED)]


def test_a_mail_that_nobody_will_take_is_undeliverable_and_says_why() -> None:
    mail, said = play([CONFIRMED, SEND, GONE])
    assert (mail.status, mail.detail) == (MailStatus.UNDELIVERABLE, "the user is gone")
    assert [type(message) for message in said] == [notifications.SendMail, notifications.MailUndeliverable]


@pytest.mark.parametrize("answer", [SENT, GONE])
def test_whatever_comes_again_one_end_is_told(answer: Sent | Undeliverable) -> None:
    later = [CONFIRMED, CONFIRMED, SEND, SEND, answer]
    for order in set(permutations(later)):
        mail, said = play([CONFIRMED, SEND, *order, answer])
        assert mail.status in (MailStatus.SENT, MailStatus.UNDELIVERABLE)
        assert len(said) == 2


def test_after_the_end_nothing_is_asked_of_the_mailer() -> None:
    for answer in (SENT, GONE):
        ended, _ = play([CONFIRMED, answer])
        assert not isinstance(decide(ended, SEND, Context()), RunEffect)


def test_a_command_without_an_event_before_it_is_out_of_turn() -> None:
    with pytest.raises(OutOfTurn):
        decide(Mail(), SEND, Context())


def test_a_deferred_mail_waits_and_says_nothing() -> None:
    mail, said = play([CONFIRMED, LATER, LATER])
    assert (mail.status, mail.tries, mail.retry_at, mail.deferred_since) == (
        MailStatus.QUEUED,
        2,
        LATER.retry_at,
        NOW,
    )
    assert [type(message) for message in said] == [notifications.SendMail]


def test_waiting_for_a_slot_counts_as_no_try() -> None:
    mail, _ = play([CONFIRMED, replace(LATER, counts=False)])
    assert (mail.tries, mail.retry_at) == (0, LATER.retry_at)


def test_a_deferred_mail_is_sent_or_given_up_in_the_end() -> None:
    for answer, said in ((SENT, notifications.MailSent), (GONE, notifications.MailUndeliverable)):
        _, told = play([CONFIRMED, LATER, answer, LATER])
        assert [type(message) for message in told] == [notifications.SendMail, said]


def heard(*events: Message, then: MailStatus = MailStatus.QUEUED) -> dict[str, Mail]:
    return {key(event): replace(play([event])[0], status=then) for event in events}


@pytest.mark.parametrize("then", [MailStatus.QUEUED, MailStatus.SENT, MailStatus.UNDELIVERABLE])
@pytest.mark.parametrize("newer", [CANCELLED, REFUNDED])
@pytest.mark.parametrize("old", [CONFIRMED, DISPATCHED])
def test_a_mail_that_newer_news_contradicts_is_dropped_and_says_so(
    old: Message, newer: Message, then: MailStatus
) -> None:
    send = notifications.SendMail(about=ORDER, kind=KINDS[type(old)])
    mail, said = play([old, send], others=heard(newer, then=then))
    assert (mail.status, mail.superseded_by) == (MailStatus.SUPERSEDED, KINDS[type(newer)])
    superseded_by = KINDS[type(newer)]
    assert said[1:] == [
        notifications.MailSuperseded(about=ORDER, kind=send.kind, superseded_by=superseded_by)
    ]
    assert play([old, send, SENT, GONE, old], mail, heard(newer)) == (mail, [])


def test_a_confirmation_waits_for_no_dispatch_but_does_not_follow_its_mail() -> None:
    queued, _ = play([CONFIRMED])
    assert isinstance(decide(queued, SEND, Context(heard(DISPATCHED))), RunEffect)
    assert play([SEND], queued, heard(DISPATCHED, then=MailStatus.SENT))[0].status is MailStatus.SUPERSEDED


@pytest.mark.parametrize("event", [event for event in EVENTS if event not in (CONFIRMED, DISPATCHED)])
def test_a_mail_about_an_ending_or_an_account_is_never_dropped(event: Message) -> None:
    send = notifications.SendMail(about=UUID(event.subject), kind=KINDS[type(event)])
    queued, _ = play([event])
    assert isinstance(decide(queued, send, Context(heard(*EVENTS, then=MailStatus.SENT))), RunEffect)
    assert not newer_mails(queued, send)


def test_a_mail_that_was_taken_before_the_newer_news_was_heard_is_sent() -> None:
    """The mail server has it, and the record says so."""
    queued, _ = play([CONFIRMED])
    assert play([SENT], queued, heard(CANCELLED))[0].status is MailStatus.SENT


@pytest.mark.parametrize("newer", [DISPATCHED, CANCELLED, REFUNDED])
def test_the_decision_is_told_what_it_has_to_look_at(newer: Message) -> None:
    assert key(newer) in newer_mails(Mail(), SEND)
    assert not newer_mails(Mail(), CONFIRMED) and not newer_mails(Mail(), SENT)
