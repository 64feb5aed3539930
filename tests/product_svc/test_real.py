"""The catalogue on a real MongoDB: what memory finds, its queries and indexes find too."""

from typing import Any

import pytest

from chassis.mongo import MongoStore
from contracts.products import WithdrawProduct
from tests.product_svc.shop import BLACK_TEA, CUP, GREEN_TEA, KETTLE, Shop

pytestmark = pytest.mark.real


async def test_a_catalogue_in_mongodb_is_searched_and_paged(real_infrastructure: Any, database_prefix: str) -> None:
    database = f"{database_prefix}product_svc"
    shop = Shop(MongoStore(real_infrastructure.mongo_url, database))
    await shop.runtime.start()
    try:
        await shop.send(KETTLE, CUP, GREEN_TEA, BLACK_TEA)
        await shop.send(WithdrawProduct(sku=CUP.sku), WithdrawProduct(sku="NEVER-LISTED"))
        assert await shop.skus() == ["KETTLE-BLUE", "TEA-BLACK", "TEA-GREEN"]
        assert await shop.skus("q=te+bl") == ["TEA-BLACK"]
        assert await shop.skus("q=bl&category=kitchen") == ["KETTLE-BLUE"]
        assert await shop.skus("limit=1&after=KETTLE-BLUE") == ["TEA-BLACK"]
        assert (await shop.get("/products/CUP-WHITE")).json()["withdrawn"] is True
        assert (await shop.get("/categories")).json()["items"] == [
            {"name": "kitchen", "count": 1},
            {"name": "tea", "count": 2},
        ]
    finally:
        await shop.http.aclose()
        await shop.runtime.stop()
