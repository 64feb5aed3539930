"""How many mails a stranger can have sent to somebody else's address."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from chassis.memory import MemoryStore
from contracts.notifications import MailKind
from tests.user_svc.house import House
from user_svc import claim
from user_svc.claim import Claim, CountMail, TooManyMails
from user_svc.settings import Terms

MANY = 140  # every ten minutes, for not quite a day
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
async def test_an_address_gets_five_mails_of_a_kind_in_a_day(house: House, way: str) -> None:
    path, body, proved, mail = WAYS[way]
    await (house.moved_in() if proved else house.register())
    doors = (house.http, house.another_door())
    house.later(days=1)

    async def ask(times: int) -> int:
        before = house.said_types().count(mail)
        answers = set()
        for number in range(times):
            house.later(minutes=10)
            answer = await doors[number % 2].post(path, json=body)
            assert answer.status_code == 202
            answers.add(frozenset(answer.json() or ()))
        assert len(answers) == 1, "the answer tells whether a mail was sent"
        return house.said_types().count(mail) - before

    assert await ask(MANY) == 5
    house.later(days=1)
    assert await ask(MANY) == 5


async def test_the_bound_is_a_setting() -> None:
    house = House(MemoryStore(), terms=Terms(mails_per_day=2))
    await house.moved_in()
    for _ in range(5):
        house.later(minutes=10)
        await house.ask("POST", "/password-resets", VICTIM)
    assert house.said_types().count("user.password_reset_requested.v1") == 2


async def test_requests_within_a_minute_do_not_use_up_the_day(house: House) -> None:
    await house.moved_in()
    for _ in range(2):
        house.later(minutes=10)
        for _ in range(5):
            await house.ask("POST", "/password-resets", VICTIM)
    house.later(minutes=10)
    await house.ask("POST", "/password-resets", VICTIM)
    assert house.said_types().count("user.password_reset_requested.v1") == 3


async def test_an_unproved_account_is_not_given_up_for_a_registration_that_gets_no_mail(house: House) -> None:
    for _ in range(7):
        user_id = (await house.register()).json()["user_id"]
        house.later(minutes=10)
    found = await house.runtime.store.find("users", {})
    standing = [each.key for each in found if (each.state or {})["status"] == "unproved"]
    assert len(standing) == 1 and user_id not in standing


def test_a_clock_that_was_set_back_blocks_nobody_for_longer_than_a_day() -> None:
    state = Claim(UUID(int=1), NOW)
    for _ in range(5):
        state = claim.decide(state, CountMail(MailKind.PASSWORD_RESET, NOW + timedelta(days=300))).state
    with pytest.raises(TooManyMails):
        claim.decide(state, CountMail(MailKind.PASSWORD_RESET, NOW))
    state = claim.decide(state, CountMail(MailKind.ADDRESS_PROOF, NOW)).state
    assert claim.decide(state, CountMail(MailKind.PASSWORD_RESET, NOW + timedelta(days=1))).state.mails
