"""Links in mails: they prove an address and reset a password, and nothing else, and not for ever."""

from typing import Any

import pytest

from contracts.notifications import MailKind
from tests.user_svc.house import PASSWORD, Guest, House
from user_svc.signing import Purpose

PROOF_REQUESTED, RESET_REQUESTED = "user.address_proof_requested.v1", "user.password_reset_requested.v1"


async def confirm(house: House, token: str, password: Any = "staple of the horse") -> int:
    answer = await house.ask("POST", "/password-resets/confirmations", {"token": token, "password": password})
    return answer.status_code


async def test_nobody_logs_in_before_the_address_is_proved(house: House) -> None:
    user_id = (await house.register()).json()["user_id"]
    answer = await house.log_in()
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/address-not-proved")
    assert answer.headers["content-type"] == "application/problem+json"
    proved = await house.prove(user_id)
    assert (proved.status_code, proved.headers["cache-control"]) == (201, "no-store")
    assert (await Guest(house, proved.json()).me())["email"] == "ada@example.org"
    assert (await house.log_in()).status_code == 201


async def test_trying_to_log_in_asks_for_the_mail_again_once_a_minute_and_only_with_the_right_password(
    house: House,
) -> None:
    await house.register()
    house.later(minutes=1)
    await house.log_in(password="wrong password")
    assert PROOF_REQUESTED not in house.said_types()
    for _ in range(3):
        await house.log_in()
    assert house.said_types().count(PROOF_REQUESTED) == 1


async def test_the_mail_with_the_proof_can_be_asked_for_again(house: House) -> None:
    await house.register()
    house.later(minutes=1)
    assert (await house.ask("POST", "/proof-requests", {"email": "ADA@example.org"})).status_code == 202
    assert house.said_types()[-1] == PROOF_REQUESTED


@pytest.mark.parametrize("path", ["/proof-requests", "/password-resets"])
async def test_asking_for_a_mail_tells_nobody_who_has_an_account(house: House, path: str) -> None:
    await house.moved_in()
    await house.register("bob@example.org")
    house.later(minutes=1)
    answers = [await house.ask("POST", path, {"email": f"{who}@example.org"}) for who in ("ada", "bob", "eve")]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].headers == answers[1].headers == answers[2].headers


async def test_a_proof_needs_the_password_and_its_own_kind_of_token(house: House) -> None:
    user_id = (await house.register()).json()["user_id"]
    proof, reset = await house.link(user_id, MailKind.ADDRESS_PROOF), await house.link(user_id, MailKind.PASSWORD_RESET)
    assert (await house.prove(user_id, "wrong password")).status_code == 401
    answer = await house.ask("POST", "/proofs", {"token": reset, "password": PASSWORD})
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/link-not-valid")
    assert await confirm(house, proof) == 401
    for token in (proof, reset):
        stranger = Guest(house, {"user_id": user_id, "access_token": token, "refresh_token": ""})
        assert (await stranger("GET", "/users/me")).status_code == 401
        assert (await house.refresh(token)).status_code == 401
    ada = Guest(house, (await house.prove(user_id)).json())
    assert (await house.ask("POST", "/proofs", {"token": ada.token, "password": PASSWORD})).status_code == 401
    assert await confirm(house, ada.token) == 401


async def test_links_are_good_for_a_day_and_for_an_hour(house: House) -> None:
    user_id = (await house.register()).json()["user_id"]
    proof, reset = (
        await house.link(user_id, MailKind.USER_REGISTERED),
        await house.link(user_id, MailKind.PASSWORD_RESET),
    )
    house.later(hours=1)
    assert await confirm(house, reset) == 401
    house.later(hours=22, minutes=59)
    assert (await house.ask("POST", "/proofs", {"token": proof, "password": PASSWORD})).status_code == 201
    house.later(minutes=1)
    assert (await house.ask("POST", "/proofs", {"token": proof, "password": PASSWORD})).status_code == 401


@pytest.mark.parametrize("token", ["x", "a.b.c", "x" * 5000, {"$ne": None}, "", None])
async def test_what_is_no_token_is_good_for_nothing(house: House, token: Any) -> None:
    await house.moved_in()
    assert (await house.ask("POST", "/proofs", {"token": token, "password": PASSWORD})).status_code in (401, 422)
    assert await confirm(house, token) in (401, 422)


async def test_a_forgotten_password_is_reset_once_and_all_log_ins_end(house: House) -> None:
    ada = await house.moved_in()
    assert (await house.ask("POST", "/password-resets", {"email": "ada@example.org"})).status_code == 202
    assert house.said_types()[-1] == RESET_REQUESTED
    token = await house.link(ada.user_id, MailKind.PASSWORD_RESET)
    other = await house.link(ada.user_id, MailKind.PASSWORD_RESET)
    assert await confirm(house, token, "password1") == 422
    assert await confirm(house, token) == 204
    assert await confirm(house, token) == 401
    assert await confirm(house, other) == 401
    assert (await ada("GET", "/users/me")).status_code == 401
    assert (await house.refresh(ada.refresh_token)).status_code == 401
    assert (await house.log_in()).status_code == 401
    assert (await house.log_in(password="staple of the horse")).status_code == 201
    assert house.said_types()[-1] == "user.password_changed.v1"


async def test_a_reset_of_an_unproved_account_proves_the_address(house: House) -> None:
    user_id = (await house.register()).json()["user_id"]
    assert await confirm(house, await house.link(user_id, MailKind.PASSWORD_RESET)) == 204
    assert (await house.log_in(password="staple of the horse")).status_code == 201
    assert house.said_types()[-2:] == ["user.address_proved.v1", "user.password_changed.v1"]


async def test_after_the_erasure_no_link_is_good(house: House) -> None:
    ada = await house.moved_in()
    links = {kind: await house.link(ada.user_id, kind) for kind in (MailKind.ADDRESS_PROOF, MailKind.PASSWORD_RESET)}
    await ada.erase()
    proof = {"token": links[MailKind.ADDRESS_PROOF], "password": PASSWORD}
    assert (await house.ask("POST", "/proofs", proof)).status_code == 401
    assert await confirm(house, links[MailKind.PASSWORD_RESET]) == 401
    assert (await house.contact(ada.user_id, kind=MailKind.ADDRESS_PROOF)).status_code == 404


@pytest.mark.parametrize("kind", list(MailKind))
async def test_only_mails_with_a_link_get_a_token(house: House, kind: MailKind) -> None:
    ada = await house.moved_in()
    contact = await house.contact(ada.user_id, kind=kind)
    with_link = (MailKind.USER_REGISTERED, MailKind.ADDRESS_PROOF, MailKind.PASSWORD_RESET)
    assert (contact.json()["link_token"] is not None) == (kind in with_link)
    assert contact.headers["cache-control"] == "no-store"
    assert (await house.contact(ada.user_id, kind="love_letter")).status_code == 422


def test_each_purpose_has_a_type_of_its_own() -> None:
    assert {purpose.value for purpose in Purpose} == {"proof+jwt", "reset+jwt"}
