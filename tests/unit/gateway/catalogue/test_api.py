"""The catalogue API, also while product_svc or inventory_svc is unavailable."""

import asyncio

from gateway.catalogue.client import CatalogueClient
from product_svc.product import ProductStatus
from tests.support.shops.gateway_with_services import KETTLE, SAMOVAR, TEA, GatewayWithServices


async def test_an_article_has_its_stock_level() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE, pieces=100)
    await gateway.offer_product(TEA, "Green tea", pieces=5, category="tea")
    await gateway.offer_product(SAMOVAR, "Samovar", pieces=0)
    response = await gateway.client().get("/api/v1/products")
    assert {item["sku"]: item["stock"] for item in response.json()["items"]} == {
        KETTLE: "in",
        TEA: "few",
        SAMOVAR: "out",
    }
    assert response.headers["Cache-Control"] == "public, max-age=30"


async def test_without_inventory_svc_only_the_stock_is_unknown() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE)
    gateway.inventory_svc.away = True
    response = await gateway.client().get(f"/api/v1/products/{KETTLE}")
    assert response.status_code == 200
    assert (response.json()["title"], response.json()["stock"]) == ("Kettle, blue", None)


async def test_without_product_svc_the_catalogue_is_unavailable() -> None:
    gateway = GatewayWithServices()
    gateway.product_svc.away = True
    for path in ("/api/v1/products", f"/api/v1/products/{KETTLE}", "/api/v1/categories"):
        response = await gateway.client().get(path)
        assert response.status_code == 503, path
        assert int(response.headers["Retry-After"]) > 0
        assert response.json()["type"] == "/problems/away"


async def test_an_etag_changes_only_with_the_content() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE, pieces=100)
    client, path = gateway.client(), f"/api/v1/products/{KETTLE}"
    first = await client.get(path)
    again = await client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    await gateway.offer_product(KETTLE, pieces=1)
    changed = await client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (changed.status_code, changed.json()["stock"]) == (200, "few")


async def test_next_pages_keep_the_search_query() -> None:
    gateway = GatewayWithServices()
    for number in range(3):
        await gateway.offer_product(f"TEA-{number}", "Tea", category="tea")
    first = await gateway.client().get("/api/v1/products?q=tea&limit=2")
    assert first.json()["next"] == "TEA-1"
    path = first.headers["Link"].partition(">")[0].lstrip("<")
    second = await gateway.client().get(path)
    assert [item["sku"] for item in second.json()["items"]] == ["TEA-2"]
    assert "Link" not in second.headers


async def test_a_withdrawn_article_is_marked_and_an_unknown_one_404() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE, status=ProductStatus.WITHDRAWN)
    assert (await gateway.client().get(f"/api/v1/products/{KETTLE}")).json()["withdrawn"] is True
    assert (await gateway.client().get("/api/v1/products/NEVER-WAS")).status_code == 404
    assert (await gateway.client().get("/api/v1/products/no%20sku")).status_code == 422


async def test_concurrent_page_views_send_one_request() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE)
    for _ in range(5):
        assert (await gateway.client().get(f"/api/v1/products/{KETTLE}")).status_code == 200
    assert (gateway.product_svc.asked, gateway.inventory_svc.asked) == (1, 1)


async def test_a_fresh_read_bypasses_the_cache() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE, cents=2990)
    catalogue = gateway.deps.catalogue
    assert (await catalogue.articles([KETTLE]))[KETTLE].price.amount_minor == 2990
    await gateway.offer_product(KETTLE, cents=3990, known=False)
    assert (await catalogue.articles([KETTLE]))[KETTLE].price.amount_minor == 2990
    assert (await catalogue.articles([KETTLE], fresh=True))[KETTLE].price.amount_minor == 3990


async def test_cached_articles_expire() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE, cents=2990)
    catalogue = CatalogueClient(gateway.deps.products, gateway.deps.stock, cache_ttl_s=0.05)
    assert (await catalogue.articles([KETTLE]))[KETTLE].price.amount_minor == 2990
    await gateway.offer_product(KETTLE, cents=3990, known=False)
    await asyncio.sleep(0.1)
    assert (await catalogue.articles([KETTLE]))[KETTLE].price.amount_minor == 3990


async def test_an_image_has_its_revision_in_its_url() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE)
    path = (await gateway.client().get(f"/api/v1/products/{KETTLE}")).json()["picture_url"]
    drawn = await gateway.client().get(path)
    assert drawn.status_code == 200
    assert drawn.headers["Content-Type"].startswith("image/svg+xml")
    assert drawn.headers["Cache-Control"] == "public, max-age=86400"
    assert (await gateway.client().get("/pictures/NEVER-WAS.svg")).status_code == 404


async def test_articles_stay_cached_while_product_svc_is_down() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE)
    assert (await gateway.client().get(f"/api/v1/products/{KETTLE}")).status_code == 200
    gateway.product_svc.away = True
    assert (await gateway.client().get(f"/api/v1/products/{KETTLE}")).status_code == 200
