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
TRACKED = orders.TrackingRecorded(order_id=ORDER, customer_id=ANN, tracking="RR123456785DE")
CANCELLED = orders.OrderCancelled(order_id=ORDER, customer_id=ANN, reason=orders.CancelReason.DEADLINE)
REFUNDED = payments.PaymentRefunded(order_id=ORDER, customer_id=ANN, amount=TOTAL)
REGISTERED = users.UserRegistered(user_id=ANN)
REQUEST = new_id()
PROOF_WANTED = users.AddressProofRequested(request_id=REQUEST, user_id=ANN)
RESET_WANTED = users.PasswordResetRequested(request_id=REQUEST, user_id=ANN)
AGAIN = users.RegisteredAgain(request_id=REQUEST, user_id=ANN)
CHANGED = users.PasswordChanged(request_id=REQUEST, user_id=ANN)
EMAIL_CHANGED = users.EmailChanged(request_id=new_id(), user_id=ANN)
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
    EMAIL_CHANGED,
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
    emitted: list[Message] = []
    for message in messages:
        decision = decide(mail, message, Context(others or {}))
        if not isinstance(decision, RunEffect):
            mail = decision.state
            emitted += decision.emits
    return mail, emitted


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_queues_its_mail(event: Message) -> None:
    mail, emitted = play([event])
    assert mail.status is MailStatus.QUEUED
    assert emitted == [notifications.SendMail(about=UUID(event.subject), kind=KINDS[type(event)])]
    assert key(event) == key(emitted[0])


def test_a_mail_stores_the_facts_of_its_text() -> None:
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
        EMAIL_CHANGED: replace(requested, about=EMAIL_CHANGED.request_id, kind=MailKind.PASSWORD_CHANGED),
    }
    assert {event: play([event])[0] for event in EVENTS} == expected


def test_every_request_has_its_own_mail() -> None:
    """Two requests for a reset give two links; user_svc limits how many requests are allowed."""
    assert key(RESET_WANTED.model_copy(update={"request_id": new_id()})) != key(RESET_WANTED)


def test_the_mails_of_one_order_have_keys_of_their_own() -> None:
    assert len({key(event) for event in EVENTS}) == len(EVENTS) == len(MailKind) + 1


def test_the_command_runs_the_mail_effect() -> None:
    mail, _ = play([CONFIRMED])
    effect = decide(mail, SEND, Context())
    assert isinstance(effect, RunEffect)
    assert effect.effect == Deliver(mail)


def test_a_mail_accepted_by_the_server_is_sent() -> None:
    mail, emitted = play([CONFIRMED, SEND, SENT])
    assert mail.status is MailStatus.SENT
    assert emitted[1:] == [notifications.MailSent(about=ORDER, kind=MailKind.ORDER_CONFIRMED)]


def test_a_rejected_mail_is_undeliverable_with_its_reason() -> None:
    mail, emitted = play([CONFIRMED, SEND, GONE])
    assert (mail.status, mail.detail) == (MailStatus.UNDELIVERABLE, "the user is gone")
    assert [type(message) for message in emitted] == [notifications.SendMail, notifications.MailUndeliverable]


@pytest.mark.parametrize("response", [SENT, GONE])
def test_redeliveries_emit_one_outcome(response: Sent | Undeliverable) -> None:
    later = [CONFIRMED, CONFIRMED, SEND, SEND, response]
    for order in set(permutations(later)):
        mail, emitted = play([CONFIRMED, SEND, *order, response])
        assert mail.status in (MailStatus.SENT, MailStatus.UNDELIVERABLE)
        assert len(emitted) == 2


def test_after_the_end_no_mail_effect_runs() -> None:
    for response in (SENT, GONE):
        ended, _ = play([CONFIRMED, response])
        assert not isinstance(decide(ended, SEND, Context()), RunEffect)


def test_a_command_without_its_event_is_out_of_turn() -> None:
    with pytest.raises(OutOfTurn):
        decide(Mail(), SEND, Context())


def test_a_deferred_mail_waits_and_emits_nothing() -> None:
    mail, emitted = play([CONFIRMED, LATER, LATER])
    assert (mail.status, mail.tries, mail.retry_at, mail.deferred_since) == (
        MailStatus.QUEUED,
        2,
        LATER.retry_at,
        NOW,
    )
    assert [type(message) for message in emitted] == [notifications.SendMail]


def test_waiting_for_a_slot_is_not_an_attempt() -> None:
    mail, _ = play([CONFIRMED, replace(LATER, counts=False)])
    assert (mail.tries, mail.retry_at) == (0, LATER.retry_at)


def test_a_deferred_mail_is_finally_sent_or_abandoned() -> None:
    for response, emitted in ((SENT, notifications.MailSent), (GONE, notifications.MailUndeliverable)):
        _, reported = play([CONFIRMED, LATER, response, LATER])
        assert [type(message) for message in reported] == [notifications.SendMail, emitted]


def handled_type(*events: Message, then: MailStatus = MailStatus.QUEUED) -> dict[str, Mail]:
    return {key(event): replace(play([event])[0], status=then) for event in events}


@pytest.mark.parametrize("then", [MailStatus.QUEUED, MailStatus.SENT, MailStatus.UNDELIVERABLE])
@pytest.mark.parametrize("newer", [CANCELLED, REFUNDED])
@pytest.mark.parametrize("old", [CONFIRMED, DISPATCHED])
def test_a_superseded_mail_is_dropped_and_recorded(old: Message, newer: Message, then: MailStatus) -> None:
    send = notifications.SendMail(about=ORDER, kind=KINDS[type(old)])
    mail, emitted = play([old, send], others=handled_type(newer, then=then))
    assert (mail.status, mail.superseded_by) == (MailStatus.SUPERSEDED, KINDS[type(newer)])
    superseded_by = KINDS[type(newer)]
    assert emitted[1:] == [
        notifications.MailSuperseded(about=ORDER, kind=send.kind, superseded_by=superseded_by)
    ]
    assert play([old, send, SENT, GONE, old], mail, handled_type(newer)) == (mail, [])


def test_a_confirmation_is_dropped_only_after_the_dispatch_mail() -> None:
    queued, _ = play([CONFIRMED])
    assert isinstance(decide(queued, SEND, Context(handled_type(DISPATCHED))), RunEffect)
    assert (
        play([SEND], queued, handled_type(DISPATCHED, then=MailStatus.SENT))[0].status
        is MailStatus.SUPERSEDED
    )


@pytest.mark.parametrize("event", [event for event in EVENTS if event not in (CONFIRMED, DISPATCHED)])
def test_mails_about_ended_orders_or_accounts_are_never_dropped(event: Message) -> None:
    send = notifications.SendMail(about=UUID(event.subject), kind=KINDS[type(event)])
    queued, _ = play([event])
    assert isinstance(decide(queued, send, Context(handled_type(*EVENTS, then=MailStatus.SENT))), RunEffect)
    assert not newer_mails(queued, send)


def test_a_mail_accepted_before_newer_events_counts_as_sent() -> None:
    """The mail server has it, and the record says so."""
    queued, _ = play([CONFIRMED])
    assert play([SENT], queued, handled_type(CANCELLED))[0].status is MailStatus.SENT


@pytest.mark.parametrize("newer", [DISPATCHED, CANCELLED, REFUNDED])
def test_the_decision_gets_the_related_mails(newer: Message) -> None:
    assert key(newer) in newer_mails(Mail(), SEND)
    assert not newer_mails(Mail(), CONFIRMED) and not newer_mails(Mail(), SENT)


@pytest.mark.parametrize("events", [[TRACKED, DISPATCHED], [DISPATCHED, TRACKED]])
def test_a_tracking_reference_is_in_the_mail_about_the_dispatch(events: list[Message]) -> None:
    mail, emitted = play(events)
    assert (mail.status, mail.kind, mail.user_id) == (MailStatus.QUEUED, MailKind.ORDER_DISPATCHED, ANN)
    assert mail.tracking == TRACKED.tracking and len(emitted) == 1


def test_a_tracking_reference_alone_sends_no_mail() -> None:
    mail, emitted = play([TRACKED, TRACKED])
    assert mail.status is MailStatus.NEW and emitted == []
    assert key(TRACKED) == key(DISPATCHED)


def test_a_tracking_reference_after_the_mail_changes_nothing() -> None:
    sent, _ = play([DISPATCHED, SENT])
    assert play([TRACKED], sent) == (sent, [])
