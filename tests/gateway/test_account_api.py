"""Accounts through the door: its outline is checked here, and user_svc's answers are passed on."""

import httpx
import pytest

from contracts.identity import new_id
from contracts.roles import Role
from tests.gateway.house import SERVICE_TOKEN, GatewayHouse
from tests.gateway.users import PASSWORD

CREDENTIALS = {"email": "ada@example.org", "password": PASSWORD}


async def test_a_program_logs_in_with_tokens_and_uses_them() -> None:
    house = GatewayHouse()
    house.users.has("ada@example.org")
    client = house.client()
    opened = await client.post("/api/v1/sessions", json=CREDENTIALS)
    assert opened.status_code == 201, opened.text
    assert opened.headers["Cache-Control"] == "no-store" and "Set-Cookie" not in opened.headers
    again = await client.post("/api/v1/sessions/refresh", json={"refresh_token": opened.json()["refresh_token"]})
    assert again.status_code == 201


async def test_a_wrong_log_in_is_told_in_one_way() -> None:
    house = GatewayHouse()
    house.users.has("ada@example.org")
    told = []
    for credentials in (CREDENTIALS | {"password": "wrong"}, CREDENTIALS | {"email": "nobody@example.org"}):
        answer = await house.client().post("/api/v1/sessions", json=credentials)
        told.append((answer.status_code, answer.json() | {"instance": ""}))
    assert told[0] == told[1] and told[0][0] == 401


@pytest.mark.parametrize("password", [{"$ne": None}, ["x"], 12345678, None, True, "x" * 129])
async def test_only_a_text_is_a_password(password: object) -> None:
    house = GatewayHouse()
    answer = await house.client().post("/api/v1/sessions", json={"email": "ada@example.org", "password": password})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["#/password"]
    assert "$ne" not in answer.text
    assert not house.users.heard


async def test_a_body_that_is_missing_is_pointed_at_as_a_whole() -> None:
    answer = await GatewayHouse().client().post("/api/v1/sessions")
    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (422, ["#"])


async def test_nobody_gives_themselves_a_role_or_an_id() -> None:
    house = GatewayHouse()
    form = CREDENTIALS | {"name": "Ada"}
    for extra in ({"roles": ["staff"]}, {"role": "staff"}, {"user_id": str(new_id())}, {"is_staff": True}):
        answer = await house.client().post("/api/v1/users", json=form | extra)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == f"#/{next(iter(extra))}"
    assert not house.users.heard
    taken = await house.client().post("/api/v1/users", json=form)
    assert taken.status_code == 202 and taken.headers["Location"] == "/api/v1/users/me"


async def test_user_svc_is_told_the_address_by_somebody_it_believes() -> None:
    house = GatewayHouse()
    await house.client().post("/api/v1/sessions", json=CREDENTIALS)
    heard = house.users.heard[-1].headers
    assert heard["x-client-address"] == "127.0.0.1" and heard["x-service-token"] == SERVICE_TOKEN


async def test_a_no_of_user_svc_is_ours_with_its_words_and_its_patience() -> None:
    answer = await GatewayHouse().client().post("/api/v1/password-resets", json={"email": "hasty@example.org"})
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "7"
    assert answer.json()["type"].endswith("#quota-exceeded") and answer.json()["detail"] == "user_svc says no"
    assert answer.json()["instance"] == answer.headers["X-Request-Id"]


async def test_ones_own_account_is_shown_with_a_token_or_a_session() -> None:
    house = GatewayHouse()
    for client in (house.program(), await house.logged_in()):
        me = await client.get("/api/v1/users/me")
        assert me.status_code == 200 and me.json()["email"] == "ada@example.org"
        assert me.headers["Cache-Control"] == "no-store"
    assert (await house.client().get("/api/v1/users/me")).status_code == 401


async def test_without_user_svc_it_says_so() -> None:
    house = GatewayHouse()
    house.users.away = True
    answer = await house.client().post("/api/v1/sessions", json=CREDENTIALS)
    assert answer.status_code == 503 and answer.headers["Retry-After"]
    assert answer.json()["type"] == "/problems/away"


async def test_operations_are_there_for_staff_only() -> None:
    heard: list[httpx.Headers] = []

    async def operations(scope: dict[str, object], receive: object, send: object) -> None:
        from starlette.requests import Request
        from starlette.responses import JSONResponse

        request = Request(scope, receive)  # type: ignore[arg-type]
        body = await request.body()
        heard.append(httpx.Headers(request.headers.raw))
        told = {"path": request.url.path, "query": request.url.query, "body": body.decode(), "method": request.method}
        await JSONResponse(told, 207, headers={"Set-Cookie": "no=1", "X-Own": "yes"})(scope, receive, send)  # type: ignore[arg-type]

    house = GatewayHouse(apps={"operations": operations})
    for client in (house.client(), house.program(), await house.logged_in()):
        for path in ("/ops", "/ops/dead-letters"):
            assert (await client.get(path)).status_code == 404
    assert not heard
    ops = await house.logged_in("ops@example.org", Role.STAFF)
    ops.cookies.set("theme", "dark")
    answer = await ops.post(
        "/ops/redrives?dry_run=1", data={"group": "a b"}, headers={"X-User-Id": "me", "X-Theme": "mine"}
    )
    assert answer.status_code == 207
    assert answer.json() == {"path": "/ops/redrives", "query": "dry_run=1", "body": "group=a+b", "method": "POST"}
    assert "Set-Cookie" not in answer.headers and answer.headers["X-Own"] == "yes"
    [headers] = heard
    assert headers["Authorization"].startswith("Bearer ey") and headers["X-Request-Id"]
    assert "cookie" not in headers and "x-user-id" not in headers and headers["X-Theme"] == "dark"
    away = GatewayHouse()
    assert (await away.program("ops@example.org", Role.STAFF).get("/ops")).status_code == 503
