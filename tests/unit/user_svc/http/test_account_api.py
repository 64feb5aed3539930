"""A user's own account: its contents, the changes the owner can make, and a complete erasure."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.support.shops.user import HOME, PASSWORD, PERSONAL, LoggedInClient, UserApp
from user_svc.accounts.aggregates import EMAILS
from user_svc.accounts.email_reservation import EmailReservation
from user_svc.accounts.user import ADDRESSES_MAX


async def test_an_account_shows_its_data_without_the_hash(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user(" Ada@example.org", name=" Ada ")
    assert await ada.me() == {
        "user_id": str(ada.user_id),
        "email": "ada@example.org",
        "new_email": None,
        "name": "Ada",
        "roles": ["customer"],
        "addresses": [],
        "created_at": "2026-03-01T12:00:00Z",
    }


async def test_users_access_only_their_own_account(user_app: UserApp) -> None:
    ada, eve = await user_app.logged_in_user(), await user_app.logged_in_user("eve@example.org", name="Eve")
    await eve("PUT", "/users/me", {"name": "Mallory"})
    await eve("POST", "/users/me/addresses", HOME)
    await eve.erase()
    assert (await ada.me())["name"] == "Ada"
    assert (await ada.me())["addresses"] == []


async def test_the_name_can_be_changed(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    response = await ada("PUT", "/users/me", {"name": "Augusta"})
    assert (response.status_code, response.json()["name"]) == (200, "Augusta")
    assert (await user_app.contact(ada.user_id)).json()["name"] == "Augusta"


@pytest.mark.parametrize(
    "body",
    [{}, {"name": None}, {"name": {"$set": 1}}, {"name": "A", "email": "eve@example.org"}, {"name": "A\nB"}],
)
async def test_nothing_else_of_the_profile_can_be_changed(user_app: UserApp, body: Any) -> None:
    ada = await user_app.logged_in_user()
    before = await ada.me()
    assert (await ada("PUT", "/users/me", body)).status_code == 422
    assert await ada.me() == before


async def test_addresses_are_replaced_and_removed_by_their_label(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    holiday = HOME | {"label": "été à la mer"}
    assert (await ada("POST", "/users/me/addresses", HOME)).status_code == 201
    added = await ada("POST", "/users/me/addresses", holiday)
    assert added.json()["addresses"] == [HOME, holiday]
    assert (await ada("POST", "/users/me/addresses", HOME | {"city": "Paris"})).status_code == 201
    assert (await ada.me())["addresses"] == [holiday, HOME | {"city": "Paris"}]
    label = quote(holiday["label"])
    assert (await ada("DELETE", f"/users/me/addresses/{label}")).status_code == 204
    assert (await ada("DELETE", f"/users/me/addresses/{label}")).status_code == 404
    assert (await ada.me())["addresses"] == [HOME | {"city": "Paris"}]


async def test_the_eleventh_address_is_a_conflict(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    for number in range(ADDRESSES_MAX):
        assert (await ada("POST", "/users/me/addresses", HOME | {"label": str(number)})).status_code == 201
    response = await ada("POST", "/users/me/addresses", HOME)
    assert response.status_code == 409
    assert "remove one first" in response.json()["detail"]
    assert len((await ada.me())["addresses"]) == ADDRESSES_MAX


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("label", "a/b"),
        ("label", ".."),
        ("label", ""),
        ("label", "x" * 41),
        ("recipient", "A\r\nB"),
        ("street", None),
        ("postcode", 12345),
        ("city", {"$ne": 1}),
        ("country", "gb"),
        ("country", "GBR"),
        ("planet", "Earth"),
    ],
)
async def test_a_bad_address_is_named(user_app: UserApp, field: str, value: Any) -> None:
    ada = await user_app.logged_in_user()
    response = await ada("POST", "/users/me/addresses", HOME | {field: value})
    assert response.status_code == 422
    assert f"body.{field}:" in response.json()["detail"]


async def test_erasure_removes_personal_data_and_ends_sessions(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user(name="Augusta")
    await ada("POST", "/users/me/addresses", HOME)
    elsewhere = LoggedInClient(user_app, (await user_app.log_in()).json())
    assert (await ada.erase()).status_code == 204
    for guest in (ada, elsewhere):
        assert (await guest("GET", "/users/me")).status_code == 401
        assert (await user_app.refresh(guest.refresh_token)).status_code == 401
    assert (await user_app.log_in()).status_code == 401
    assert (await user_app.contact(ada.user_id)).status_code == 404
    assert user_app.published_messages()[-1] == (
        "user.erased.v1",
        b'{"user_id":"%s"}' % str(ada.user_id).encode(),
    )
    for kind in user_app.runtime.service.kinds:
        kept = repr(await user_app.runtime.store.find(kind)) + repr(
            await user_app.runtime.store.journey(kind, str(ada.user_id))
        )
        assert not any(secret in kept for secret in ("ada@", "Augusta", "argon2", *PERSONAL))


async def test_erasure_requires_the_password(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    response = await ada.erase("not my password")
    assert (response.status_code, response.json()["type"]) == (403, "/problems/wrong-password")
    assert (await ada.me())["name"] == "Ada"
    assert (await ada("DELETE", "/users/me")).status_code == 405
    assert "user.erased.v1" not in user_app.published_types()


async def test_erasure_releases_the_address(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    await ada.erase()
    claims = await user_app.runtime.store.find("emails")
    assert [EMAILS.codec.load(claim.state or {}) for claim in claims] == [EmailReservation()]


async def test_an_erased_address_can_register_again_but_not_its_id(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    await ada.erase()
    await user_app.register(user_id=str(ada.user_id))
    assert (await user_app.log_in()).status_code == 401
    assert (await user_app.logged_in_user()).user_id != ada.user_id


async def test_the_service_token_opens_contacts_and_nothing_else_does(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    assert (await user_app.contact(ada.user_id)).json() == {
        "name": "Ada",
        "email": "ada@example.org",
        "link_token": None,
    }
    for token in (ada.token, PASSWORD, "the-token-of-the-service", "the-token-of-the-services2"):
        assert (await user_app.contact(ada.user_id, token)).status_code == 401


async def test_contacts_of_unknown_ids_are_404_and_invalid_ids_422(user_app: UserApp) -> None:
    assert (await user_app.contact("0190f0e8-0000-7000-8000-000000000001")).status_code == 404
    for bad in ("00000000-0000-0000-0000-000000000000", "{0190f0e8-0000-7000-8000-000000000001}", "7"):
        assert (await user_app.contact(bad)).status_code == 422
