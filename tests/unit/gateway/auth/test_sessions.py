"""Browser sessions: renewed transparently, ended at once, and useless to a reader of the database."""

import asyncio
import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import pytest
from cryptography.fernet import Fernet, InvalidToken

from contracts.roles import Role
from gateway.auth.aggregates import SESSIONS
from tests.support.fake_user_svc import REFRESH_LIFETIME
from tests.support.shops.gateway import GatewayFixture, place_order

ORDERS = "/api/v1/orders"


async def status(browser: httpx.AsyncClient, path: str = ORDERS) -> int:
    return (await browser.get(path)).status_code


def today() -> GatewayFixture:
    """The real time, because httpx expires cookies by the real clock."""
    gateway = GatewayFixture()
    gateway.now = datetime.now(UTC)
    return gateway


async def test_a_session_belongs_to_the_user_that_logged_in() -> None:
    gateway = GatewayFixture()
    ada, bob = await gateway.logged_in(), await gateway.logged_in("bob@example.org")
    placed = await place_order(ada)
    assert placed.status_code == 202, placed.text
    assert await status(ada, placed.headers["Location"]) == 200
    assert await status(bob, placed.headers["Location"]) == 404
    assert await status(gateway.browser()) == 401


async def test_session_ids_are_unique_and_invented_ones_are_rejected() -> None:
    gateway = GatewayFixture()
    name = gateway.deps.cookies.session
    first, second = (await gateway.logged_in()).cookies[name], (await gateway.logged_in()).cookies[name]
    assert first != second and len(first) >= 43
    for made_up in ("", "x" * 43, first[:-1], "x" * 10_000):
        assert await status(gateway.client(Cookie=f"{name}={made_up}")) == 401


async def test_stored_sessions_do_not_reveal_cookies() -> None:
    gateway = GatewayFixture()
    browser = await gateway.logged_in()
    cookie = browser.cookies[gateway.deps.cookies.session]
    [kept] = await gateway.store.find(SESSIONS.kind)
    assert kept.state is not None
    text = json.dumps(kept.state) + kept.key
    log_in = next(iter(gateway.users.log_ins.values()))
    assert cookie not in text and log_in.newest not in text and "ada@" not in text
    thief = gateway.client(Cookie=f"{gateway.deps.cookies.session}={kept.key}")
    assert await status(thief) == 401
    with pytest.raises(InvalidToken):
        Fernet(Fernet.generate_key()).decrypt(kept.state["tokens"])


async def test_an_access_token_that_is_soon_over_is_renewed_once() -> None:
    gateway = today()
    browser = await gateway.logged_in()
    gateway.later(minutes=9, seconds=30)
    assert [await status(browser) for _ in range(3)] == [200] * 3
    assert sum(received.path == "/sessions/refresh" for received in gateway.users.requests) == 1


async def test_parallel_requests_of_two_instances_stay_logged_in() -> None:
    one = today()
    other = GatewayFixture(broker=one.broker, store=one.store, users=one.users)
    browser = await one.logged_in()
    twin = other.browser()
    twin.cookies = browser.cookies
    for _ in range(4):
        one.later(minutes=9, seconds=30)
        other.now = one.now
        responses = await asyncio.gather(*(status((browser, twin)[n % 2]) for n in range(12)))
        assert set(responses) == {200}
    refreshes = sum(received.path == "/sessions/refresh" for received in one.users.requests)
    assert 4 <= refreshes <= 8  # each instance at most once per renewal


async def test_logout_is_immediate_on_every_instance_and_in_user_svc() -> None:
    one = GatewayFixture()
    other = GatewayFixture(broker=one.broker, store=one.store, users=one.users)
    browser = await one.logged_in()
    twin = other.browser()
    twin.cookies.update(browser.cookies)
    assert await status(browser) == await status(twin) == 200
    out = await browser.delete("/api/v1/sessions/current")
    assert out.status_code == 204
    assert "Clear-Site-Data" in out.headers and "Max-Age=0" in out.headers["Set-Cookie"]
    assert await status(twin) == 401  # the browser still has the cookie
    assert not one.users.log_ins


async def test_logging_out_works_while_user_svc_is_unavailable() -> None:
    gateway = GatewayFixture()
    browser = await gateway.logged_in()
    thief = gateway.browser()
    thief.cookies.update(browser.cookies)
    gateway.users.away = True
    assert (await browser.delete("/api/v1/sessions/current")).status_code == 204
    assert await status(thief) == 401


async def test_a_login_ended_by_user_svc_ends_with_its_token() -> None:
    gateway = GatewayFixture()
    browser = await gateway.logged_in()
    gateway.users.log_ins.clear()
    assert await status(browser) == 200
    gateway.later(minutes=9, seconds=30)
    assert await status(browser) == 401
    assert await status(browser) == 401
    assert sum(received.path == "/sessions/refresh" for received in gateway.users.requests) == 1


async def test_without_user_svc_only_customer_sessions_last_an_hour() -> None:
    gateway = GatewayFixture(apps={"operations": _operations})
    ada, ops = await gateway.logged_in(), await gateway.logged_in("ops@example.org", Role.STAFF)
    assert await status(ops, "/ops") == 200
    gateway.users.away = True
    gateway.later(minutes=30)
    assert (await place_order(ada)).status_code == 202
    assert await status(ops, "/ops") == 404
    assert await status(ops) == 200  # without the staff role
    me = await ada.get("/api/v1/users/me")
    assert me.status_code == 503 and "Retry-After" in me.headers
    gateway.later(minutes=31)
    assert await status(ada) == 401
    gateway.users.away = False
    gateway.deps.users._circuit.record_success()
    assert await status(ada) == 200  # the session was not lost


async def test_session_and_cookie_lifetimes_are_equal_and_extended() -> None:
    gateway = GatewayFixture()
    browser = await gateway.logged_in()
    name = gateway.deps.cookies.session
    sent = {"Cookie": f"{name}={browser.cookies[name]}"}
    for _ in range(4):
        gateway.later(days=13)
        gateway.store.expire(gateway.now)  # as the database's TTL index does
        response = await gateway.client().get(ORDERS, headers=sent)
        assert response.status_code == 200
        [renewed] = [
            cookie for cookie in response.headers.get_list("set-cookie") if cookie.startswith(f"{name}=")
        ]
        until = parsedate_to_datetime(renewed.partition("expires=")[2].partition(";")[0])
        [kept] = await gateway.store.find(SESSIONS.kind)
        assert kept.state is not None
        ends_at = datetime.fromisoformat(kept.state["ends_at"])
        assert until == ends_at == gateway.now + REFRESH_LIFETIME
        assert "HttpOnly" in renewed and "Secure" in renewed and "SameSite=lax" in renewed
    assert (
        "set-cookie" not in (await gateway.client().get(ORDERS, headers=sent)).headers
    )  # not renewed, so the cookie has not changed


async def test_logout_clears_the_cookie_despite_a_concurrent_renewal() -> None:
    gateway = GatewayFixture()
    browser = await gateway.logged_in()
    gateway.later(minutes=9, seconds=30)
    out = await browser.delete("/api/v1/sessions/current")
    assert out.status_code == 204
    assert ["Max-Age=0" in cookie for cookie in out.headers.get_list("set-cookie")] == [True]


async def test_a_session_ends_when_the_log_in_does() -> None:
    gateway = GatewayFixture()
    browser = await gateway.logged_in()
    gateway.later(days=30, seconds=1)
    assert await status(browser) == 401


async def _operations(scope: object, receive: object, send: object) -> None:
    from starlette.responses import PlainTextResponse

    await PlainTextResponse("the map")(scope, receive, send)  # type: ignore[arg-type]
