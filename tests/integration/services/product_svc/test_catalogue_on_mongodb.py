"""The catalogue on a real MongoDB: its queries and indexes find what the in-memory store finds."""

from typing import Any

import pytest

from chassis.store.mongodb import MongoStore
from contracts.products import WithdrawProduct
from tests.support.shops.product import BLACK_TEA, CUP, GREEN_TEA, KETTLE, ProductApp

pytestmark = pytest.mark.real


async def test_a_catalogue_in_mongodb_is_searched_and_paged(
    real_infrastructure: Any, database_prefix: str
) -> None:
    database = f"{database_prefix}product_svc"
    product_app = ProductApp(MongoStore(real_infrastructure.mongo_url, database))
    await product_app.runtime.start()
    try:
        await product_app.send(KETTLE, CUP, GREEN_TEA, BLACK_TEA)
        await product_app.send(WithdrawProduct(sku=CUP.sku), WithdrawProduct(sku="NEVER-LISTED"))
        assert await product_app.skus() == ["KETTLE-BLUE", "TEA-BLACK", "TEA-GREEN"]
        assert await product_app.skus("q=te+bl") == ["TEA-BLACK"]
        assert await product_app.skus("q=bl&category=kitchen") == ["KETTLE-BLUE"]
        assert await product_app.skus("limit=1&after=KETTLE-BLUE") == ["TEA-BLACK"]
        assert (await product_app.get("/products/CUP-WHITE")).json()["withdrawn"] is True
        assert (await product_app.get("/categories")).json()["items"] == [
            {"name": "kitchen", "count": 1},
            {"name": "tea", "count": 2},
        ]
    finally:
        await product_app.http.aclose()
        await product_app.runtime.stop()
