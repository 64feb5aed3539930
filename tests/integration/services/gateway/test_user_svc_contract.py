"""The gateway with the real user_svc and the real order_svc, in memory."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx

from chassis.bus.memory import MemoryBus, MemoryStore
from chassis.runtime import Runtime
from contracts.http.users import Tokens
from contracts.notifications import MailKind
from contracts.orders import RejectReason
from order_svc.service import order_service
from tests.support.eventually import until
from tests.support.shops import user as user_svc
from tests.support.shops.gateway import GatewayFixture, place_order, running
from user_svc.accounts.user import ADDRESSES_MAX

REGISTRATION = {"email": "ada@example.org", "name": "Ada", "password": user_svc.PASSWORD}
CREDENTIALS = {"email": "ada@example.org", "password": user_svc.PASSWORD}


def with_user_svc() -> tuple[GatewayFixture, user_svc.UserApp]:
    users = user_svc.UserApp(MemoryStore())
    transport = users.http._transport
    assert isinstance(transport, httpx.ASGITransport)
    gateway = GatewayFixture(apps={"user_svc": transport.app})
    gateway.now = users.now = datetime.now(UTC)  # tokens are verified by the real clock
    return gateway, users


async def registered(gateway: GatewayFixture, users: user_svc.UserApp) -> dict[str, Any]:
    client = gateway.client()
    response = await client.post("/api/v1/users", json=REGISTRATION)
    assert response.status_code == 202, response.text
    token = await users.link(response.json()["user_id"], MailKind.USER_REGISTERED)
    proved = await client.post("/api/v1/proofs", json={"token": token, "password": user_svc.PASSWORD})
    assert proved.status_code == 201, proved.text
    tokens: dict[str, Any] = proved.json()
    return tokens


async def test_from_registration_to_an_order_by_the_api() -> None:
    gateway, users = with_user_svc()
    client = gateway.client()
    await client.post("/api/v1/users", json=REGISTRATION)
    early = await client.post("/api/v1/sessions", json=CREDENTIALS)
    assert (early.status_code, early.json()["type"]) == (403, "/problems/address-not-proved")
    tokens = await registered(gateway, users)
    ada = gateway.client(Authorization=f"Bearer {tokens['access_token']}")
    me = await ada.get("/api/v1/users/me")
    assert me.status_code == 200, me.text
    assert (me.json()["email"], me.json()["roles"]) == ("ada@example.org", ["customer"])
    with_address = await ada.post("/api/v1/users/me/addresses", json=user_svc.HOME)
    assert with_address.status_code == 201, with_address.text
    assert [address["label"] for address in with_address.json()["addresses"]] == ["home"]
    assert (await ada.put("/api/v1/users/me", json={"name": "Ada L."})).json()["name"] == "Ada L."
    assert (await ada.delete("/api/v1/users/me/addresses/home")).status_code == 204
    assert (await place_order(ada)).status_code == 202


async def test_rejections_of_user_svc_have_a_matching_page() -> None:
    gateway, users = with_user_svc()
    ada = gateway.client(Authorization=f"Bearer {(await registered(gateway, users))['access_token']}")
    for number in range(ADDRESSES_MAX):
        kept = await ada.post("/api/v1/users/me/addresses", json=user_svc.HOME | {"label": f"home {number}"})
        assert kept.status_code == 201, kept.text
    full = await ada.post("/api/v1/users/me/addresses", json=user_svc.HOME)
    assert (full.status_code, full.json()["type"]) == (409, "/problems/conflict")
    assert "remove one first" in full.json()["detail"]


async def test_no_other_token_of_user_svc_is_an_access_token() -> None:
    gateway, users = with_user_svc()
    tokens = await registered(gateway, users)
    proof = await users.link(tokens["user_id"], MailKind.ADDRESS_PROOF)
    reset = await users.link(tokens["user_id"], MailKind.PASSWORD_RESET)
    for token in (proof, reset, tokens["refresh_token"]):
        response = await gateway.client(Authorization=f"Bearer {token}").get("/api/v1/orders")
        assert response.status_code == 401
    wrong_use = await gateway.client().post(
        "/api/v1/sessions/refresh", json={"refresh_token": tokens["access_token"][:256]}
    )
    assert wrong_use.status_code == 401


async def test_an_old_refresh_token_ends_the_log_in() -> None:
    gateway, users = with_user_svc()
    first = await registered(gateway, users)
    client = gateway.client()

    async def refresh(tokens: dict[str, Any]) -> httpx.Response:
        return await client.post("/api/v1/sessions/refresh", json={"refresh_token": tokens["refresh_token"]})

    second = await refresh(first)
    users.later(minutes=1)
    third = await refresh(second.json())
    assert (second.status_code, third.status_code) == (201, 201)
    users.later(minutes=1)
    assert (await refresh(first)).status_code == 401  # stolen
    assert (await refresh(third.json())).status_code == 401


async def test_parallel_session_renewals_keep_a_browser_logged_in() -> None:
    gateway, users = with_user_svc()
    tokens = await registered(gateway, users)
    other = GatewayFixture(broker=gateway.broker, store=gateway.store, apps={"user_svc": _app(users)})
    browser = gateway.browser()
    cookie = await gateway.deps.sessions.open(Tokens.model_validate(tokens))
    browser.cookies.set(gateway.deps.cookies.session, cookie, domain="shop.example", path="/")
    twin = other.browser()
    twin.cookies = browser.cookies
    for _ in range(5):
        users.later(minutes=9, seconds=30)
        gateway.now = other.now = users.now
        responses = await asyncio.gather(*((browser, twin)[n % 2].get("/api/v1/orders") for n in range(8)))
        assert {response.status_code for response in responses} == {200}
    assert (await browser.delete("/api/v1/sessions/current")).status_code == 204
    assert (await twin.get("/api/v1/orders")).status_code == 401


async def test_a_new_password_ends_every_log_in() -> None:
    gateway, users = with_user_svc()
    tokens = await registered(gateway, users)
    ada = gateway.client(Authorization=f"Bearer {tokens['access_token']}")
    form = {"current": user_svc.PASSWORD, "new": "another long and quiet sentence"}
    wrong = await ada.put("/api/v1/users/me/password", json=form | {"current": "not it at all"})
    assert wrong.status_code in (401, 403)
    assert (await ada.put("/api/v1/users/me/password", json=form)).status_code == 204
    client = gateway.client()
    old = await client.post("/api/v1/sessions/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert old.status_code == 401
    assert (await client.post("/api/v1/sessions", json=CREDENTIALS)).status_code == 401
    assert (
        await client.post("/api/v1/sessions", json=CREDENTIALS | {"password": form["new"]})
    ).status_code == 201


async def test_fifty_requests_with_one_key_are_one_order() -> None:
    gateway = GatewayFixture()
    order_svc = Runtime(order_service(), MemoryBus(gateway.broker, "order_svc"), MemoryStore())
    async with running(gateway):
        await order_svc.start()
        try:
            ada = gateway.program()
            responses = await asyncio.gather(*(place_order(ada, "one-intent") for _ in range(50)))
            assert {response.status_code for response in responses} == {202}
            where = responses[0].headers["Location"]
            shown = await _when_rejected(ada, where)
            assert len(await order_svc.store.find("orders")) == 1
            listed = (await ada.get("/api/v1/orders")).json()["items"]
        finally:
            await order_svc.stop(5)
    assert shown["reject_reason"] == RejectReason.UNKNOWN_SKU  # no product is listed in this test
    assert [order["id"] for order in listed] == [shown["id"]]


async def _when_rejected(client: httpx.AsyncClient, where: str) -> dict[str, Any]:
    response = await until(lambda: client.get(where), lambda response: response.json()["state"] == "rejected")
    shown: dict[str, Any] = response.json()
    return shown


def _app(users: user_svc.UserApp) -> Any:
    transport = users.new_client()._transport
    assert isinstance(transport, httpx.ASGITransport)
    return transport.app
