"""Logging in and out. Whoever fails learns nothing, whoever reads the database can do nothing with it."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.user_svc.house import PASSWORD, House
from user_svc.session import SESSION_MAX


async def test_logging_in_gives_a_token_for_twelve_hours(house: House) -> None:
    await house.register()
    answer = await house.log_in(" Ada@EXAMPLE.org")
    opened = answer.json()
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert set(opened) == {"token", "expires_at", "user_id"}
    assert datetime.fromisoformat(opened["expires_at"]) == house.now + timedelta(hours=12)
    assert len(opened["token"]) >= 43  # 256 bits


async def test_every_log_in_gives_another_token(house: House) -> None:
    await house.register()
    assert (await house.log_in()).json()["token"] != (await house.log_in()).json()["token"]


async def test_wrong_password_and_unknown_address_cannot_be_told_apart(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.register()
    verified: list[str] = []
    verify = house.passwords._verify

    def noted(password_hash: str, given: str) -> bool:
        verified.append(given)
        return verify(password_hash, given)

    monkeypatch.setattr(house.passwords, "_verify", noted)
    answers = [await house.log_in(password="wrong password"), await house.log_in("eve@example.org", "wrong password")]
    assert verified == ["wrong password"] * 2
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].content == answers[1].content
    assert answers[0].headers == answers[1].headers
    assert answers[0].headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "password", [{"$ne": None}, {"$gt": ""}, None, 1, True, ["correct horse battery"], "x" * 129, "x" * 1_000_000]
)
async def test_a_password_is_a_short_string_or_nothing_is_looked_up(house: House, password: Any) -> None:
    await house.register()
    assert (await house.log_in(password=password)).status_code in (422, 413)


async def test_an_operator_in_place_of_an_address_is_refused(house: House) -> None:
    await house.register()
    body = {"email": {"$regex": ".*"}, "password": PASSWORD}
    assert (await house.http.post("/sessions", json=body)).status_code == 422


async def test_the_token_itself_is_kept_nowhere(house: House) -> None:
    ada = await house.moved_in()
    kept = [await house.runtime.store.find(kind) for kind in house.runtime.service.kinds]
    assert ada.token not in repr(kept)
    ada.token = (await house.runtime.store.find("sessions"))[0].key
    assert (await ada("GET", "/users/me")).status_code == 401


async def test_a_session_ends_with_its_time(house: House) -> None:
    ada = await house.moved_in()
    house.later(seconds=SESSION_MAX.total_seconds() - 1)
    assert (await ada("GET", "/users/me")).status_code == 200
    house.later(seconds=1)
    assert (await ada("GET", "/users/me")).status_code == 401


async def test_logging_out_ends_this_session_and_no_other(house: House) -> None:
    phone, desk = await house.moved_in(), (await house.log_in()).json()["token"]
    assert (await phone("DELETE", "/sessions/current")).status_code == 204
    assert (await phone("GET", "/users/me")).status_code == 401
    assert (await phone("DELETE", "/sessions/current")).status_code == 401
    phone.token = desk
    assert (await phone("GET", "/users/me")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/users/me"),
        ("PUT", "/users/me"),
        ("DELETE", "/users/me"),
        ("POST", "/users/me/addresses"),
        ("DELETE", "/users/me/addresses/home"),
        ("DELETE", "/sessions/current"),
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
