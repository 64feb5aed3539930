"""Delivery addresses for operations: only with the access token of a staff member."""

import io
import sys
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from chassis import telemetry
from chassis.core.execute import execute
from chassis.messaging.identity import new_id
from chassis.web.app import create_app
from contracts.roles import Role
from contracts.users import UserErased
from gateway.delivery.aggregates import ADDRESS_KEYS
from gateway.orders import internal_api
from tests.support.openapi_checks import complaints
from tests.support.shops.gateway import DELIVERY, SERVICE_TOKEN, GatewayFixture, gateway_settings, place_order

PATH = "/delivery-addresses"


def internal_app(gateway: GatewayFixture) -> FastAPI:
    routes = internal_api.routes(
        gateway.runtime, settings=gateway_settings(), transport=gateway.users.transport
    )
    return create_app(gateway.runtime, routes)


def internal(gateway: GatewayFixture, email: str = "olive@example.org", *roles: Role) -> httpx.AsyncClient:
    """A client of the internal port, with this user's token."""
    transport = httpx.ASGITransport(internal_app(gateway))
    headers = {"Authorization": gateway.program(email, *roles).headers["Authorization"]}
    return httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers)


async def found(client: httpx.AsyncClient, *order_ids: UUID | str) -> list[Any]:
    response = await client.get(PATH, params={"order_id": [str(each) for each in order_ids]})
    assert response.status_code == 200, response.text
    assert response.headers["Cache-Control"] == "no-store"
    items: list[Any] = response.json()["items"]
    return items


async def test_staff_read_the_addresses_of_several_customers_orders() -> None:
    gateway = GatewayFixture()
    other = DELIVERY | {"street": "1 Engine Yard"}
    ada = (await place_order(gateway.program())).json()["id"]
    bob = (await place_order(gateway.program("bob@example.org"), delivery_address=other)).json()["id"]
    unknown = str(new_id())
    assert await found(internal(gateway, "olive@example.org", Role.STAFF), bob, unknown, ada) == [
        {"order_id": bob, "address": other, "erased": False},
        {"order_id": unknown, "address": None, "erased": False},
        {"order_id": ada, "address": DELIVERY, "erased": False},
    ]


async def test_the_log_names_reader_and_orders_but_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = GatewayFixture()
    order_id = (await place_order(gateway.program())).json()["id"]
    with monkeypatch.context() as patch:
        stream = io.StringIO()
        patch.setattr(sys, "stderr", stream)
        telemetry.configure("info", pretty=False)
        await found(internal(gateway, "olive@example.org", Role.STAFF), order_id)
    telemetry.configure("info", pretty=False)
    [line] = [each for each in stream.getvalue().splitlines() if "staff read" in each]
    assert order_id in line and str(gateway.user_id("olive@example.org")) in line
    assert not [text for text in DELIVERY.values() if f'"{text}"' in stream.getvalue()]


async def test_staff_see_that_an_address_was_erased() -> None:
    gateway = GatewayFixture()
    order_id = (await place_order(gateway.program())).json()["id"]
    user_id = gateway.user_id()
    await execute(gateway.runtime, ADDRESS_KEYS, str(user_id), UserErased(user_id=user_id))
    assert await found(internal(gateway, "olive@example.org", Role.STAFF), order_id) == [
        {"order_id": order_id, "address": None, "erased": True}
    ]


@pytest.mark.parametrize(
    ("authorization", "status"),
    [("", 401), ("Bearer nonsense", 401), (f"Bearer {SERVICE_TOKEN}", 401), ("Basic b2xpdmU6", 401)],
)
async def test_only_access_tokens_are_accepted(authorization: str, status: int) -> None:
    gateway = GatewayFixture()
    order_id = (await place_order(gateway.program())).json()["id"]
    client = internal(gateway, "olive@example.org", Role.STAFF)
    client.headers["Authorization"] = authorization
    response = await client.get(PATH, params={"order_id": order_id})
    assert response.status_code == status and DELIVERY["street"] not in response.text


async def test_customers_may_not_read_even_their_own_there() -> None:
    gateway = GatewayFixture()
    order_id = (await place_order(gateway.program())).json()["id"]
    response = await internal(gateway, "ada@example.org").get(PATH, params={"order_id": order_id})
    assert response.status_code == 403 and DELIVERY["street"] not in response.text


async def test_a_revoked_role_takes_effect_at_once() -> None:
    gateway = GatewayFixture()
    order_id = (await place_order(gateway.program())).json()["id"]
    olive = internal(gateway, "olive@example.org", Role.STAFF)
    await gateway.deps.versions.learn(
        httpx.Response(
            200,
            headers={"X-User-Id": str(gateway.user_id("olive@example.org")), "X-Access-Version": "1"},
        )
    )
    assert (await olive.get(PATH, params={"order_id": order_id})).status_code == 401


async def test_without_signing_keys_the_response_asks_to_try_again() -> None:
    gateway = GatewayFixture()
    olive = internal(gateway, "olive@example.org", Role.STAFF)
    gateway.users.away = True
    response = await olive.get(PATH, params={"order_id": str(new_id())})
    assert response.status_code == 503 and "Retry-After" in response.headers


async def test_the_number_of_orders_is_limited() -> None:
    olive = internal(GatewayFixture(), "olive@example.org", Role.STAFF)
    for number, status in ((0, 422), (100, 200), (101, 422)):
        ids = [str(new_id()) for _ in range(number)]
        assert (await olive.get(PATH, params={"order_id": ids})).status_code == status


async def test_it_conforms_to_its_openapi_document() -> None:
    gateway = GatewayFixture()
    app = internal_app(gateway)
    staff = {"Authorization": gateway.program("olive@example.org", Role.STAFF).headers["Authorization"]}
    for headers in ({}, staff):
        found = list(complaints(app, headers=headers, paths=PATH))
        assert not found, "\n\n".join(found)
