"""The list of orders and repeated reads of one order over HTTP."""

import asyncio

from tests.support.shops.gateway import GatewayFixture, place_order


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
