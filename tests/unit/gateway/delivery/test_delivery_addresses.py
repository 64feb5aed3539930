"""An order has a delivery address: chosen or given, stored encrypted before the command, erased with the
account.
"""

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import httpx
import pytest

from chassis.bus.memory import MemoryBus
from chassis.messaging.envelope import wrap
from chassis.messaging.identity import new_id
from contracts import orders, users
from contracts.catalog import CATALOG
from contracts.orders import RejectReason
from gateway.delivery.aggregates import ADDRESS_KEYS
from tests.support.eventually import until
from tests.support.shops.gateway import DELIVERY, ORDER, GatewayFixture, place_order, running
from tests.support.shops.gateway_with_services import HOME, GatewayWithServices

ORDERS = "/api/v1/orders"
PLAIN = {name: value for name, value in ORDER.items() if name != "delivery_address"}
WORK = HOME | {"label": "work", "street": "1 Engine Yard"}
HOME_ADDRESS = {name: value for name, value in HOME.items() if name != "label"}
STREET = DELIVERY["street"]


async def request_order(client: httpx.AsyncClient, key: str = "", **changed: Any) -> httpx.Response:
    """Unless one is given."""
    headers = {"Idempotency-Key": key or str(new_id())}
    return await client.post(ORDERS, json=PLAIN | changed, headers=headers)


async def delivered_to(client: httpx.AsyncClient, response: httpx.Response) -> Any:
    assert response.status_code == 202, response.text
    order = (await client.get(response.headers["Location"])).json()
    [listed] = [each for each in (await client.get(ORDERS)).json()["items"] if each["id"] == order["id"]]
    assert listed["delivery_address"] == order["delivery_address"]
    return order["delivery_address"]


async def with_addresses(*addresses: dict[str, str]) -> tuple[GatewayWithServices, httpx.AsyncClient]:
    gateway = GatewayWithServices()
    ada = await gateway.logged_in_customer()
    for address in addresses:
        response = await ada.post("/account/addresses", data=address)
        assert response.status_code == 303, response.text
    return gateway, ada


def pointers(response: httpx.Response) -> list[str]:
    assert response.status_code == 422, response.text
    return [error["pointer"] for error in response.json()["errors"]]


async def stored(gateway: GatewayFixture) -> str:
    """All that the gateway's database holds, and all that was published."""
    kinds = gateway.runtime.service.kinds
    documents = [repr(loaded) for kind in kinds for loaded in await gateway.store.find(kind)]
    return "\n".join([*documents, *(repr(message) for message in gateway.broker.tapped)])


async def erase(gateway: GatewayFixture, user_id: Any) -> None:
    """user_svc publishes the event, and the gateway handles it."""
    erased = wrap(
        users.UserErased(user_id=user_id), id=str(new_id()), source="user_svc", now=datetime.now(UTC)
    )
    bus = MemoryBus(gateway.broker, "user_svc")
    assert await bus.publish([erased.wire_message(CATALOG)]) == [None]

    async def status() -> str:
        key = str(user_id)
        return str(ADDRESS_KEYS.read((await gateway.store.load("address_keys", [key]))[key]).status)

    await until(status, lambda now: now == "erased")


async def test_an_order_goes_to_the_address_that_it_gives() -> None:
    ada = GatewayFixture().program()
    assert await delivered_to(ada, await request_order(ada, delivery_address=DELIVERY)) == DELIVERY


async def test_the_default_is_the_first_address_of_the_account() -> None:
    _, ada = await with_addresses(HOME, WORK)
    assert await delivered_to(ada, await request_order(ada)) == HOME_ADDRESS


async def test_a_label_chooses_an_address_of_the_account() -> None:
    _, ada = await with_addresses(HOME, WORK)
    placed = await request_order(ada, delivery_address_label="work")
    assert (await delivered_to(ada, placed))["street"] == WORK["street"]
    assert pointers(await request_order(ada, delivery_address_label="boat")) == ["#/delivery_address_label"]


async def test_without_any_address_the_problem_names_field_and_remedy() -> None:
    gateway = GatewayFixture()
    ada = gateway.program()
    refused = await request_order(ada, "k")
    assert pointers(refused) == ["#/delivery_address"]
    assert "/api/v1/users/me/addresses" in refused.json()["errors"][0]["detail"]
    assert gateway.sent(orders.PlaceOrder) == []
    # the key is not used up
    assert await delivered_to(ada, await request_order(ada, "k", delivery_address=DELIVERY)) == DELIVERY


@pytest.mark.parametrize(
    "wrong",
    [
        {"delivery_address": DELIVERY | {"label": "home"}},
        {"delivery_address": DELIVERY | {"street": ""}},
        {"delivery_address": DELIVERY | {"street": "x" * 101}},
        {"delivery_address": DELIVERY | {"country": "gb"}},
        {"delivery_address": DELIVERY | {"city": "London\nBcc: all"}},
        {"delivery_address": {"street": STREET}},
        {"delivery_address": STREET},
        {"delivery_address": DELIVERY, "delivery_address_label": "home"},
    ],
    ids=lambda wrong: json.dumps(wrong)[:40],
)
async def test_an_invalid_address_is_refused_and_not_repeated(wrong: dict[str, Any]) -> None:
    gateway = GatewayFixture()
    refused = await request_order(gateway.program(), **wrong)
    assert pointers(refused) and STREET not in refused.text
    assert gateway.sent(orders.PlaceOrder) == []


async def test_the_address_is_stored_before_the_command_is_published() -> None:
    gateway = GatewayFixture()
    ada = gateway.program()
    gateway.broker.away = True
    assert (await request_order(ada, delivery_address=DELIVERY)).status_code == 503
    [order] = (await ada.get(ORDERS)).json()["items"]
    assert order["delivery_address"] == DELIVERY


async def test_a_repeated_request_keeps_the_address_of_the_first() -> None:
    gateway, ada = await with_addresses(HOME)
    gateway.broker.away = True
    assert (await request_order(ada, "k")).status_code == 503
    await ada.post("/account/addresses", data=HOME | {"street": "elsewhere"})
    gateway.broker.away = False
    gateway.deps.orders._paused_until = 0
    gateway.user_svc.away = True
    assert await delivered_to(ada, await request_order(ada, "k")) == HOME_ADDRESS


@pytest.mark.parametrize(
    "other", [{"delivery_address": DELIVERY | {"street": "13"}}, {"delivery_address_label": "home"}, {}]
)
async def test_another_address_with_the_same_key_is_another_request(other: dict[str, Any]) -> None:
    _, ada = await with_addresses(HOME)
    placed = await request_order(ada, "k", delivery_address=DELIVERY)
    refused = await request_order(ada, "k", **other)
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/key-reused")
    assert await delivered_to(ada, placed) == DELIVERY


async def test_only_a_label_or_the_default_needs_user_svc() -> None:
    gateway, ada = await with_addresses(HOME)
    gateway.user_svc.away = True
    for chosen in ({}, {"delivery_address_label": "home"}):
        away = await request_order(ada, **chosen)
        assert away.status_code == 503 and "Retry-After" in away.headers
    assert await delivered_to(ada, await request_order(ada, delivery_address=DELIVERY)) == DELIVERY


async def test_no_document_and_no_message_has_a_readable_address() -> None:
    gateway, ada = await with_addresses(HOME)
    await request_order(ada, delivery_address=DELIVERY)
    await request_order(ada, delivery_address_label="home")
    found = await stored(gateway)
    assert "sealed_address" in found and orders.PlaceOrder.TYPE in found
    readable = [text for text in (*DELIVERY.values(), *HOME_ADDRESS.values()) if len(text) > 2]
    assert not [text for text in readable if text in found]


async def test_an_erasure_makes_all_addresses_of_the_user_unreadable() -> None:
    async with running(GatewayFixture()) as gateway:
        ada, bob = gateway.program(), gateway.program("bob@example.org")
        placed = [await place_order(each) for each in (ada, ada, bob)]
        await erase(gateway, gateway.user_id())
        assert await delivered_to(ada, placed[0]) is None
        assert await delivered_to(ada, placed[1]) is None
        assert await delivered_to(bob, placed[2]) == DELIVERY
        [erased] = [
            key for key in await gateway.store.find("address_keys") if key.key == str(gateway.user_id())
        ]
        assert erased.state == {"status": "erased", "key": ""}


async def test_an_order_in_progress_during_the_erasure_stores_no_address() -> None:
    """Its access token was checked before the erasure."""
    async with running(GatewayFixture()) as gateway:
        ada = gateway.program()
        await erase(gateway, gateway.user_id())
        refused = await place_order(ada)
        assert (refused.status_code, refused.json()["type"]) == (401, "/problems/log-in")
        assert gateway.sent(orders.PlaceOrder) == [] and await gateway.store.find("journeys") == []


async def test_an_address_under_a_lost_key_is_not_on_record() -> None:
    """As after a restored backup without the key."""
    gateway = GatewayFixture()
    ada = gateway.program()
    placed = await place_order(ada)
    del gateway.store._kinds["address_keys"]
    assert await delivered_to(ada, placed) is None
    again = await place_order(ada)
    assert await delivered_to(ada, again) == DELIVERY
    assert await delivered_to(ada, placed) is None


async def test_an_order_of_a_client_program_has_no_address() -> None:
    async with running(GatewayFixture()) as gateway:
        order_id = new_id()
        refused = orders.OrderRejected(
            order_id=order_id, customer_id=gateway.user_id(), reason=RejectReason.WITHDRAWN, detail=""
        )
        envelope = wrap(refused, id=str(new_id()), source="order_svc", now=datetime.now(UTC))
        assert await MemoryBus(gateway.broker, "order_svc").publish([envelope.wire_message(CATALOG)]) == [
            None
        ]
        ada = gateway.program()
        response = await until(
            lambda: ada.get(f"{ORDERS}/{order_id}"), lambda response: response.status_code == 200
        )
        assert response.json()["delivery_address"] is None


async def test_a_request_without_address_keeps_its_earlier_fingerprint() -> None:
    """So that a request which an earlier release has accepted can be repeated."""
    gateway, ada = await with_addresses(HOME)
    await request_order(ada, "k")
    [record] = await gateway.store.find("requests")
    action = [[["KETTLE-BLUE", 1]], None, "tok_visa"]
    assert record.state and record.state["fingerprint"] == sha256(json.dumps(action).encode()).hexdigest()
