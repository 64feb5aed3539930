"""The list of orders and repeated reads of one order over HTTP."""

import asyncio

import httpx
import pytest

from chassis.core.dispatcher import Dispatcher
from gateway.orders import api
from tests.support.shops.gateway import GatewayFixture, place_order

DRAIN_S = 30.0


async def test_an_unchanged_order_is_not_read_again() -> None:
    gateway = GatewayFixture()
    ada = gateway.program()
    where = (await place_order(ada)).headers["Location"]
    seen = await ada.get(where)
    known = {"If-None-Match": seen.headers["ETag"]}
    assert (await ada.get(where, headers=known)).status_code == 304
    waiting = asyncio.create_task(ada.get(where, headers=known | {"Prefer": "wait=10"}))
    await ada.post(f"{where}/cancellation", headers={"Idempotency-Key": "c1"})
    news = await waiting
    assert news.status_code == 200
    assert [entry["type"] for entry in news.json()["journey"]] == ["received", "cancellation_requested"]


async def test_a_stopping_instance_still_waits_for_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients repeat a request that ends early at once, until the server closes."""
    drained = asyncio.Event()
    monkeypatch.setattr(Dispatcher, "drain", lambda _: drained.wait())
    gateway = GatewayFixture()
    await gateway.runtime.start()
    where, waiting = await waiting_request(gateway)
    stopping = asyncio.create_task(gateway.runtime.stop(DRAIN_S))
    await gateway.runtime.stopping.wait()
    await asyncio.sleep(api._POLL_S * 2)
    await gateway.program().post(f"{where}/cancellation", headers={"Idempotency-Key": "c1"})
    assert (await waiting).status_code == 200
    drained.set()
    await stopping


async def test_a_waiting_request_responds_within_the_drain() -> None:
    gateway = GatewayFixture()
    await gateway.runtime.start()
    _, waiting = await waiting_request(gateway)
    await gateway.runtime.kill()
    async with asyncio.timeout(api._WAIT_S_MAX / 2):
        assert (await waiting).status_code == 304


async def waiting_request(gateway: GatewayFixture) -> tuple[str, asyncio.Task[httpx.Response]]:
    """A new order's URL, and a request that waits for its next change."""
    ada = gateway.program()
    where = (await place_order(ada)).headers["Location"]
    known = {"If-None-Match": (await ada.get(where)).headers["ETag"], "Prefer": f"wait={api._WAIT_S_MAX}"}
    waiting = asyncio.create_task(ada.get(where, headers=known))
    await asyncio.sleep(api._POLL_S)
    assert not waiting.done()
    return where, waiting


async def test_orders_come_page_by_page_the_newest_first() -> None:
    gateway = GatewayFixture()
    ada = gateway.program()
    placed = [(await place_order(ada)).json()["id"] for _ in range(5)]
    listed: list[str] = []
    where: str | None = "/api/v1/orders?limit=2"
    while where is not None:
        page = await ada.get(where)
        listed += [item["id"] for item in page.json()["items"]]
        where = page.links["next"]["url"] if "next" in page.links else None
    assert listed == placed[::-1]
