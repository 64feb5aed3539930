"""How many mails to another person's address a stranger can trigger."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from chassis.bus.memory import MemoryStore
from chassis.core.decision import Context
from contracts.notifications import MailKind
from tests.support.shops.user import UserApp
from user_svc.accounts import email_reservation
from user_svc.accounts.email_reservation import CountMail, EmailReservation, TooManyMails
from user_svc.settings import AuthPolicy

MANY = 140  # one every ten minutes, for slightly less than a day
VICTIM = {"email": "ada@example.org"}
FORM = {**VICTIM, "name": "Ada", "password": "another horse battery"}
NOW = datetime(2026, 3, 1, tzinfo=UTC)

WAYS = {
    "resets": ("/password-resets", VICTIM, True, "user.password_reset_requested.v1"),
    "proofs": ("/proof-requests", VICTIM, False, "user.address_proof_requested.v1"),
    "registered again": ("/users", FORM, True, "user.registered_again.v1"),
    "registrations": ("/users", FORM, False, "user.registered.v1"),
}


@pytest.mark.parametrize("way", WAYS)
async def test_an_address_gets_at_most_five_mails_a_day(user_app: UserApp, way: str) -> None:
    path, body, proved, mail = WAYS[way]
    await (user_app.logged_in_user() if proved else user_app.register())
    clients = (user_app.http, user_app.new_client())
    user_app.later(days=1)

    async def ask(times: int) -> int:
        before = user_app.published_types().count(mail)
        responses = set()
        for number in range(times):
            user_app.later(minutes=10)
            response = await clients[number % 2].post(path, json=body)
            assert response.status_code == 202
            responses.add(frozenset(response.json() or ()))
        assert len(responses) == 1, "the response reveals whether a mail was sent"
        return user_app.published_types().count(mail) - before

    assert await ask(MANY) == 5
    user_app.later(days=1)
    assert await ask(MANY) == 5


async def test_the_bound_is_a_setting() -> None:
    user_app = UserApp(MemoryStore(), policy=AuthPolicy(mails_per_day=2))
    await user_app.logged_in_user()
    for _ in range(5):
        user_app.later(minutes=10)
        await user_app.ask("POST", "/password-resets", VICTIM)
    assert user_app.published_types().count("user.password_reset_requested.v1") == 2


async def test_requests_within_a_minute_do_not_use_up_the_day(user_app: UserApp) -> None:
    await user_app.logged_in_user()
    for _ in range(2):
        user_app.later(minutes=10)
        for _ in range(5):
            await user_app.ask("POST", "/password-resets", VICTIM)
    user_app.later(minutes=10)
    await user_app.ask("POST", "/password-resets", VICTIM)
    assert user_app.published_types().count("user.password_reset_requested.v1") == 3


async def test_an_unverified_account_survives_a_registration_without_mail(
    user_app: UserApp,
) -> None:
    for _ in range(7):
        user_id = (await user_app.register()).json()["user_id"]
        user_app.later(minutes=10)
    found = await user_app.runtime.store.find("users", {})
    standing = [each.key for each in found if (each.state or {})["status"] == "unproved"]
    assert len(standing) == 1 and user_id not in standing


def test_a_clock_set_back_blocks_mails_at_most_a_day() -> None:
    state = EmailReservation(UUID(int=1), NOW)
    for _ in range(5):
        state = email_reservation.decide(
            state, CountMail(MailKind.PASSWORD_RESET, NOW + timedelta(days=300)), Context()
        ).state
    with pytest.raises(TooManyMails):
        email_reservation.decide(state, CountMail(MailKind.PASSWORD_RESET, NOW), Context())
    state = email_reservation.decide(state, CountMail(MailKind.ADDRESS_PROOF, NOW), Context()).state
    assert email_reservation.decide(
        state, CountMail(MailKind.PASSWORD_RESET, NOW + timedelta(days=1)), Context()
    ).state.mails
