"""Logging in and out. Whoever fails learns nothing, whoever reads the database can do nothing with it."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from contracts.access import LIFETIME
from tests.user_svc.house import PASSWORD, Guest, House
from user_svc.family import AGE_MAX, IDLE_MAX

GRACE_S = 10


async def test_logging_in_gives_an_access_token_for_ten_minutes_and_a_refresh_token(house: House) -> None:
    ada = await house.moved_in()
    answer = await house.log_in(" Ada@EXAMPLE.org")
    given = answer.json()
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert (given["token_type"], given["expires_in"], given["roles"]) == ("Bearer", 600, ["customer"])
    assert given["user_id"] == str(ada.user_id)
    assert datetime.fromisoformat(given["refresh_expires_at"]) == house.now + IDLE_MAX
    assert len(given["refresh_token"]) >= 43  # 256 bits
    assert (await Guest(house, given)("GET", "/users/me")).status_code == 200


async def test_wrong_password_and_unknown_address_cannot_be_told_apart(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.moved_in()
    await house.register("bob@example.org")  # not proved
    verified: list[str] = []
    verify = house.passwords._verify

    def noted(password_hash: str, given: str) -> bool:
        verified.append(given)
        return verify(password_hash, given)

    monkeypatch.setattr(house.passwords, "_verify", noted)
    answers = [await house.log_in(f"{who}@example.org", "wrong password") for who in ("ada", "bob", "eve")]
    assert verified == ["wrong password"] * 3
    assert [answer.status_code for answer in answers] == [401] * 3
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].headers == answers[1].headers == answers[2].headers
    assert answers[0].headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "password", [{"$ne": None}, {"$gt": ""}, None, 1, True, ["correct horse battery"], "x" * 129, "x" * 1_000_000]
)
async def test_a_password_is_a_short_string_or_nothing_is_looked_up(house: House, password: Any) -> None:
    await house.moved_in()
    answer = await house.log_in(password=password)
    if len(str(password)) > 1000:
        assert answer.status_code == 413
    else:
        assert answer.status_code == 422
        assert "body.password:" in answer.json()["detail"]


async def test_an_operator_in_place_of_an_address_is_refused(house: House) -> None:
    await house.moved_in()
    body = {"email": {"$regex": ".*"}, "password": PASSWORD}
    answer = await house.http.post("/sessions", json=body)
    assert answer.status_code == 422
    assert "body.email:" in answer.json()["detail"]


async def test_no_token_is_kept(house: House) -> None:
    ada = await house.moved_in()
    kept = repr([await house.runtime.store.find(kind) for kind in house.runtime.service.kinds])
    assert ada.token not in kept
    assert ada.refresh_token not in kept
    (family,) = await house.runtime.store.find("families")
    assert family.state is not None
    for stolen in (family.key, family.state["lineage"], *family.state["siblings"]):
        assert (await house.refresh(stolen)).status_code == 401
        ada.token = stolen
        assert (await ada("GET", "/users/me")).status_code == 401


async def test_an_access_token_is_good_for_ten_minutes_and_the_refresh_token_gives_the_next(house: House) -> None:
    ada = await house.moved_in()
    house.later(minutes=11)
    assert (await ada("GET", "/users/me")).status_code == 401
    refreshed = await house.refresh(ada.refresh_token)
    assert (refreshed.status_code, refreshed.headers["cache-control"]) == (201, "no-store")
    again = Guest(house, refreshed.json())
    assert again.refresh_token != ada.refresh_token
    assert (await again.me())["user_id"] == str(ada.user_id)


async def test_a_refresh_token_is_no_access_token_and_the_other_way_round(house: House) -> None:
    ada = await house.moved_in()
    assert (await house.refresh(ada.token)).status_code == 401
    ada.token = ada.refresh_token
    assert (await ada("GET", "/users/me")).status_code == 401


@pytest.mark.parametrize("token", ["x", "a" * 107, "ä" * 20, "=" * 8, "\u0000", "A" * 108])
async def test_what_was_never_a_refresh_token_refreshes_nothing_and_leaves_nothing(house: House, token: str) -> None:
    assert (await house.refresh(token)).status_code == 401
    assert await house.runtime.store.find("families") == []


async def test_two_refreshes_at_once_both_stay_logged_in(house: House) -> None:
    ada = await house.moved_in()
    house.later(minutes=9)
    answers = await asyncio.gather(*(house.refresh(ada.refresh_token) for _ in range(2)))
    assert [answer.status_code for answer in answers] == [201, 201]
    house.later(minutes=9)
    for answer in answers:  # at once, each with its own
        assert (await Guest(house, answer.json())("GET", "/users/me")).status_code == 200
        assert (await house.refresh(answer.json()["refresh_token"])).status_code == 201


async def test_a_refresh_token_that_comes_again_later_ends_the_log_in_and_no_other(house: House) -> None:
    ada = await house.moved_in()
    elsewhere = Guest(house, (await house.log_in()).json())
    now = Guest(house, (await house.refresh(ada.refresh_token)).json())
    house.later(seconds=GRACE_S)
    assert (await house.refresh(ada.refresh_token)).status_code == 401
    assert (await house.refresh(now.refresh_token)).status_code == 401
    assert (await now("GET", "/users/me")).status_code == 401
    assert (await elsewhere("GET", "/users/me")).status_code == 200


async def test_a_log_in_that_is_used_all_the_time_ends_after_a_month(house: House) -> None:
    ada = await house.moved_in()
    end = house.now + AGE_MAX
    while house.now + timedelta(days=7) < end:
        house.later(days=7)
        refreshed = await house.refresh(ada.refresh_token)
        assert refreshed.status_code == 201
        ada = Guest(house, refreshed.json())
    assert datetime.fromisoformat(refreshed.json()["refresh_expires_at"]) == end
    house.later(days=7)
    assert (await house.refresh(ada.refresh_token)).status_code == 401


async def test_logging_out_ends_this_log_in_and_no_other(house: House) -> None:
    phone = await house.moved_in()
    desk = Guest(house, (await house.log_in()).json())
    assert (await phone("DELETE", "/sessions/current")).status_code == 204
    assert (await phone("GET", "/users/me")).status_code == 401
    assert (await house.refresh(phone.refresh_token)).status_code == 401
    assert (await phone("DELETE", "/sessions/current")).status_code == 401
    assert (await desk("GET", "/users/me")).status_code == 200


async def test_logging_out_everywhere_ends_all_and_one_may_come_back(house: House) -> None:
    phone = await house.moved_in()
    desk = Guest(house, (await house.log_in()).json())
    assert (await phone("DELETE", "/sessions")).status_code == 204
    for guest in (phone, desk):
        assert (await guest("GET", "/users/me")).status_code == 401
        assert (await house.refresh(guest.refresh_token)).status_code == 401
    assert (await house.log_in()).status_code == 201


async def test_another_password_ends_all_log_ins_and_is_told(house: House) -> None:
    ada = await house.moved_in()
    elsewhere = Guest(house, (await house.log_in()).json())
    assert (
        await ada("PUT", "/users/me/password", {"current": PASSWORD, "new": "staple of the horse"})
    ).status_code == 204
    for guest in (ada, elsewhere):
        assert (await guest("GET", "/users/me")).status_code == 401
        assert (await house.refresh(guest.refresh_token)).status_code == 401
    assert (await house.log_in()).status_code == 401
    assert (await house.log_in(password="staple of the horse")).status_code == 201
    assert house.said_types()[-1] == "user.password_changed.v1"


@pytest.mark.parametrize(
    ("current", "new", "status", "told"),
    [
        ("not my password", "staple of the horse", 403, "/problems/wrong-password"),
        (PASSWORD, "password123", 422, "body.new:"),
        (PASSWORD, "ada12345", 422, "body.new:"),
        (PASSWORD, "short", 422, "body.new:"),
        ({"$ne": 1}, "staple of the horse", 422, "body.current:"),
    ],
)
async def test_a_password_is_not_changed_without_the_old_one_nor_to_a_bad_one(
    house: House, current: Any, new: str, status: int, told: str
) -> None:
    ada = await house.moved_in()
    answer = await ada("PUT", "/users/me/password", {"current": current, "new": new})
    assert answer.status_code == status
    assert told in answer.text
    assert (await ada.me())["name"] == "Ada"
    assert (await house.log_in()).status_code == 201


async def test_a_log_in_with_the_old_password_that_overlaps_the_change_is_over(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was found right just before, and the log-in is opened just after."""
    ada = await house.moved_in()
    right, checked, changed = house.passwords.right, asyncio.Event(), asyncio.Event()

    async def slowly(password_hash: str, password: str) -> bool:
        found = await right(password_hash, password)
        if not checked.is_set():
            checked.set()
            await changed.wait()
        return found

    monkeypatch.setattr(house.passwords, "right", slowly)
    overlapping = asyncio.create_task(house.log_in())
    await checked.wait()
    await ada("PUT", "/users/me/password", {"current": PASSWORD, "new": "staple of the horse"})
    changed.set()
    late = (await overlapping).json()
    assert (await Guest(house, late)("GET", "/users/me")).status_code == 401
    assert (await house.refresh(late["refresh_token"])).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/users/me"),
        ("PUT", "/users/me"),
        ("PUT", "/users/me/password"),
        ("POST", "/users/me/erasure"),
        ("POST", "/users/me/addresses"),
        ("DELETE", "/users/me/addresses/home"),
        ("DELETE", "/sessions/current"),
        ("DELETE", "/sessions"),
        ("GET", "/internal/contacts/0190f0e8-0000-7000-8000-000000000001"),
    ],
)
@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer nonsense", "Basic YTpi", "Bearer {'$ne': 1}", "Bearer t\u00f6rtchen"]
)
async def test_nothing_is_shown_without_a_valid_token(house: House, method: str, path: str, header: str) -> None:
    headers = {b"Authorization": header.encode()} if header else {}
    answer = await house.http.request(method, path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


async def test_bearer_may_be_written_in_small_letters(house: House) -> None:
    ada = await house.moved_in()
    answer = await house.http.get("/users/me", headers={"Authorization": f"bearer {ada.token}"})
    assert answer.status_code == 200


def test_what_the_tests_take_for_granted() -> None:
    assert timedelta(minutes=9) < LIFETIME < timedelta(minutes=11)
