"""The edge middleware's checks and headers: on pages, the API, errors and static files."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
import structlog

from chassis import telemetry
from chassis.telemetry import span_ids
from chassis.web.problems import MEDIA_TYPE
from gateway.http.middleware import BODY_BYTES_MAX, CONTENT_SECURITY_POLICY
from tests.support.shops.gateway import ORDER, SHOP, GatewayFixture, place_order

EVERYWHERE = [
    "/",
    "/static/site.css",
    "/static/nothing.css",
    "/nothing",
    "/api/v1/nothing",
    "/problems/away",
    "/openapi.json",
]
KEY = {"Idempotency-Key": "k1"}


@pytest.mark.parametrize("path", EVERYWHERE)
async def test_every_response_has_security_headers(path: str) -> None:
    response = await GatewayFixture().browser().get(path)
    assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert response.headers["Referrer-Policy"]
    assert response.headers["Cache-Control"]
    assert response.headers["X-Request-Id"]


async def test_an_unexpected_error_is_a_500_without_its_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = GatewayFixture()

    async def broken(*given: Any) -> None:
        raise RuntimeError("with a secret in it")

    gateway.deps.orders.list_for_customer = broken  # type: ignore[assignment, method-assign]
    log = structlog.testing.CapturingLogger()
    monkeypatch.setattr(telemetry, "log", log)
    response = await gateway.program().get("/api/v1/orders")
    assert [(call.method_name, call.args) for call in log.calls] == [("exception", ("a request failed",))]
    assert response.status_code == 500
    assert response.headers["Content-Type"] == MEDIA_TYPE
    assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert response.json()["type"] == "/problems/failed"
    assert response.json()["instance"] == response.headers["X-Request-Id"]
    assert "secret" not in response.text


async def test_errors_are_html_for_browsers_and_problems_for_programs() -> None:
    gateway = GatewayFixture()
    page = await gateway.browser().get("/nothing-of-the-kind")
    assert page.status_code == 404 and page.headers["Content-Type"].startswith("text/html")
    assert page.headers["X-Request-Id"] in page.text
    problem = await gateway.client().get("/nothing-of-the-kind")
    assert problem.status_code == 404 and problem.headers["Content-Type"] == MEDIA_TYPE
    api = await gateway.browser().get("/api/v1/nothing-of-the-kind")
    assert api.headers["Content-Type"] == MEDIA_TYPE
    explained = await gateway.browser().get(problem.json()["type"])
    assert explained.status_code == 200 and problem.json()["title"] in explained.text
    wrong_way = await gateway.client().delete("/api/v1/orders")
    assert (wrong_way.status_code, wrong_way.headers["Allow"]) == (405, "GET, HEAD, POST")


async def test_a_valid_request_id_is_kept() -> None:
    gateway = GatewayFixture()
    response = await gateway.client(**{"X-Request-Id": "my-own-id-1"}).get("/api/v1/nothing")
    assert response.headers["X-Request-Id"] == response.json()["instance"] == "my-own-id-1"
    made_up = await gateway.client(**{"X-Request-Id": "a b\tc<script>"}).get("/api/v1/nothing")
    assert "script" not in made_up.headers["X-Request-Id"]


async def test_the_trace_continues_in_services_and_messages() -> None:
    gateway = GatewayFixture()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    ada = gateway.program()
    placed = await ada.post("/api/v1/orders", json=ORDER, headers=KEY | {"traceparent": trace})
    await ada.get("/api/v1/users/me", headers={"traceparent": trace, "X-Request-Id": "my-own-id-1"})
    [command] = gateway.broker.tapped
    context = command.headers["traceparent"]
    assert span_ids.trace_of(context) == UUID(placed.json()["id"]).hex
    assert span_ids.span_of(context) == span_ids.create_span_id(str(command.message_id))
    received = gateway.users.requests[-1]
    assert span_ids.trace_of(received.headers["traceparent"]) == span_ids.trace_of(trace)
    assert received.headers["x-request-id"] == "my-own-id-1"


async def test_a_clients_flag_does_not_sample_its_trace() -> None:
    gateway = GatewayFixture()
    ada = gateway.program()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await ada.post("/api/v1/orders", json=ORDER, headers=KEY | {"traceparent": trace})
    await ada.get("/api/v1/users/me", headers={"traceparent": trace})
    [command] = gateway.broker.tapped
    assert not span_ids.is_sampled(command.headers["traceparent"])
    assert not span_ids.is_sampled(gateway.users.requests[-1].headers["traceparent"])


async def test_internal_identity_headers_of_clients_are_removed() -> None:
    gateway = GatewayFixture()
    lies = {
        "X-Client-Address": "10.0.0.1",
        "X-Service-Token": "the-token-of-the-services",
        "X-User-Id": "somebody-else",
        "X-Forwarded-For": "10.0.0.1",
        "Forwarded": "for=10.0.0.1",
    }
    credentials = {"email": "ada@example.org", "password": "wrong"}
    assert (await gateway.client(**lies).post("/api/v1/sessions", json=credentials)).status_code == 401
    received = gateway.users.requests[-1].headers
    assert received["x-client-address"] == "127.0.0.1"
    assert "x-user-id" not in received and "forwarded" not in received and "x-forwarded-for" not in received


async def test_a_body_without_end_is_not_read() -> None:
    gateway = GatewayFixture()
    ada = gateway.program()
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * BODY_BYTES_MAX:
            sent += 1024
            yield b" " * 1024

    chunked = await ada.post(
        "/api/v1/orders", content=endless(), headers=KEY | {"Content-Type": "application/json"}
    )
    assert (chunked.status_code, chunked.json()["type"]) == (413, "/problems/too-large")
    assert sent <= BODY_BYTES_MAX + 1024
    expected = await ada.post("/api/v1/orders", content=b" " * (BODY_BYTES_MAX + 1), headers=KEY)
    assert expected.status_code == 413
    lied = await ada.post("/api/v1/orders", content=b"{}", headers=KEY | {"Content-Length": "-1"})
    assert lied.status_code == 413


async def test_a_request_over_the_time_limit_gets_503() -> None:
    gateway = GatewayFixture(request_s_max=0.1, publish_s_max=10)

    async def silent(wire_messages: Any) -> Any:
        await asyncio.sleep(60)

    gateway.bus.publish = silent  # type: ignore[method-assign]
    response = await place_order(gateway.program())
    assert response.status_code == 503 and response.headers["Retry-After"]


async def attempt(browser: httpx.AsyncClient, **headers: str) -> int:
    response = await browser.post("/api/v1/orders", json=ORDER, headers=KEY | headers)
    return response.status_code


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": SHOP},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    ],
    ids=str,
)
async def test_requests_with_cookies_from_other_sites_are_rejected(headers: dict[str, str]) -> None:
    gateway = GatewayFixture()
    browser = await gateway.logged_in()
    del browser.headers["Sec-Fetch-Site"]
    assert await attempt(browser, **headers) == 403
    token = gateway.program().headers["Authorization"]
    assert await attempt(browser, **headers, Authorization=token) == 403  # the request still has the cookie
    assert not gateway.broker.tapped


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": SHOP}], ids=str
)
async def test_requests_of_the_shops_own_pages_are_accepted(headers: dict[str, str]) -> None:
    gateway = GatewayFixture()
    browser = await gateway.logged_in()
    del browser.headers["Sec-Fetch-Site"]
    assert await attempt(browser, **headers) == 202


@pytest.mark.parametrize(
    "path", ["/login", "/logout", "/register", "/theme", "/basket", "/ops/redrives", "/ops/faults"]
)
async def test_cross_site_login_and_logout_are_rejected(path: str) -> None:
    """Also without cookies: login CSRF would log the user in to the attacker's account."""
    gateway = GatewayFixture()
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        response = await gateway.client(Accept="text/html").post(path, data={"email": "a"}, headers=headers)
        assert response.status_code == 403
        assert response.headers["Content-Type"].startswith("text/html")


async def test_a_program_with_a_token_may_come_from_anywhere() -> None:
    gateway = GatewayFixture()
    assert (
        await attempt(gateway.program(), **{"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example"})
        == 202
    )


async def test_other_origins_read_nothing_unless_they_are_listed() -> None:
    preflight = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,idempotency-key",
    }
    closed = await GatewayFixture().client().options("/api/v1/orders", headers=preflight)
    assert "Access-Control-Allow-Origin" not in closed.headers
    gateway = GatewayFixture(cors_origins="https://app.example, https://other.example")
    opened = await gateway.client().options("/api/v1/orders", headers=preflight)
    assert opened.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Access-Control-Allow-Credentials" not in opened.headers
    stranger = await gateway.client().options(
        "/api/v1/orders", headers=preflight | {"Origin": "https://evil.example"}
    )
    assert "Access-Control-Allow-Origin" not in stranger.headers


async def test_rate_limited_responses_have_retry_after() -> None:
    gateway = GatewayFixture(rate_user=3, rate_anonymous=2, rate_orders=1)
    ada = gateway.program()
    bob = gateway.program("bob@example.org")
    guest = gateway.client()
    seen = [await ada.get("/api/v1/orders") for _ in range(4)]
    assert [response.status_code for response in seen] == [200, 200, 200, 429]
    assert seen[0].headers["RateLimit-Policy"] == '"user";q=3;w=60'
    assert seen[0].headers["RateLimit"].startswith('"user";r=2;t=')
    late = seen[-1]
    assert late.json()["type"].endswith("#quota-exceeded") and late.json()["violated-policies"] == ["user"]
    assert int(late.headers["Retry-After"]) >= int(late.headers["RateLimit"].rpartition("=")[2])
    assert [(await place_order(bob)).status_code for _ in range(2)] == [202, 429]
    assert [(await guest.get("/api/v1/orders")).status_code for _ in range(3)] == [401, 401, 429]
    assert (await guest.get("/static/site.css")).status_code == 200


async def test_a_wrong_token_counts_for_its_address() -> None:
    gateway = GatewayFixture(rate_anonymous=2)
    guesser = gateway.client(Authorization="Bearer guessed")
    assert [(await guesser.get("/api/v1/orders")).status_code for _ in range(3)] == [401, 401, 429]


async def test_cookies_are_safe_from_scripts_other_sites_and_plain_http() -> None:
    gateway = GatewayFixture()
    browser = await gateway.logged_in()
    out = await browser.delete("/api/v1/sessions/current")
    cookie = out.headers["Set-Cookie"]
    assert cookie.startswith("__Host-sid=")
    assert {"Secure", "HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    plain = GatewayFixture(cookies_insecure=True).deps.cookies
    assert (plain.session, plain.basket) == ("sid", "basket")
