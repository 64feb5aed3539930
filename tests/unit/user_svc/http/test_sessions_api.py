"""Login and logout. A failed login reveals nothing, and a copy of the database cannot log in."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from contracts.http.access import LIFETIME
from tests.support.metric_changes import MetricChanges
from tests.support.shops.user import PASSWORD, LoggedInClient, UserApp
from user_svc.auth.refresh_tokens import AGE_MAX, IDLE_MAX

GRACE_S = 10


async def test_a_login_returns_access_and_refresh_tokens(
    user_app: UserApp,
) -> None:
    ada = await user_app.logged_in_user()
    response = await user_app.log_in(" Ada@EXAMPLE.org")
    given = response.json()
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    assert (given["token_type"], given["expires_in"], given["roles"]) == ("Bearer", 600, ["customer"])
    assert given["user_id"] == str(ada.user_id)
    assert datetime.fromisoformat(given["refresh_expires_at"]) == user_app.now + IDLE_MAX
    assert len(given["refresh_token"]) >= 43  # 256 bits
    assert (await LoggedInClient(user_app, given)("GET", "/users/me")).status_code == 200


async def test_wrong_password_and_unknown_address_are_indistinguishable(
    user_app: UserApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    await user_app.logged_in_user()
    await user_app.register("bob@example.org")  # not proved
    verified: list[str] = []
    verify = user_app.passwords._verify

    def noted(password_hash: str, given: str) -> bool:
        verified.append(given)
        return verify(password_hash, given)

    monkeypatch.setattr(user_app.passwords, "_verify", noted)
    responses = [
        await user_app.log_in(f"{who}@example.org", "wrong password") for who in ("ada", "bob", "eve")
    ]
    assert verified == ["wrong password"] * 3
    assert [response.status_code for response in responses] == [401] * 3
    assert len({response.content for response in responses}) == 1
    assert responses[0].headers == responses[1].headers == responses[2].headers
    assert responses[0].headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "password",
    [{"$ne": None}, {"$gt": ""}, None, 1, True, ["correct horse battery"], "x" * 129, "x" * 1_000_000],
)
async def test_an_invalid_password_value_causes_no_lookup(user_app: UserApp, password: Any) -> None:
    await user_app.logged_in_user()
    response = await user_app.log_in(password=password)
    if len(str(password)) > 1000:
        assert response.status_code == 413
    else:
        assert response.status_code == 422
        assert "body.password:" in response.json()["detail"]


async def test_a_query_operator_as_email_address_is_rejected(user_app: UserApp) -> None:
    await user_app.logged_in_user()
    body = {"email": {"$regex": ".*"}, "password": PASSWORD}
    response = await user_app.http.post("/sessions", json=body)
    assert response.status_code == 422
    assert "body.email:" in response.json()["detail"]


async def test_no_token_is_kept(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    kept = repr([await user_app.runtime.store.find(kind) for kind in user_app.runtime.service.kinds])
    assert ada.token not in kept
    assert ada.refresh_token not in kept
    (family,) = await user_app.runtime.store.find("families")
    assert family.state is not None
    for stolen in (family.key, family.state["lineage"], *family.state["siblings"]):
        assert (await user_app.refresh(stolen)).status_code == 401
        ada.token = stolen
        assert (await ada("GET", "/users/me")).status_code == 401


async def test_an_access_token_lasts_ten_minutes_and_is_refreshed(
    user_app: UserApp,
) -> None:
    ada = await user_app.logged_in_user()
    user_app.later(minutes=11)
    assert (await ada("GET", "/users/me")).status_code == 401
    refreshed = await user_app.refresh(ada.refresh_token)
    assert (refreshed.status_code, refreshed.headers["cache-control"]) == (201, "no-store")
    again = LoggedInClient(user_app, refreshed.json())
    assert again.refresh_token != ada.refresh_token
    assert (await again.me())["user_id"] == str(ada.user_id)


async def test_refresh_and_access_tokens_are_not_interchangeable(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    assert (await user_app.refresh(ada.token)).status_code == 401
    ada.token = ada.refresh_token
    assert (await ada("GET", "/users/me")).status_code == 401


@pytest.mark.parametrize("token", ["x", "a" * 107, "ä" * 20, "=" * 8, "\u0000", "A" * 108])
async def test_an_invented_refresh_token_leaves_nothing_stored(user_app: UserApp, token: str) -> None:
    assert (await user_app.refresh(token)).status_code == 401
    assert await user_app.runtime.store.find("families") == []


async def test_two_refreshes_at_once_both_stay_logged_in(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    user_app.later(minutes=9)
    responses = await asyncio.gather(*(user_app.refresh(ada.refresh_token) for _ in range(2)))
    assert [response.status_code for response in responses] == [201, 201]
    user_app.later(minutes=9)
    for response in responses:  # concurrent refreshes, each with its own token
        assert (await LoggedInClient(user_app, response.json())("GET", "/users/me")).status_code == 200
        assert (await user_app.refresh(response.json()["refresh_token"])).status_code == 201


async def test_login_attempts_are_counted_by_outcome(user_app: UserApp) -> None:
    await user_app.logged_in_user()
    await user_app.register("bob@example.org")  # not proved
    metrics = MetricChanges()
    for email, password in (("ada", PASSWORD), ("ada", "wrong password"), ("bob", PASSWORD)):
        await user_app.log_in(f"{email}@example.org", password)
    counts = {
        outcome: metrics.of("user_log_ins_total", outcome=outcome)
        for outcome in ("good", "wrong", "unproved", "throttled", "failed")
    }
    assert counts == {"good": 1, "wrong": 1, "unproved": 1, "throttled": 0, "failed": 0}


async def test_a_reused_refresh_token_ends_its_login_only(user_app: UserApp) -> None:
    metrics = MetricChanges()
    ada = await user_app.logged_in_user()
    elsewhere = LoggedInClient(user_app, (await user_app.log_in()).json())
    now = LoggedInClient(user_app, (await user_app.refresh(ada.refresh_token)).json())
    user_app.later(seconds=GRACE_S)
    assert (await user_app.refresh(ada.refresh_token)).status_code == 401
    assert metrics["user_refresh_tokens_reused_total"] == 1
    assert (await user_app.refresh(now.refresh_token)).status_code == 401
    assert (await now("GET", "/users/me")).status_code == 401
    assert (await elsewhere("GET", "/users/me")).status_code == 200


async def test_a_constantly_used_login_ends_after_a_month(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    end = user_app.now + AGE_MAX
    while user_app.now + timedelta(days=7) < end:
        user_app.later(days=7)
        refreshed = await user_app.refresh(ada.refresh_token)
        assert refreshed.status_code == 201
        ada = LoggedInClient(user_app, refreshed.json())
    assert datetime.fromisoformat(refreshed.json()["refresh_expires_at"]) == end
    user_app.later(days=7)
    assert (await user_app.refresh(ada.refresh_token)).status_code == 401


async def test_logging_out_ends_this_log_in_and_no_other(user_app: UserApp) -> None:
    phone = await user_app.logged_in_user()
    other_device = LoggedInClient(user_app, (await user_app.log_in()).json())
    assert (await phone("DELETE", "/sessions/current")).status_code == 204
    assert (await phone("GET", "/users/me")).status_code == 401
    assert (await user_app.refresh(phone.refresh_token)).status_code == 401
    assert (await phone("DELETE", "/sessions/current")).status_code == 401
    assert (await other_device("GET", "/users/me")).status_code == 200


async def test_logging_out_everywhere_ends_all_and_one_may_come_back(user_app: UserApp) -> None:
    phone = await user_app.logged_in_user()
    other_device = LoggedInClient(user_app, (await user_app.log_in()).json())
    assert (await phone("DELETE", "/sessions")).status_code == 204
    for guest in (phone, other_device):
        assert (await guest("GET", "/users/me")).status_code == 401
        assert (await user_app.refresh(guest.refresh_token)).status_code == 401
    assert (await user_app.log_in()).status_code == 201


async def test_a_password_change_ends_all_logins_and_is_announced(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    elsewhere = LoggedInClient(user_app, (await user_app.log_in()).json())
    assert (
        await ada("PUT", "/users/me/password", {"current": PASSWORD, "new": "staple of the horse"})
    ).status_code == 204
    for guest in (ada, elsewhere):
        assert (await guest("GET", "/users/me")).status_code == 401
        assert (await user_app.refresh(guest.refresh_token)).status_code == 401
    assert (await user_app.log_in()).status_code == 401
    assert (await user_app.log_in(password="staple of the horse")).status_code == 201
    assert user_app.published_types()[-1] == "user.password_changed.v1"


@pytest.mark.parametrize(
    ("current", "new", "status", "reported"),
    [
        ("not my password", "staple of the horse", 403, "/problems/wrong-password"),
        (PASSWORD, "password123", 422, "body.new:"),
        (PASSWORD, "ada12345", 422, "body.new:"),
        (PASSWORD, "short", 422, "body.new:"),
        ({"$ne": 1}, "staple of the horse", 422, "body.current:"),
    ],
)
async def test_changing_the_password_needs_the_old_and_a_good_one(
    user_app: UserApp, current: Any, new: str, status: int, reported: str
) -> None:
    ada = await user_app.logged_in_user()
    response = await ada("PUT", "/users/me/password", {"current": current, "new": new})
    assert response.status_code == status
    assert reported in response.text
    assert (await ada.me())["name"] == "Ada"
    assert (await user_app.log_in()).status_code == 201


async def test_a_login_overlapping_the_password_change_is_ended(
    user_app: UserApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password is verified before the change, and the login is opened after it."""
    ada = await user_app.logged_in_user()
    right = user_app.passwords.verify
    checked = asyncio.Event()
    changed = asyncio.Event()

    async def slowly(password_hash: str, password: str) -> bool:
        found = await right(password_hash, password)
        if not checked.is_set():
            checked.set()
            await changed.wait()
        return found

    monkeypatch.setattr(user_app.passwords, "verify", slowly)
    overlapping = asyncio.create_task(user_app.log_in())
    await checked.wait()
    await ada("PUT", "/users/me/password", {"current": PASSWORD, "new": "staple of the horse"})
    changed.set()
    late = (await overlapping).json()
    assert (await LoggedInClient(user_app, late)("GET", "/users/me")).status_code == 401
    assert (await user_app.refresh(late["refresh_token"])).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/users/me"),
        ("PUT", "/users/me"),
        ("PUT", "/users/me/password"),
        ("POST", "/users/me/erasure"),
        ("POST", "/users/me/addresses"),
        ("POST", "/users/me/email-change"),
        ("DELETE", "/users/me/email-change"),
        ("DELETE", "/users/me/addresses/home"),
        ("DELETE", "/sessions/current"),
        ("DELETE", "/sessions"),
        ("GET", "/users/me/sessions"),
        ("DELETE", "/users/me/sessions/0190f0e8-0000-7000-8000-000000000001"),
        ("GET", "/internal/contacts/0190f0e8-0000-7000-8000-000000000001"),
    ],
)
@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer nonsense", "Basic YTpi", "Bearer {'$ne': 1}", "Bearer t\u00f6rtchen"],
)
async def test_nothing_is_shown_without_a_valid_token(
    user_app: UserApp, method: str, path: str, header: str
) -> None:
    headers = {b"Authorization": header.encode()} if header else {}
    response = await user_app.http.request(method, path, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/problem+json"


async def test_bearer_is_case_insensitive(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    response = await user_app.http.get("/users/me", headers={"Authorization": f"bearer {ada.token}"})
    assert response.status_code == 200


def test_the_token_lifetime_is_about_ten_minutes() -> None:
    assert timedelta(minutes=9) < LIFETIME < timedelta(minutes=11)
