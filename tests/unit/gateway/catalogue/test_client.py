"""The gateway validates the responses of product_svc and inventory_svc.

An invalid one counts as unavailable.
"""

from typing import Any

import httpx
import pytest

from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from gateway.catalogue.client import CatalogueClient, StockLevel

SKU = "KETTLE-BLUE"
ARTICLE = {
    "sku": SKU,
    "title": "Kettle, blue",
    "description": "",
    "category": "kitchen",
    "price": {"amount_minor": 2_990, "currency": "EUR"},
    "revision": 1,
    "withdrawn": False,
}
SVG = "<svg xmlns='http://www.w3.org/2000/svg'/>"


def catalogue(response: Any = None, **given: Any) -> CatalogueClient:
    """A catalogue client whose services return this response to every request."""

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, **(given or {"json": response}))

    products, inventory = (
        UpstreamClient(name, f"http://{name}", transport=httpx.MockTransport(respond))
        for name in ("product_svc", "inventory_svc")
    )
    return CatalogueClient(products, inventory)


async def test_an_article_as_documented_is_read() -> None:
    found = await catalogue({"items": [ARTICLE], "next": None}).articles([SKU])
    assert found[SKU].title == "Kettle, blue"


async def test_fields_of_a_newer_product_svc_are_ignored() -> None:
    price = {"amount_minor": 2_990, "currency": "EUR", "tax": 19}
    found = await catalogue({"items": [ARTICLE | {"price": price, "gift": True}], "next": None}).articles(
        [SKU]
    )
    assert found[SKU].price.amount_minor == 2_990


@pytest.mark.parametrize(
    "wrong",
    [
        {"sku": "../admin"},
        {"title": None},
        {"title": "x" * 1_001},
        {"description": "x" * 20_001},
        {"category": "x" * 101},
        {"price": {"amount_minor": "2990", "currency": "EUR"}},
        {"price": {"amount_minor": 29.9, "currency": "EUR"}},
        {"price": {"amount_minor": -1, "currency": "EUR"}},
        {"price": {"amount_minor": 10**13, "currency": "EUR"}},
        {"price": {"amount_minor": 2_990, "currency": "eur"}},
        {"price": None},
        {"revision": "1"},
        {"revision": -1},
        {"revision": 10**13},
        {"withdrawn": "no"},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
async def test_an_article_of_another_shape_is_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(UpstreamUnavailable):
        await catalogue({"items": [ARTICLE | wrong], "next": None}).articles([SKU])


@pytest.mark.parametrize(
    "page",
    [
        [],
        None,
        {"items": [ARTICLE]},
        {"items": [ARTICLE] * 1_001, "next": None},
        {"items": [], "next": "x" * 101},
    ],
)
async def test_a_page_of_another_shape_is_rejected(page: Any) -> None:
    with pytest.raises(UpstreamUnavailable):
        await catalogue(page).page()


@pytest.mark.parametrize("count", [-1, "3", 2.5, 10**13, None])
async def test_an_invalid_article_count_is_rejected(count: Any) -> None:
    with pytest.raises(UpstreamUnavailable):
        await catalogue({"items": [{"name": "kitchen", "count": count}]}).categories()


@pytest.mark.parametrize("available", ["3", 2.5, 10**13, -(10**13), None, True])
async def test_a_stock_count_that_is_none_leaves_the_stock_unknown(available: Any) -> None:
    assert await catalogue({"items": [{"sku": SKU, "available": available}]}).stock([SKU]) == {}


async def test_a_negative_stock_is_sold_out() -> None:
    assert await catalogue({"items": [{"sku": SKU, "available": -3}]}).stock([SKU]) == {SKU: StockLevel.OUT}


@pytest.mark.parametrize("media_type", ["text/html", "", "image/svg+xmlx", "application/xhtml+xml"])
async def test_only_an_svg_is_forwarded_as_an_image(media_type: str) -> None:
    with pytest.raises(UpstreamUnavailable):
        await catalogue(content=b"<script>", headers={"Content-Type": media_type}).image(SKU)


async def test_an_oversized_image_is_rejected() -> None:
    with pytest.raises(UpstreamUnavailable):
        await catalogue(content=b" " * 1_000_001, headers={"Content-Type": "image/svg+xml"}).image(SKU)
    drawn = await catalogue(
        content=SVG.encode(), headers={"Content-Type": "image/svg+xml; charset=utf-8"}
    ).image(SKU)
    assert drawn is not None and drawn.media_type == "image/svg+xml"
