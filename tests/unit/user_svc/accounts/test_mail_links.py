"""Links in mails prove an address or reset a password, work for nothing else, and expire."""

from typing import Any

import pytest

from contracts.notifications import MailKind
from tests.support.shops.user import PASSWORD, LoggedInClient, UserApp
from user_svc.signing.signer import LinkPurpose

PROOF_REQUESTED, RESET_REQUESTED = "user.address_proof_requested.v1", "user.password_reset_requested.v1"


async def confirm(user_app: UserApp, token: str, password: Any = "staple of the horse") -> int:
    response = await user_app.ask(
        "POST", "/password-resets/confirmations", {"token": token, "password": password}
    )
    return response.status_code


async def test_login_requires_a_verified_address(user_app: UserApp) -> None:
    user_id = (await user_app.register()).json()["user_id"]
    response = await user_app.log_in()
    assert (response.status_code, response.json()["type"]) == (403, "/problems/address-not-proved")
    assert response.headers["content-type"] == "application/problem+json"
    proved = await user_app.prove(user_id)
    assert (proved.status_code, proved.headers["cache-control"]) == (201, "no-store")
    assert (await LoggedInClient(user_app, proved.json()).me())["email"] == "ada@example.org"
    assert (await user_app.log_in()).status_code == 201


async def test_a_login_with_the_right_password_repeats_the_verification_mail(
    user_app: UserApp,
) -> None:
    await user_app.register()
    user_app.later(minutes=1)
    await user_app.log_in(password="wrong password")
    assert PROOF_REQUESTED not in user_app.published_types()
    for _ in range(3):
        await user_app.log_in()
    assert user_app.published_types().count(PROOF_REQUESTED) == 1


async def test_the_verification_mail_can_be_requested_again(user_app: UserApp) -> None:
    await user_app.register()
    user_app.later(minutes=1)
    assert (await user_app.ask("POST", "/proof-requests", {"email": "ADA@example.org"})).status_code == 202
    assert user_app.published_types()[-1] == PROOF_REQUESTED


@pytest.mark.parametrize("path", ["/proof-requests", "/password-resets"])
async def test_requesting_a_mail_does_not_reveal_accounts(user_app: UserApp, path: str) -> None:
    await user_app.logged_in_user()
    await user_app.register("bob@example.org")
    user_app.later(minutes=1)
    responses = [
        await user_app.ask("POST", path, {"email": f"{who}@example.org"}) for who in ("ada", "bob", "eve")
    ]
    assert [response.status_code for response in responses] == [202] * 3
    assert len({response.content for response in responses}) == 1
    assert responses[0].headers == responses[1].headers == responses[2].headers


async def test_verification_needs_the_password_and_its_own_token(user_app: UserApp) -> None:
    user_id = (await user_app.register()).json()["user_id"]
    proof = await user_app.link(user_id, MailKind.ADDRESS_PROOF)
    reset = await user_app.link(user_id, MailKind.PASSWORD_RESET)
    assert (await user_app.prove(user_id, "wrong password")).status_code == 401
    response = await user_app.ask("POST", "/proofs", {"token": reset, "password": PASSWORD})
    assert (response.status_code, response.json()["type"]) == (401, "/problems/link-not-valid")
    assert await confirm(user_app, proof) == 401
    for token in (proof, reset):
        stranger = LoggedInClient(user_app, {"user_id": user_id, "access_token": token, "refresh_token": ""})
        assert (await stranger("GET", "/users/me")).status_code == 401
        assert (await user_app.refresh(token)).status_code == 401
    ada = LoggedInClient(user_app, (await user_app.prove(user_id)).json())
    assert (
        await user_app.ask("POST", "/proofs", {"token": ada.token, "password": PASSWORD})
    ).status_code == 401
    assert await confirm(user_app, ada.token) == 401


async def test_links_are_valid_for_a_day_or_an_hour(user_app: UserApp) -> None:
    user_id = (await user_app.register()).json()["user_id"]
    proof = await user_app.link(user_id, MailKind.USER_REGISTERED)
    reset = await user_app.link(user_id, MailKind.PASSWORD_RESET)
    user_app.later(hours=1)
    assert await confirm(user_app, reset) == 401
    user_app.later(hours=22, minutes=59)
    assert (await user_app.ask("POST", "/proofs", {"token": proof, "password": PASSWORD})).status_code == 201
    user_app.later(minutes=1)
    assert (await user_app.ask("POST", "/proofs", {"token": proof, "password": PASSWORD})).status_code == 401


@pytest.mark.parametrize("token", ["x", "a.b.c", "x" * 5000, {"$ne": None}, "", None])
async def test_an_invalid_link_token_is_rejected(user_app: UserApp, token: Any) -> None:
    await user_app.logged_in_user()
    assert (await user_app.ask("POST", "/proofs", {"token": token, "password": PASSWORD})).status_code in (
        401,
        422,
    )
    assert await confirm(user_app, token) in (401, 422)


async def test_a_password_reset_works_once_and_ends_all_logins(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    assert (await user_app.ask("POST", "/password-resets", {"email": "ada@example.org"})).status_code == 202
    assert user_app.published_types()[-1] == RESET_REQUESTED
    token = await user_app.link(ada.user_id, MailKind.PASSWORD_RESET)
    other = await user_app.link(ada.user_id, MailKind.PASSWORD_RESET)
    assert await confirm(user_app, token, "password1") == 422
    assert await confirm(user_app, token) == 204
    assert await confirm(user_app, token) == 401
    assert await confirm(user_app, other) == 401
    assert (await ada("GET", "/users/me")).status_code == 401
    assert (await user_app.refresh(ada.refresh_token)).status_code == 401
    assert (await user_app.log_in()).status_code == 401
    assert (await user_app.log_in(password="staple of the horse")).status_code == 201
    assert user_app.published_types()[-1] == "user.password_changed.v1"


async def test_a_reset_of_an_unproved_account_proves_the_address(user_app: UserApp) -> None:
    user_id = (await user_app.register()).json()["user_id"]
    assert await confirm(user_app, await user_app.link(user_id, MailKind.PASSWORD_RESET)) == 204
    assert (await user_app.log_in(password="staple of the horse")).status_code == 201
    assert user_app.published_types()[-2:] == ["user.address_proved.v1", "user.password_changed.v1"]


async def test_after_an_erasure_no_link_is_valid(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    links = {
        kind: await user_app.link(ada.user_id, kind)
        for kind in (MailKind.ADDRESS_PROOF, MailKind.PASSWORD_RESET)
    }
    await ada.erase()
    proof = {"token": links[MailKind.ADDRESS_PROOF], "password": PASSWORD}
    assert (await user_app.ask("POST", "/proofs", proof)).status_code == 401
    assert await confirm(user_app, links[MailKind.PASSWORD_RESET]) == 401
    assert (await user_app.contact(ada.user_id, kind=MailKind.ADDRESS_PROOF)).status_code == 404


@pytest.mark.parametrize("kind", list(MailKind))
async def test_only_mails_with_a_link_get_a_token(user_app: UserApp, kind: MailKind) -> None:
    ada = await user_app.logged_in_user()
    contact = await user_app.contact(ada.user_id, kind=kind)
    with_link = (MailKind.USER_REGISTERED, MailKind.ADDRESS_PROOF, MailKind.PASSWORD_RESET)
    assert (contact.json()["link_token"] is not None) == (kind in with_link)
    assert contact.headers["cache-control"] == "no-store"
    assert (await user_app.contact(ada.user_id, kind="love_letter")).status_code == 422


def test_each_purpose_has_a_type_of_its_own() -> None:
    assert {purpose.value for purpose in LinkPurpose} == {"proof+jwt", "reset+jwt"}
