"""A change of password or roles invalidates older sessions and access tokens at once, on every instance."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.responses import StreamingResponse

from chassis.bus.memory import MemoryBus
from chassis.core.decision import Context
from chassis.messaging.envelope import wrap
from chassis.messaging.identity import new_id
from chassis.web.http_client import UpstreamClient
from contracts import users
from contracts.catalog import CATALOG
from contracts.http.access import USER_HEADER, VERSION_HEADER
from contracts.http.users import Tokens
from contracts.notifications import MailKind
from contracts.roles import Role
from gateway.auth.required_access_version import RequiredAccessVersion, decide
from tests.integration.services.gateway.test_user_svc_contract import CREDENTIALS, registered, with_user_svc
from tests.support.eventually import until
from tests.support.order_outcomes import OUTCOMES
from tests.support.shops import user as user_svc
from tests.support.shops.gateway import GatewayFixture, place_order, running
from tests.support.timeline_fixtures import ListeningServer, store_timeline
from tests.unit.gateway.live.test_streams import QUICK, following, received_until, session

NEW_PASSWORD = "another long and quiet sentence"


def another_instance(gateway: GatewayFixture) -> GatewayFixture:
    return GatewayFixture(broker=gateway.broker, store=gateway.store, users=gateway.users)


async def browser_of(gateway: GatewayFixture, tokens: dict[str, Any]) -> httpx.AsyncClient:
    browser = gateway.browser()
    cookie = await gateway.deps.sessions.open(Tokens.model_validate(tokens))
    browser.cookies.set(gateway.deps.cookies.session, cookie, domain="shop.example", path="/")
    return browser


async def publish(gateway: GatewayFixture, event: users.AccessChanged) -> None:
    envelope = wrap(event, id=str(new_id()), source="user_svc", now=gateway.now)
    assert await MemoryBus(gateway.broker, "user_svc").publish([envelope.wire_message(CATALOG)]) == [None]


async def change_roles(gateway: GatewayFixture, email: str, *roles: Role) -> users.AccessChanged:
    """Changes the roles as user_svc does, and returns the event without publishing it."""
    account = gateway.users.has(email)
    account.roles, account.access_version = (Role.CUSTOMER, *roles), account.access_version + 1
    return users.AccessChanged(user_id=account.user_id, version=account.access_version)


def test_the_required_access_version_never_decreases() -> None:
    required = RequiredAccessVersion()
    for version, expected in ((2, 2), (1, 2), (2, 2), (3, 3)):
        required = decide(required, users.AccessChanged(user_id=new_id(), version=version), Context()).state
        assert required.version == expected


@pytest.mark.parametrize("way", ["reset", "change", "everywhere", "erasure"])
async def test_an_account_change_ends_other_sessions_before_its_response(way: str) -> None:
    """No event arrives in this test: user_svc has a broker of its own."""
    gateway, users_ = with_user_svc()
    tokens = await registered(gateway, users_)
    log_in = (await gateway.client().post("/api/v1/sessions", json=CREDENTIALS)).json()
    other_browser = await browser_of(gateway, log_in)
    program = gateway.client(Authorization=f"Bearer {tokens['access_token']}")
    third = await browser_of(
        gateway, (await gateway.client().post("/api/v1/sessions", json=CREDENTIALS)).json()
    )
    assert (await place_order(other_browser)).status_code == (await place_order(program)).status_code == 202
    match way:
        case "reset":
            token = await users_.link(tokens["user_id"], MailKind.PASSWORD_RESET)
            form = {"token": token, "password": NEW_PASSWORD}
            done = await gateway.client().post("/api/v1/password-resets/confirmations", json=form)
        case "change":
            form = {"current": user_svc.PASSWORD, "new": NEW_PASSWORD}
            done = await third.post("/account/password", data=form)
        case "everywhere":
            done = await third.post("/account/logout-everywhere")
        case _:
            done = await third.post("/account/erasure", data={"password": user_svc.PASSWORD})
    assert done.status_code in (204, 303), done.text
    assert [(await place_order(client)).status_code for client in (other_browser, program, third)] == [
        401
    ] * 3


async def test_after_a_reset_a_new_log_in_counts_at_once() -> None:
    gateway, users_ = with_user_svc()
    tokens = await registered(gateway, users_)
    token = await users_.link(tokens["user_id"], MailKind.PASSWORD_RESET)
    form = {"token": token, "password": NEW_PASSWORD}
    assert (
        await gateway.client().post("/api/v1/password-resets/confirmations", json=form)
    ).status_code == 204
    again = await gateway.client().post("/api/v1/sessions", json=CREDENTIALS | {"password": NEW_PASSWORD})
    browser = await browser_of(gateway, again.json())
    assert (await place_order(browser)).status_code == 202


async def test_a_revoked_role_ends_on_every_instance_with_the_event() -> None:
    gateway = GatewayFixture(apps={"operations": _operations})
    other = GatewayFixture(
        broker=gateway.broker, store=gateway.store, users=gateway.users, apps={"operations": _operations}
    )
    staff = await gateway.logged_in("ops@example.org", Role.STAFF)
    twin, program = other.browser(), other.program("ops@example.org", Role.STAFF)
    twin.cookies.update(staff.cookies)
    async with running(gateway):
        assert [(await each.get("/ops")).status_code for each in (staff, twin, program)] == [200] * 3
        event = await change_roles(gateway, "ops@example.org")
        await publish(gateway, event)
        await until(lambda: gateway.deps.versions.required(event.user_id), lambda version: version == 1)
        assert [(await each.get("/ops")).status_code for each in (staff, twin)] == [404] * 2
        assert (await program.get("/ops")).status_code == 401
        # the login continues with the remaining roles
        assert (await staff.get("/api/v1/orders")).status_code == 200


async def test_a_late_event_ends_no_newer_session() -> None:
    gateway = GatewayFixture()
    event = await change_roles(gateway, "ada@example.org")
    browser = await gateway.logged_in()
    async with running(gateway):
        await publish(gateway, event)
        await until(lambda: gateway.deps.versions.required(event.user_id), lambda version: version == 1)
        assert (await browser.get("/api/v1/orders")).status_code == 200
    assert not [received for received in gateway.users.requests if received.path == "/sessions/refresh"]


async def test_an_outdated_session_is_rejected_while_user_svc_is_down() -> None:
    gateway = GatewayFixture()
    browser = await gateway.logged_in()
    event = await change_roles(gateway, "ada@example.org")
    async with running(gateway):
        await publish(gateway, event)
        await until(lambda: gateway.deps.versions.required(event.user_id), lambda version: version == 1)
        gateway.users.away = True
        assert (await place_order(browser)).status_code == 401
        gateway.users.away = False
        gateway.deps.users._circuit.record_success()
        assert (await place_order(browser)).status_code == 202


async def test_unreadable_access_versions_of_user_svc_are_not_kept() -> None:
    gateway, ada = GatewayFixture(), new_id()
    for headers in ({VERSION_HEADER: "7"}, {VERSION_HEADER: "x", USER_HEADER: str(ada)}, {}):
        await gateway.deps.versions.learn(httpx.Response(204, headers=headers))
    await gateway.deps.versions.learn(
        httpx.Response(401, headers={VERSION_HEADER: "7", USER_HEADER: str(ada)})
    )
    assert await gateway.deps.versions.required(ada) == 0
    gateway.store.away = True
    await gateway.deps.versions.learn(
        httpx.Response(204, headers={VERSION_HEADER: "7", USER_HEADER: str(ada)})
    )


async def test_a_stream_stops_when_its_session_ends() -> None:
    gateway = GatewayFixture()
    async with running(gateway):
        gateway.deps.live.timings = replace(QUICK, check_s=600)  # only an update triggers the check
        await store_timeline(gateway, OUTCOMES["paying"])
        browser = await gateway.logged_in()
        async with (
            ListeningServer(gateway.app) as server,
            following(server, gateway.client(), **session(browser)) as stream,
        ):
            await anext(stream)
            account = gateway.users.has("ada@example.org")
            gateway.users.log_ins.clear()
            await publish(gateway, users.AccessChanged(user_id=account.user_id, version=1))
            await until(lambda: gateway.deps.versions.required(account.user_id), lambda version: version == 1)
            await store_timeline(gateway, OUTCOMES["confirmed"])
            last = (await received_until(stream, "farewell"))[-1]
    assert last.data == "log in"


async def test_a_stream_of_the_operations_pages_ends_with_the_role() -> None:
    gateway = GatewayFixture()
    staff = await gateway.logged_in("ops@example.org", Role.STAFF)
    async with (
        running(gateway),
        ListeningServer(_operations) as behind,
        ListeningServer(gateway.app) as server,
    ):
        gateway.deps.operations = UpstreamClient("operations", behind.url)
        async with (
            asyncio.timeout(60),
            httpx.AsyncClient(base_url=server.url, timeout=30) as client,
            client.stream("GET", "/ops/events", headers=session(staff)) as response,
        ):
            chunks = response.aiter_bytes()
            assert await anext(chunks)
            await publish(gateway, await change_roles(gateway, "ops@example.org"))
            while await anext(chunks, None):
                pass


async def _operations(scope: Any, receive: Any, send: Any) -> None:
    async def for_ever() -> Any:
        yield b"data: 1\n\n"
        while scope["path"].endswith("/events"):
            await asyncio.sleep(0.05)
            yield b"data: 2\n\n"

    await StreamingResponse(for_ever(), media_type="text/event-stream")(scope, receive, send)
