"""The change of an e-mail address: proved by the new one, announced to the former one, one account each."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from chassis.core.execute import execute
from contracts.notifications import MailKind
from tests.support.shops.user import PASSWORD, LoggedInClient, UserApp
from tests.unit.user_svc.accounts.test_crashes import SlowStore
from tests.unit.user_svc.accounts.test_registration import accounts_with
from user_svc.accounts.aggregates import EMAILS
from user_svc.accounts.email_change import (
    PROOF_LIFETIME,
)
from user_svc.accounts.email_reservation import RESERVATION_MAX, Reserve, reservation_key

OLD, NEW = "ada@example.org", "lovelace@example.org"
PROOF, CHANGED, AGAIN = (
    "user.address_proof_requested.v1",
    "user.email_changed.v1",
    "user.registered_again.v1",
)


async def request(ada: LoggedInClient, email: str = NEW, password: str = PASSWORD) -> httpx.Response:
    return await ada("POST", "/users/me/email-change", {"email": email, "password": password})


def events(user_app: UserApp, type_: str) -> list[dict[str, Any]]:
    return [json.loads(body) for name, body in user_app.published_messages() if name == type_]


async def mail(user_app: UserApp, kind: MailKind, type_: str) -> dict[str, Any]:
    """The recipient of the newest mail of this kind, as notification_svc gets it."""
    event = events(user_app, type_)[-1]
    response = await user_app.contact(event["user_id"], kind=kind, about=event["request_id"])
    found: dict[str, Any] = response.json()
    return found


async def confirm(user_app: UserApp, token: str, password: str = PASSWORD) -> httpx.Response:
    return await user_app.ask("POST", "/proofs", {"token": token, "password": password})


async def requested_link(user_app: UserApp, ada: LoggedInClient, email: str = NEW) -> str:
    """The token of the link in the mail to the new address."""
    response = await request(ada, email)
    assert response.status_code == 202, response.text
    found = await mail(user_app, MailKind.ADDRESS_PROOF, PROOF)
    assert found["email"] == email and "superseded_by" not in found
    return str(found["link_token"])


async def test_a_confirmed_change_moves_the_login_to_the_new_address(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    await user_app.ask("POST", "/password-resets", {"email": OLD})
    reset = await user_app.link(ada.user_id, MailKind.PASSWORD_RESET)
    token = await requested_link(user_app, ada)
    assert [(await ada.me())[name] for name in ("email", "new_email")] == [OLD, NEW]
    confirmed = await confirm(user_app, token)
    assert confirmed.status_code == 201 and confirmed.headers["X-Access-Version"] == "1"
    again = LoggedInClient(user_app, confirmed.json())
    assert [(await again.me())[name] for name in ("email", "new_email")] == [NEW, None]
    assert (await ada("GET", "/users/me")).status_code == 401
    assert (await user_app.log_in(OLD)).status_code == 401
    assert (await user_app.log_in(NEW)).status_code == 201
    late = {"token": reset, "password": "staple of the horse"}
    assert (await user_app.ask("POST", "/password-resets/confirmations", late)).status_code == 401


async def test_the_former_address_gets_a_notice(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    await confirm(user_app, await requested_link(user_app, ada))
    assert await mail(user_app, MailKind.PASSWORD_CHANGED, CHANGED) == {
        "name": "Ada",
        "email": OLD,
        "address_changed": True,
    }
    [event] = events(user_app, CHANGED)
    other = await user_app.contact(ada.user_id, kind=MailKind.PASSWORD_CHANGED, about=ada.user_id)
    assert other.json() == {"name": "Ada", "email": NEW, "link_token": None}
    assert event["user_id"] == str(ada.user_id)
    assert OLD not in repr(user_app.published_messages()) and NEW not in repr(user_app.published_messages())


async def test_the_former_address_is_free_again(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    await confirm(user_app, await requested_link(user_app, ada))
    assert (await user_app.logged_in_user(OLD)).user_id != ada.user_id


@pytest.mark.parametrize(
    ("email", "password", "status", "reported"),
    [
        (NEW, "not my password", 403, "/problems/wrong-password"),
        (OLD.upper(), PASSWORD, 422, "body.email:"),
        ("lovelace", PASSWORD, 422, "body.email:"),
        ({"$ne": None}, PASSWORD, 422, "body.email:"),
        (NEW, None, 422, "body.password:"),
    ],
)
async def test_a_change_needs_the_password_and_another_address(
    user_app: UserApp, email: Any, password: Any, status: int, reported: str
) -> None:
    ada = await user_app.logged_in_user()
    response = await request(ada, email, password)
    assert (response.status_code, reported in response.text) == (status, True), response.text
    assert events(user_app, PROOF) == [] and (await ada.me())["new_email"] is None


async def test_the_link_is_worthless_without_the_password(user_app: UserApp) -> None:
    """A mistyped address leads the mail to a stranger."""
    ada = await user_app.logged_in_user()
    token = await requested_link(user_app, ada)
    assert (await confirm(user_app, token, "a guess of a stranger")).status_code == 401
    for _ in range(5):
        await confirm(user_app, token, "a guess of a stranger")
    assert (await user_app.log_in()).status_code == 429, "guesses count like those of a login"
    assert (await ada.me())["email"] == OLD


async def test_the_response_does_not_reveal_a_taken_address(user_app: UserApp) -> None:
    await user_app.logged_in_user(NEW)
    ada = await user_app.logged_in_user()
    response = await request(ada)
    assert (response.status_code, response.text) == (202, "null")
    assert (await ada.me())["new_email"] == NEW
    assert events(user_app, PROOF) == [] and len(events(user_app, AGAIN)) == 1


async def test_an_address_that_is_taken_before_the_confirmation_stays_taken(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    token = await requested_link(user_app, ada)
    bob = await user_app.logged_in_user(NEW)
    assert (await confirm(user_app, token)).status_code == 401
    assert await accounts_with(user_app, NEW) == [str(bob.user_id)]
    assert (await ada.me())["email"] == OLD


async def test_a_registration_that_is_not_proved_gives_way(user_app: UserApp) -> None:
    squatter = (await user_app.register(NEW)).json()["user_id"]
    ada = await user_app.logged_in_user()
    assert (await confirm(user_app, await requested_link(user_app, ada))).status_code == 201
    assert await accounts_with(user_app, NEW) == [str(ada.user_id)]
    assert (await user_app.contact(squatter)).status_code == 404


async def test_only_the_newest_request_counts(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    first = await requested_link(user_app, ada, "first@example.org")
    too_soon = await request(ada)
    assert too_soon.status_code == 429 and too_soon.headers["Retry-After"] == "60"
    user_app.later(minutes=1)
    second = await requested_link(user_app, ada)
    assert (await confirm(user_app, first)).status_code == 401
    assert (await confirm(user_app, second)).status_code == 201


@pytest.mark.parametrize("how", ["dropped", "expired", "password changed", "erased"])
async def test_a_change_that_no_longer_counts_is_not_made(user_app: UserApp, how: str) -> None:
    ada = await user_app.logged_in_user()
    token = await requested_link(user_app, ada)
    match how:
        case "dropped":
            assert (await ada("DELETE", "/users/me/email-change")).status_code == 204
            assert (await ada.me())["new_email"] is None
        case "expired":
            user_app.later(seconds=PROOF_LIFETIME.total_seconds())
        case "password changed":
            await ada("PUT", "/users/me/password", {"current": PASSWORD, "new": "staple of the horse"})
        case _:
            await ada.erase()
    for password in (PASSWORD, "staple of the horse"):
        assert (await confirm(user_app, token, password)).status_code == 401
    assert await accounts_with(user_app, NEW) == []


async def test_a_user_requests_a_few_changes_a_day(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    statuses = []
    for number in range(6):
        statuses.append((await request(ada, f"ada{number}@example.org")).status_code)
        user_app.later(minutes=1)
    assert statuses == [202] * 5 + [429]
    assert len(events(user_app, PROOF)) == 5


async def test_a_repeated_confirmation_logs_in_again(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    token = await requested_link(user_app, ada)
    both = await asyncio.gather(confirm(user_app, token), confirm(user_app, token))
    assert [response.status_code for response in both] == [201, 201]
    assert (await confirm(user_app, token)).status_code == 201
    assert len(events(user_app, CHANGED)) == 1


async def test_a_change_continues_after_a_crash_with_its_reservation(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    token = await requested_link(user_app, ada)
    held = Reserve(ada.user_id, user_app.now)
    await execute(user_app.runtime, EMAILS, reservation_key(NEW), held)
    await user_app.register(NEW)
    assert await accounts_with(user_app, NEW) == [], "the change may be made at this moment"
    assert (await confirm(user_app, token)).status_code == 201


async def test_an_abandoned_change_gives_its_address_away_after_a_minute(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    token = await requested_link(user_app, ada)
    await execute(user_app.runtime, EMAILS, reservation_key(NEW), Reserve(ada.user_id, user_app.now))
    user_app.later(seconds=RESERVATION_MAX.total_seconds())
    bob = await user_app.logged_in_user(NEW)
    assert (await confirm(user_app, token)).status_code == 401
    assert await accounts_with(user_app, NEW) == [str(bob.user_id)]
    assert (await ada.me())["new_email"] is None


async def test_a_slow_change_and_a_registration_make_one_account() -> None:
    store = SlowStore("")
    user_app = UserApp(store)
    ada = await user_app.logged_in_user()
    token = await requested_link(user_app, ada)
    store._slow_key = str(ada.user_id)  # the change waits between its reservation and its write
    sleeping = asyncio.create_task(confirm(user_app, token))
    await store.reached.wait()
    user_app.later(seconds=RESERVATION_MAX.total_seconds())
    bob = await user_app.logged_in_user(NEW)
    store.go_on.set()
    assert (await sleeping).status_code == 401
    assert await accounts_with(user_app, NEW) == [str(bob.user_id)]
