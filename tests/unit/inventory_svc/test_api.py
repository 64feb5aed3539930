"""The read API of stock and reservations."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.core.codec import Codec
from chassis.runtime import Runtime
from chassis.settings import BadSettings, load_settings
from chassis.store.protocol import Change
from chassis.web import app
from inventory_svc.api import routes
from inventory_svc.service import inventory_service
from inventory_svc.settings import InventorySettings
from inventory_svc.stock import Shelf
from tests.support.applications import SETTINGS
from tests.support.messages import CORRECTION, KETTLE, ORDER
from tests.unit.inventory_svc.decision_tables import CORRECTIONS, RESERVATIONS


@pytest.fixture
async def runtime() -> Runtime:
    broker = MemoryBroker(build([inventory_service()]))
    return Runtime(inventory_service(), MemoryBus(broker, "inventory_svc"), MemoryStore())


@pytest.fixture
async def client(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app.create_app(runtime, routes(runtime)))
    async with httpx.AsyncClient(transport=transport, base_url="http://inventory_svc") as client:
        yield client


async def keep(runtime: Runtime, kind: str, key: object, state: Any) -> None:
    loaded = (await runtime.store.load(kind, [str(key)]))[str(key)]
    await runtime.store.save([Change(loaded, Codec(type(state)).dump(state))])


async def test_a_shelf_shows_where_every_piece_is(client: httpx.AsyncClient, runtime: Runtime) -> None:
    await keep(runtime, "shelves", KETTLE, Shelf(KETTLE, received=6, available=1, reserved=2, sold=3))
    assert (await client.get(f"/stock/{KETTLE}")).json() == {
        "sku": KETTLE,
        "available": 1,
        "reserved": 2,
        "sold": 3,
        "received": 6,
    }


async def test_shelves_come_by_sku_page_by_page(client: httpx.AsyncClient, runtime: Runtime) -> None:
    skus = ["A-1", "B-1", "B-2", "C"]
    for sku in reversed(skus):
        await keep(runtime, "shelves", sku, Shelf(sku))
    first = (await client.get("/stock?limit=2")).json()
    second = (await client.get(f"/stock?limit=2&after={first['next']}")).json()
    assert [shelf["sku"] for shelf in first["items"] + second["items"]] == skus
    assert (first["next"], second["next"]) == ("B-1", None)


async def test_shelves_with_little_stock_are_found(client: httpx.AsyncClient, runtime: Runtime) -> None:
    for number, available in enumerate([6, 5, 0, 100, 3]):
        await keep(runtime, "shelves", f"A-{number}", Shelf(f"A-{number}", available, available))
    first = (await client.get("/stock?available_max=5&limit=2")).json()
    rest = (await client.get(f"/stock?available_max=5&limit=2&after={first['next']}")).json()
    assert [shelf["sku"] for shelf in first["items"] + rest["items"]] == ["A-1", "A-2", "A-4"]
    assert (await client.get("/stock?available_max=101")).status_code == 422


async def test_low_stock_follows_the_setting(runtime: Runtime) -> None:
    for number, available in enumerate([3, 2, 0]):
        await keep(runtime, "shelves", f"A-{number}", Shelf(f"A-{number}", available, available))
    service = app.create_app(runtime, routes(runtime, low_stock=2))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url="http://x") as client:
        page = (await client.get("/stock?low=true")).json()
        assert [shelf["sku"] for shelf in page["items"]] == ["A-1", "A-2"]
        assert page["low_stock"] == 2
        assert len((await client.get("/stock?low=false")).json()["items"]) == 3


def test_the_limit_of_low_stock_is_five_unless_set() -> None:
    assert load_settings(InventorySettings, **SETTINGS).low_stock == 5
    assert load_settings(InventorySettings, **SETTINGS, low_stock="12").low_stock == 12
    with pytest.raises(BadSettings, match="LOW_STOCK"):
        load_settings(InventorySettings, **SETTINGS, low_stock="101")


async def test_a_correction_shows_its_result(client: httpx.AsyncClient, runtime: Runtime) -> None:
    assert (await client.get(f"/corrections/{CORRECTION}")).status_code == 404
    await keep(runtime, "corrections", CORRECTION, CORRECTIONS.states["applied"])
    assert (await client.get(f"/corrections/{CORRECTION}")).json() == {
        "correction_id": str(CORRECTION),
        "status": "applied",
        "sku": KETTLE,
        "change": -3,
        "reason": "damage",
        "available": 7,
    }


async def test_named_shelves_are_in_one_response(client: httpx.AsyncClient, runtime: Runtime) -> None:
    for sku in ("A-1", "B-1", "C"):
        await keep(runtime, "shelves", sku, Shelf(sku))
    response = (await client.get("/stock?skus=C,NEVER-SEEN,A-1,C&limit=1&after=B-1")).json()
    assert ([shelf["sku"] for shelf in response["items"]], response["next"]) == (["C", "A-1"], None)


async def test_the_picking_list_is_what_is_committed_oldest_order_first(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    for number, state in enumerate(["committed", "held", "dispatched", "committed"]):
        await keep(runtime, "reservations", UUID(int=ORDER.int + number), RESERVATIONS.states[state])
    picking = (await client.get("/reservations?status=committed")).json()
    assert [UUID(item["order_id"]).int - ORDER.int for item in picking["items"]] == [0, 3]
    assert picking["items"][0]["lines"][0] == {"sku": KETTLE, "quantity": 2}
    assert len((await client.get("/reservations")).json()["items"]) == 4
    first = (await client.get("/reservations?status=committed&limit=1")).json()
    rest = (await client.get(f"/reservations?status=committed&limit=1&after={first['next']}")).json()
    assert first["items"] + rest["items"] == picking["items"]


async def test_one_reservation_is_found_by_its_order(client: httpx.AsyncClient, runtime: Runtime) -> None:
    await keep(runtime, "reservations", ORDER, RESERVATIONS.states["held"])
    reservation = (await client.get(f"/reservations/{ORDER}")).json()
    assert (reservation["order_id"], reservation["status"]) == (str(ORDER), "held")


@pytest.mark.parametrize("path", [f"/stock/{KETTLE}", f"/reservations/{ORDER}"])
async def test_an_unknown_resource_is_a_problem_404(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/stock?limit=0", "limit"),
        ("/stock?limit=1000", "limit"),
        ("/stock?after=$", "after"),
        ("/stock?skus=", "skus"),
        ("/stock?skus=A,$", "skus"),
        (f"/stock?skus={','.join('A' * 51)}", "skus"),
        ("/stock/lower-case", "sku"),
        ("/reservations?status=lost", "status"),
        ("/reservations?after=1", "after"),
        ("/reservations/1", "order_id"),
    ],
)
async def test_a_wrong_parameter_is_named(client: httpx.AsyncClient, path: str, field: str) -> None:
    response = await client.get(path)
    assert response.status_code == 422
    assert field in response.text
