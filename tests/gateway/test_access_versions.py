"""Once a password or a role changes, no older session or access token is of use: at once, on every instance."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.responses import StreamingResponse

from chassis.memory import MemoryBus
from contracts import users
from contracts.access import USER_HEADER, VERSION_HEADER
from contracts.envelope import seal
from contracts.identity import new_id
from contracts.notifications import MailKind
from contracts.roles import Role
from gateway.access import Access, decide
from gateway.account_forms import Tokens
from gateway.upstream import Upstream
from tests.gateway.endings import WAYS
from tests.gateway.house import GatewayHouse, place, running
from tests.gateway.test_live import QUICK, following, heard_until, session
from tests.gateway.test_seams import CREDENTIALS, registered, with_user_svc
from tests.gateway.written import Listening, known
from tests.until import until
from tests.user_svc import house as user_svc

NEW_PASSWORD = "another long and quiet sentence"


def another_instance(house: GatewayHouse) -> GatewayHouse:
    return GatewayHouse(broker=house.broker, store=house.store, users=house.users)


async def browser_of(gateway: GatewayHouse, tokens: dict[str, Any]) -> httpx.AsyncClient:
    browser = gateway.browser()
    cookie = await gateway.house.sessions.open(Tokens.model_validate(tokens))
    browser.cookies.set(gateway.house.cookies.session, cookie, domain="shop.example", path="/")
    return browser


async def tell(house: GatewayHouse, event: users.AccessChanged) -> None:
    envelope = seal(event, id=str(new_id()), source="user_svc", now=house.now)
    assert await MemoryBus(house.broker, "user_svc").publish([envelope.parcel()]) == [None]


async def change_roles(house: GatewayHouse, email: str, *roles: Role) -> users.AccessChanged:
    """As user_svc does it. Returns the event, which is not published yet."""
    account = house.users.has(email)
    account.roles, account.access_version = (Role.CUSTOMER, *roles), account.access_version + 1
    return users.AccessChanged(user_id=account.user_id, version=account.access_version)


def test_versions_only_grow() -> None:
    access = Access()
    for version, expected in ((2, 2), (1, 2), (2, 2), (3, 3)):
        access = decide(access, users.AccessChanged(user_id=new_id(), version=version)).state
        assert access.version == expected


@pytest.mark.parametrize("way", ["reset", "change", "everywhere", "erasure"])
async def test_a_change_of_the_account_ends_other_sessions_before_its_answer(way: str) -> None:
    """No event arrives here: user_svc has a broker of its own."""
    gateway, users_ = with_user_svc()
    tokens = await registered(gateway, users_)
    log_in = (await gateway.client().post("/api/v1/sessions", json=CREDENTIALS)).json()
    other_browser, program = (
        await browser_of(gateway, log_in),
        gateway.client(Authorization=f"Bearer {tokens['access_token']}"),
    )
    third = await browser_of(gateway, (await gateway.client().post("/api/v1/sessions", json=CREDENTIALS)).json())
    assert (await place(other_browser)).status_code == (await place(program)).status_code == 202
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
    assert [(await place(client)).status_code for client in (other_browser, program, third)] == [401] * 3


async def test_after_a_reset_a_new_log_in_counts_at_once() -> None:
    gateway, users_ = with_user_svc()
    tokens = await registered(gateway, users_)
    token = await users_.link(tokens["user_id"], MailKind.PASSWORD_RESET)
    form = {"token": token, "password": NEW_PASSWORD}
    assert (await gateway.client().post("/api/v1/password-resets/confirmations", json=form)).status_code == 204
    again = await gateway.client().post("/api/v1/sessions", json=CREDENTIALS | {"password": NEW_PASSWORD})
    browser = await browser_of(gateway, again.json())
    assert (await place(browser)).status_code == 202


async def test_a_revoked_role_is_gone_on_every_instance_with_the_event() -> None:
    house = GatewayHouse(apps={"operations": _operations})
    other = GatewayHouse(broker=house.broker, store=house.store, users=house.users, apps={"operations": _operations})
    staff = await house.logged_in("ops@example.org", Role.STAFF)
    twin, program = other.browser(), other.program("ops@example.org", Role.STAFF)
    twin.cookies.update(staff.cookies)
    async with running(house):
        assert [(await each.get("/ops")).status_code for each in (staff, twin, program)] == [200] * 3
        event = await change_roles(house, "ops@example.org")
        await tell(house, event)
        await until(lambda: house.house.versions.required(event.user_id), lambda version: version == 1)
        assert [(await each.get("/ops")).status_code for each in (staff, twin)] == [404] * 2
        assert (await program.get("/ops")).status_code == 401
        assert (
            await staff.get("/api/v1/orders")
        ).status_code == 200  # the log-in goes on, with the roles that are left


async def test_a_late_event_ends_no_newer_session() -> None:
    house = GatewayHouse()
    event = await change_roles(house, "ada@example.org")
    browser = await house.logged_in()
    async with running(house):
        await tell(house, event)
        await until(lambda: house.house.versions.required(event.user_id), lambda version: version == 1)
        assert (await browser.get("/api/v1/orders")).status_code == 200
    assert not [heard for heard in house.users.heard if heard.path == "/sessions/refresh"]


async def test_an_outdated_session_is_not_believed_while_user_svc_is_away() -> None:
    house = GatewayHouse()
    browser = await house.logged_in()
    event = await change_roles(house, "ada@example.org")
    async with running(house):
        await tell(house, event)
        await until(lambda: house.house.versions.required(event.user_id), lambda version: version == 1)
        house.users.away = True
        assert (await place(browser)).status_code == 401
        house.users.away = False
        house.house.users._circuit.answered()
        assert (await place(browser)).status_code == 202


async def test_what_user_svc_says_of_versions_is_kept_only_if_it_can_be_read() -> None:
    house, ada = GatewayHouse(), new_id()
    for headers in ({VERSION_HEADER: "7"}, {VERSION_HEADER: "x", USER_HEADER: str(ada)}, {}):
        await house.house.versions.learn(httpx.Response(204, headers=headers))
    await house.house.versions.learn(httpx.Response(401, headers={VERSION_HEADER: "7", USER_HEADER: str(ada)}))
    assert await house.house.versions.required(ada) == 0
    house.store.away = True
    await house.house.versions.learn(httpx.Response(204, headers={VERSION_HEADER: "7", USER_HEADER: str(ada)}))


async def test_an_open_stream_shows_nothing_more_once_its_session_has_ended() -> None:
    house = GatewayHouse()
    async with running(house):
        house.house.live.pace = replace(QUICK, check_s=600)  # only news makes it look
        await known(house, WAYS["paying"])
        browser = await house.logged_in()
        async with Listening(house.app) as server, following(server, house.client(), **session(browser)) as stream:
            await anext(stream)
            account = house.users.has("ada@example.org")
            house.users.log_ins.clear()
            await tell(house, users.AccessChanged(user_id=account.user_id, version=1))
            await until(lambda: house.house.versions.required(account.user_id), lambda version: version == 1)
            await known(house, WAYS["confirmed"])
            last = (await heard_until(stream, "farewell"))[-1]
    assert last.data == "log in"


async def test_a_stream_of_the_operations_pages_ends_with_the_role() -> None:
    house = GatewayHouse()
    staff = await house.logged_in("ops@example.org", Role.STAFF)
    async with running(house), Listening(_operations) as behind, Listening(house.app) as server:
        house.house.operations = Upstream("operations", behind.url)
        async with (
            asyncio.timeout(60),
            httpx.AsyncClient(base_url=server.url, timeout=30) as client,
            client.stream("GET", "/ops/events", headers=session(staff)) as answer,
        ):
            chunks = answer.aiter_bytes()
            assert await anext(chunks)
            await tell(house, await change_roles(house, "ops@example.org"))
            while await anext(chunks, None):
                pass


async def _operations(scope: Any, receive: Any, send: Any) -> None:
    async def for_ever() -> Any:
        yield b"data: 1\n\n"
        while scope["path"].endswith("/events"):
            await asyncio.sleep(0.05)
            yield b"data: 2\n\n"

    await StreamingResponse(for_ever(), media_type="text/event-stream")(scope, receive, send)
