"""The seeded catalogue of the shop."""

import re
from collections import Counter

import pytest

from chassis.bus.memory import MemoryStore
from contracts.products import ListProduct
from contracts.values import Money
from journey.devenv.catalogue import CATALOGUE, STAPLES, CatalogueEntry
from product_svc.illustrations.illustration import (
    MOTIF_BY_CATEGORY,
    MOTIF_BY_NOUN,
    motif,
    render_illustration,
)
from tests.support.shops.product import ProductApp


def listing_of(article: CatalogueEntry) -> ListProduct:
    price = Money(amount_minor=article.cents, currency="EUR")
    return ListProduct(
        sku=article.sku,
        title=article.title,
        description=article.description,
        category=article.category,
        price=price,
    )


def test_the_start_catalogue_has_enough_articles() -> None:
    assert len(CATALOGUE) >= 40
    assert (
        len({article.sku for article in CATALOGUE})
        == len({article.title for article in CATALOGUE})
        == len(CATALOGUE)
    )
    sizes = Counter(article.category for article in CATALOGUE)
    assert set(sizes) == set(MOTIF_BY_CATEGORY)
    assert min(sizes.values()) >= 3


def test_stock_has_plenty_some_low_and_one_sold_out() -> None:
    pieces = {article.sku: article.pieces for article in CATALOGUE}
    assert STAPLES and min(pieces[sku] for sku in STAPLES) >= 10_000
    assert [sku for sku, count in pieces.items() if count == 0] == ["SAMOVAR-RARE"]
    assert len([sku for sku, count in pieces.items() if 3 <= count <= 9]) >= 4


@pytest.mark.parametrize("article", CATALOGUE, ids=lambda article: article.sku)
def test_every_article_has_a_text_and_a_fitting_illustration(article: CatalogueEntry) -> None:
    assert article.description.endswith(".") and 40 < len(article.description) < 200
    assert article.cents > 0
    assert motif(article.title, "") in MOTIF_BY_NOUN.values()
    assert article.title in render_illustration(article.sku, article.title, article.category)


def test_no_two_articles_look_alike() -> None:
    looks = Counter(
        re.sub("<title>.*</title>", "", render_illustration(article.sku, article.title, article.category))
        for article in CATALOGUE
    )
    assert set(looks.values()) == {1}


async def test_listing_the_start_catalogue_twice_emits_once() -> None:
    product_app = ProductApp(MemoryStore())
    await product_app.runtime.start()
    try:
        for _ in range(2):
            await product_app.send(*map(listing_of, CATALOGUE))
        assert product_app.emitted() == ["product.listed.v1"] * len(CATALOGUE)
        assert await product_app.skus("limit=100") == sorted(article.sku for article in CATALOGUE)
        assert "TEAPOT-RED" in await product_app.skus("q=teapot")
    finally:
        await product_app.http.aclose()
        await product_app.runtime.stop()
