"""An e-mail address belongs to one account, in one spelling."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from chassis.core.decision import Context
from contracts.notifications import MailKind
from user_svc.accounts import email_reservation
from user_svc.accounts.aggregates import EMAILS
from user_svc.accounts.email_reservation import (
    EmailReservation,
    EmailTaken,
    MailRequested,
    Release,
    Reserve,
)

ADA, BOB = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
WELCOME = MailRequested(MailKind.USER_REGISTERED, NOW)


def holds(*history: Reserve | Release) -> EmailReservation:
    state = EmailReservation()
    for asked in history:
        state = EMAILS.codec.load(EMAILS.codec.dump(email_reservation.decide(state, asked, Context()).state))
    return state


def test_a_free_address_can_be_reserved_and_released() -> None:
    assert holds(Reserve(ADA, NOW)) == EmailReservation(ADA, NOW, (WELCOME,))
    assert holds(Reserve(ADA, NOW), Release(ADA)) == EmailReservation()


def test_a_reserved_address_is_taken_for_others() -> None:
    with pytest.raises(EmailTaken):
        holds(Reserve(ADA, NOW), Reserve(BOB, NOW))


def test_reserving_again_renews_the_reservation() -> None:
    later = NOW + timedelta(seconds=50)
    assert holds(Reserve(ADA, NOW), Reserve(ADA, later)) == EmailReservation(ADA, later, (WELCOME,))


def test_only_an_expired_reservation_is_taken_over() -> None:
    assert holds(Reserve(ADA, NOW), Reserve(BOB, NOW, instead_of=ADA)) == EmailReservation(
        BOB, NOW, (WELCOME, WELCOME)
    )
    with pytest.raises(EmailTaken):
        holds(Reserve(ADA, NOW), Reserve(BOB, NOW, instead_of=UUID(int=3)))


def test_a_reservation_is_released_by_its_holder_only() -> None:
    assert holds(Reserve(ADA, NOW), Release(BOB)) == EmailReservation(ADA, NOW, (WELCOME,))
