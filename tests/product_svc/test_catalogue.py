"""What the shop sells when it opens."""

import re
from collections import Counter

import pytest

from chassis.memory import MemoryStore
from contracts.products import ListProduct
from contracts.values import Money
from journey.catalogue import CATALOGUE, PIECES_EACH, STAPLES, Article
from product_svc.pictures.picture import CATEGORIES, NOUNS, motif, picture
from tests.product_svc.shop import Shop


def listing_of(article: Article) -> ListProduct:
    price = Money(amount_minor=article.cents, currency="EUR")
    return ListProduct(
        sku=article.sku, title=article.title, description=article.description, category=article.category, price=price
    )


def test_there_is_enough_to_look_around_in() -> None:
    assert len(CATALOGUE) >= 40
    assert (
        len({article.sku for article in CATALOGUE}) == len({article.title for article in CATALOGUE}) == len(CATALOGUE)
    )
    sizes = Counter(article.category for article in CATALOGUE)
    assert set(sizes) == set(CATEGORIES)
    assert min(sizes.values()) >= 3


def test_of_the_staples_there_is_plenty_a_few_are_nearly_gone_and_one_is_sold_out() -> None:
    pieces = {article.sku: article.pieces for article in CATALOGUE}
    assert {pieces[sku] for sku in STAPLES} == {PIECES_EACH}
    assert [sku for sku, count in pieces.items() if count == 0] == ["SAMOVAR-RARE"]
    assert len([sku for sku, count in pieces.items() if 3 <= count <= 9]) >= 4


@pytest.mark.parametrize("article", CATALOGUE, ids=lambda article: article.sku)
def test_every_article_has_words_and_a_drawing_of_its_own_kind(article: Article) -> None:
    assert article.description.endswith(".") and 40 < len(article.description) < 200
    assert article.cents > 0
    assert motif(article.title, "") in NOUNS.values()
    assert article.title in picture(article.sku, article.title, article.category)


def test_no_two_articles_look_alike() -> None:
    looks = Counter(
        re.sub("<title>.*</title>", "", picture(article.sku, article.title, article.category)) for article in CATALOGUE
    )
    assert set(looks.values()) == {1}


async def test_opening_the_shop_twice_lists_everything_once() -> None:
    shop = Shop(MemoryStore())
    await shop.runtime.start()
    try:
        for _ in range(2):
            await shop.send(*map(listing_of, CATALOGUE))
        assert shop.said() == ["product.listed.v1"] * len(CATALOGUE)
        assert await shop.skus("limit=100") == sorted(article.sku for article in CATALOGUE)
        assert "TEAPOT-RED" in await shop.skus("q=teapot")
    finally:
        await shop.http.aclose()
        await shop.runtime.stop()
