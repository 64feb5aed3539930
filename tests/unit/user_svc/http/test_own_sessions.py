"""The list of a user's own sessions, and the end of one of them."""

from typing import Any

import pytest

from chassis.messaging.identity import new_id
from tests.support.shops.user import PASSWORD, SERVICE_TOKEN, LoggedInClient, UserApp
from user_svc.auth.refresh_tokens import AGE_MAX, IDLE_MAX


async def log_in_as(user_app: UserApp, client: str, token: str = SERVICE_TOKEN) -> LoggedInClient:
    headers = {"X-Client-Name": client, "X-Service-Token": token}
    credentials = {"email": "ada@example.org", "password": PASSWORD}
    response = await user_app.http.post("/sessions", json=credentials, headers=headers)
    assert response.status_code == 201, response.text
    return LoggedInClient(user_app, response.json())


async def listed(client: LoggedInClient, query: str = "") -> dict[str, Any]:
    response = await client("GET", f"/users/me/sessions{query}")
    assert response.status_code == 200 and response.headers["Cache-Control"] == "no-store"
    page: dict[str, Any] = response.json()
    return page


async def test_open_sessions_are_listed_newest_first(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    user_app.later(minutes=5)
    phone = await log_in_as(user_app, "Firefox on Android")
    await user_app.logged_in_user("bob@example.org")
    page = await listed(phone)
    assert [(each["client"], each["current"]) for each in page["items"]] == [
        ("Firefox on Android", True),
        ("", False),
    ]
    assert page["next"] is None
    user_app.later(minutes=4)
    await user_app.refresh(ada.refresh_token)
    [_, older] = (await listed(phone))["items"]
    assert older["began_at"] < older["refreshed_at"] < older["expires_at"]


async def test_a_long_list_has_pages(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    for _ in range(3):
        await user_app.log_in()
    first = await listed(ada, "?limit=3")
    second = await listed(ada, f"?limit=3&after={first['next']}")
    assert [len(page["items"]) for page in (first, second)] == [3, 1] and second["next"] is None
    assert not {each["session_id"] for each in first["items"]} & {
        each["session_id"] for each in second["items"]
    }


async def test_only_sessions_that_may_go_on_are_listed(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    await log_in_as(user_app, "forgotten")
    ended = await log_in_as(user_app, "logged out")
    await ended("DELETE", "/sessions/current")
    for _ in range(AGE_MAX // IDLE_MAX):
        user_app.later(days=IDLE_MAX.days - 1)
        refreshed = await user_app.refresh(ada.refresh_token)
        ada = LoggedInClient(user_app, refreshed.json())
    assert [each["current"] for each in (await listed(ada))["items"]] == [True]
    await ada("DELETE", "/sessions")
    again = await log_in_as(user_app, "again")
    assert [each["client"] for each in (await listed(again))["items"]] == ["again"]


@pytest.mark.parametrize(
    ("name", "token"), [("Firefox", "not the token"), ("a\tb", SERVICE_TOKEN), ("x" * 61, SERVICE_TOKEN)]
)
async def test_only_the_gateway_names_the_client_of_a_session(
    user_app: UserApp, name: str, token: str
) -> None:
    await user_app.logged_in_user()
    ada = await log_in_as(user_app, name, token)
    assert {each["client"] for each in (await listed(ada))["items"]} == {""}


async def test_ending_one_session_leaves_the_others_open(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    stolen = await log_in_as(user_app, "stolen")
    [session] = [each for each in (await listed(ada))["items"] if each["client"] == "stolen"]
    path = f"/users/me/sessions/{session['session_id']}"
    response = await ada("DELETE", path)
    assert response.status_code == 204
    assert response.headers["X-User-Id"] == str(ada.user_id)
    assert response.headers["X-Access-Version"] == "1"
    assert user_app.published_types()[-1] == "user.access_changed.v1"
    assert (await stolen("GET", "/users/me")).status_code == 401
    assert (await user_app.refresh(stolen.refresh_token)).status_code == 401
    renewed = await user_app.refresh(ada.refresh_token)
    assert renewed.status_code == 201 and renewed.json()["access_version"] == 1
    assert (await ada("DELETE", path)).status_code == 204  # a repetition after a lost response


async def test_other_users_sessions_cannot_be_ended(user_app: UserApp) -> None:
    ada, bob = await user_app.logged_in_user(), await user_app.logged_in_user("bob@example.org")
    [session] = (await listed(ada))["items"]
    before = len(user_app.published_types())
    for session_id in (session["session_id"], new_id()):
        assert (await bob("DELETE", f"/users/me/sessions/{session_id}")).status_code == 404
    assert (await bob("DELETE", "/users/me/sessions/nonsense")).status_code == 422
    assert len(await user_app.runtime.store.find("families")) == 2
    assert len(user_app.published_types()) == before
    assert (await ada("GET", "/users/me")).status_code == 200
