"""The accounts API: the gateway checks the shape of requests, and relays the responses of user_svc."""

import httpx
import pytest

from chassis.messaging.identity import new_id
from contracts.roles import Role
from tests.support.fake_user_svc import PASSWORD
from tests.support.shops.gateway import SERVICE_TOKEN, GatewayFixture

CREDENTIALS = {"email": "ada@example.org", "password": PASSWORD}


async def test_a_program_logs_in_with_tokens_and_uses_them() -> None:
    gateway = GatewayFixture()
    gateway.users.has("ada@example.org")
    client = gateway.client()
    opened = await client.post("/api/v1/sessions", json=CREDENTIALS)
    assert opened.status_code == 201, opened.text
    assert opened.headers["Cache-Control"] == "no-store" and "Set-Cookie" not in opened.headers
    again = await client.post(
        "/api/v1/sessions/refresh", json={"refresh_token": opened.json()["refresh_token"]}
    )
    assert again.status_code == 201


async def test_every_failed_login_has_one_response() -> None:
    gateway = GatewayFixture()
    gateway.users.has("ada@example.org")
    entry = []
    for credentials in (CREDENTIALS | {"password": "wrong"}, CREDENTIALS | {"email": "nobody@example.org"}):
        response = await gateway.client().post("/api/v1/sessions", json=credentials)
        entry.append((response.status_code, response.json() | {"instance": ""}))
    assert entry[0] == entry[1] and entry[0][0] == 401


@pytest.mark.parametrize("password", [{"$ne": None}, ["x"], 12345678, None, True, "x" * 129])
async def test_only_a_text_is_a_password(password: object) -> None:
    gateway = GatewayFixture()
    response = await gateway.client().post(
        "/api/v1/sessions", json={"email": "ada@example.org", "password": password}
    )
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == ["#/password"]
    assert "$ne" not in response.text
    assert not gateway.users.requests


async def test_a_missing_body_is_reported_as_a_whole() -> None:
    response = await GatewayFixture().client().post("/api/v1/sessions")
    assert (response.status_code, [error["pointer"] for error in response.json()["errors"]]) == (422, ["#"])


async def test_users_cannot_choose_their_role_or_id() -> None:
    gateway = GatewayFixture()
    form = CREDENTIALS | {"name": "Ada"}
    for extra in ({"roles": ["staff"]}, {"role": "staff"}, {"user_id": str(new_id())}, {"is_staff": True}):
        response = await gateway.client().post("/api/v1/users", json=form | extra)
        assert response.status_code == 422
        assert response.json()["errors"][0]["pointer"] == f"#/{next(iter(extra))}"
    assert not gateway.users.requests
    open_streams = await gateway.client().post("/api/v1/users", json=form)
    assert open_streams.status_code == 202 and open_streams.headers["Location"] == "/api/v1/users/me"


async def test_the_client_address_is_forwarded_with_the_service_token() -> None:
    gateway = GatewayFixture()
    await gateway.client().post("/api/v1/sessions", json=CREDENTIALS)
    received = gateway.users.requests[-1].headers
    assert received["x-client-address"] == "127.0.0.1" and received["x-service-token"] == SERVICE_TOKEN


async def test_rejections_of_user_svc_keep_their_detail_and_retry_after() -> None:
    response = (
        await GatewayFixture().client().post("/api/v1/password-resets", json={"email": "hasty@example.org"})
    )
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "7"
    assert (
        response.json()["type"].endswith("#quota-exceeded")
        and response.json()["detail"] == "user_svc says no"
    )
    assert response.json()["instance"] == response.headers["X-Request-Id"]


async def test_the_own_account_is_shown_with_token_or_session() -> None:
    gateway = GatewayFixture()
    for client in (gateway.program(), await gateway.logged_in()):
        me = await client.get("/api/v1/users/me")
        assert me.status_code == 200 and me.json()["email"] == "ada@example.org"
        assert me.headers["Cache-Control"] == "no-store"
    assert (await gateway.client().get("/api/v1/users/me")).status_code == 401


async def test_without_user_svc_the_response_is_503() -> None:
    gateway = GatewayFixture()
    gateway.users.away = True
    response = await gateway.client().post("/api/v1/sessions", json=CREDENTIALS)
    assert response.status_code == 503 and response.headers["Retry-After"]
    assert response.json()["type"] == "/problems/away"


async def test_operations_are_there_for_staff_only() -> None:
    received: list[httpx.Headers] = []

    async def operations(scope: dict[str, object], receive: object, send: object) -> None:
        from starlette.requests import Request
        from starlette.responses import JSONResponse

        request = Request(scope, receive)  # type: ignore[arg-type]
        body = await request.body()
        received.append(httpx.Headers(request.headers.raw))
        entry = {
            "path": request.url.path,
            "query": request.url.query,
            "body": body.decode(),
            "method": request.method,
        }
        await JSONResponse(entry, 207, headers={"Set-Cookie": "no=1", "X-Own": "yes"})(scope, receive, send)  # type: ignore[arg-type]

    gateway = GatewayFixture(apps={"operations": operations})
    for client in (gateway.client(), gateway.program(), await gateway.logged_in()):
        for path in ("/ops", "/ops/dead-letters"):
            assert (await client.get(path)).status_code == 404
    assert not received
    ops = await gateway.logged_in("ops@example.org", Role.STAFF)
    ops.cookies.set("theme", "dark")
    response = await ops.post(
        "/ops/redrives?dry_run=1", data={"group": "a b"}, headers={"X-User-Id": "me", "X-Theme": "mine"}
    )
    assert response.status_code == 207
    assert response.json() == {
        "path": "/ops/redrives",
        "query": "dry_run=1",
        "body": "group=a+b",
        "method": "POST",
    }
    assert "Set-Cookie" not in response.headers and response.headers["X-Own"] == "yes"
    [headers] = received
    assert headers["Authorization"].startswith("Bearer ey") and headers["X-Request-Id"]
    assert "cookie" not in headers and "x-user-id" not in headers and headers["X-Theme"] == "dark"
    away = GatewayFixture()
    assert (await away.program("ops@example.org", Role.STAFF).get("/ops")).status_code == 503
