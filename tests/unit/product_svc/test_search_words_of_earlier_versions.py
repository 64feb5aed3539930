"""Searches also find articles whose search words an earlier version stored."""

from typing import Any

import pytest

from chassis.bus.memory import MemoryStore
from chassis.store.mongodb import MongoStore
from chassis.store.protocol import Change, Loaded, Store, StoreUnavailable
from product_svc import finding
from product_svc.finding import Finder
from product_svc.product import Product, ProductStatus
from product_svc.search import WORDS_VERSION
from product_svc.service import PRODUCTS
from tests.support.shops.product import CUP, KETTLE, ProductApp, listing

MANY = 30


def stored(
    sku: str, title: str, category: str = "kitchen", status: ProductStatus = ProductStatus.LISTED
) -> dict[str, Any]:
    """As stored before words had a version: prefixes of the words as written, without the SKU."""
    product = PRODUCTS.codec.dump(Product(status, 1, sku, title, "", category, KETTLE.price))
    del product["words_version"]
    texts = f"{title} {category}".lower().replace(",", "").split()
    return product | {"words": sorted({text[:end] for text in texts for end in range(1, len(text) + 1)})}


async def with_earlier_articles(store: Store) -> None:
    articles = [
        stored("DISH-1", "Dish for crème brûlée"),
        stored("TEAPOT-NEW", "烏龍茶壺", "tea"),
        stored("GONE-1", "Crème spoon", status=ProductStatus.WITHDRAWN),
        *(stored(f"SPOON-{number:03}", "Spoon") for number in range(MANY)),
    ]
    assert await store.save([Change(Loaded("products", state["sku"]), state) for state in articles])


async def is_found(product_app: ProductApp) -> None:
    assert await product_app.skus("q=creme+brulee") == ["DISH-1"]
    assert await product_app.skus("q=dish-1") == ["DISH-1"]
    assert await product_app.skus("q=%E9%BE%8D%E8%8C%B6") == ["TEAPOT-NEW"]
    assert await product_app.skus("q=%E9%BE%8D%E8%8C%B6&category=kitchen") == []
    assert await product_app.skus("q=brulle") == ["DISH-1"], "also with a typing error"
    assert await product_app.skus("q=xyzzy") == []
    spoons = [f"SPOON-{number:03}" for number in range(MANY)]
    pages = [await product_app.skus("q=sp&limit=20"), await product_app.skus("q=sp&limit=20&after=SPOON-019")]
    assert pages == [spoons[:20], spoons[20:]]


async def renewed(product_app: ProductApp) -> None:
    finder = Finder(product_app.runtime)
    await finder.find({}, "spoon", "", 1)
    await finder.renewed()


async def versions(store: Store) -> set[int | None]:
    return {(each.state or {}).get("words_version") for each in await store.find("products", limit=100)}


async def test_earlier_articles_are_found_before_and_after_reindexing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finding, "_PAGE", 7)
    product_app = ProductApp(MemoryStore())
    await with_earlier_articles(product_app.runtime.store)
    monkeypatch.setattr(Finder, "_renew", lambda self: None)
    await is_found(product_app)
    assert await versions(product_app.runtime.store) == {None}, "nothing has been renewed yet"
    monkeypatch.undo()
    await renewed(product_app)
    assert await versions(product_app.runtime.store) == {WORDS_VERSION}
    await is_found(product_app)
    assert product_app.emitted() == [], "no event is emitted"


async def test_reindexing_resumes_after_an_interruption() -> None:
    product_app = ProductApp(MemoryStore())
    store = product_app.runtime.store
    await with_earlier_articles(store)
    save, left = store.save, 5

    async def failing(changes: Any, *, together: bool = False) -> bool:
        nonlocal left
        if (left := left - 1) < 0:
            raise StoreUnavailable("away")
        return await save(changes, together=together)

    store.save = failing  # type: ignore[method-assign]
    await renewed(product_app)
    assert await versions(store) == {None, WORDS_VERSION}
    store.save = save  # type: ignore[method-assign]
    await renewed(product_app)
    assert await versions(store) == {WORDS_VERSION}


async def test_once_renewed_no_article_is_read_one_by_one() -> None:
    product_app = ProductApp(MemoryStore())
    await product_app.runtime.start()
    await product_app.send(KETTLE, CUP, listing("TEA-1", "Tea"))
    finder = Finder(product_app.runtime)
    assert [product.sku for product in await finder.find({}, "kettle", "", 20)] == ["KETTLE-BLUE"]
    assert finder._renewing is None
    await product_app.runtime.kill()


@pytest.mark.real
async def test_earlier_articles_are_found_in_mongodb(real_infrastructure: Any, database_prefix: str) -> None:
    product_app = ProductApp(MongoStore(real_infrastructure.mongo_url, f"{database_prefix}product_svc"))
    await product_app.runtime.start()
    try:
        await with_earlier_articles(product_app.runtime.store)
        await is_found(product_app)
        await renewed(product_app)
        assert await versions(product_app.runtime.store) == {WORDS_VERSION}
        await is_found(product_app)
    finally:
        await product_app.http.aclose()
        await product_app.runtime.stop()
