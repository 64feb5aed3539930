"""The catalogue as staff fill it over the broker and customers read it over HTTP."""

from collections.abc import AsyncIterator

import pytest

from chassis.memory import MemoryStore
from contracts.products import ChangePrice, WithdrawProduct
from contracts.values import Money
from tests.product_svc.shop import BLACK_TEA, CUP, GREEN_TEA, KETTLE, Shop, listing


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    shop = Shop(MemoryStore())
    await shop.runtime.start()
    yield shop
    await shop.http.aclose()
    await shop.runtime.stop()


async def test_a_listed_article_can_be_looked_at(shop: Shop) -> None:
    await shop.send(KETTLE)
    answer = await shop.get("/products/KETTLE-BLUE")
    assert answer.status_code == 200
    assert answer.json() == {
        "sku": "KETTLE-BLUE",
        "title": "Kettle, blue",
        "description": "",
        "category": "kitchen",
        "price": {"amount_minor": 2990, "currency": "EUR"},
        "revision": 1,
        "withdrawn": False,
    }


async def test_articles_are_found_by_words_category_or_both(shop: Shop) -> None:
    await shop.send(KETTLE, CUP, GREEN_TEA, BLACK_TEA)
    assert await shop.skus() == ["CUP-WHITE", "KETTLE-BLUE", "TEA-BLACK", "TEA-GREEN"]
    assert await shop.skus("q=TEA") == ["TEA-BLACK", "TEA-GREEN"]
    assert await shop.skus("q=te+gre") == ["TEA-GREEN"]
    assert await shop.skus("category=kitchen") == ["CUP-WHITE", "KETTLE-BLUE"]
    assert await shop.skus("q=bl&category=kitchen") == ["KETTLE-BLUE"]
    assert await shop.skus("q=spade") == []
    for nothing_to_search_for in ("t", "%E2%98%95", "%3F%21", "+_+-+"):
        assert await shop.skus(f"q={nothing_to_search_for}") == [], nothing_to_search_for
    assert len(await shop.skus("q=+")) > 2, "a blank query lists all"
    assert await shop.skus("q=tea-black") == ["TEA-BLACK"]
    assert await shop.skus("category=garden") == []


async def test_a_query_with_one_typing_error_finds_what_was_meant(shop: Shop) -> None:
    await shop.send(KETTLE, CUP, GREEN_TEA, BLACK_TEA)
    assert await shop.skus("q=ketlle") == await shop.skus("q=ketle") == ["KETTLE-BLUE"]
    assert await shop.skus("q=tea+balck") == ["TEA-BLACK"]
    assert await shop.skus("q=ketlle&category=tea") == []
    assert await shop.skus("q=xyzzy") == []


async def test_pages_lead_through_the_whole_catalogue_once(shop: Shop) -> None:
    await shop.send(*(listing(f"CUP-{number:02}", "Cup") for number in range(7)))
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = (await shop.get(f"/products?limit=3{f'&after={after}' if after else ''}")).json()
        seen += [item["sku"] for item in page["items"]]
        after = page["next"]
    assert seen == [f"CUP-{number:02}" for number in range(7)]


async def test_a_full_last_page_has_no_next(shop: Shop) -> None:
    await shop.send(KETTLE, CUP)
    assert (await shop.get("/products?limit=2")).json()["next"] is None


async def test_a_withdrawn_article_is_no_longer_listed_but_can_be_looked_at(shop: Shop) -> None:
    await shop.send(KETTLE, CUP)
    await shop.send(WithdrawProduct(sku=KETTLE.sku))
    assert await shop.skus() == ["CUP-WHITE"]
    answer = await shop.get("/products/KETTLE-BLUE")
    assert (answer.status_code, answer.json()["withdrawn"]) == (200, True)


async def test_named_articles_come_in_one_answer_also_withdrawn_ones(shop: Shop) -> None:
    await shop.send(KETTLE, CUP, GREEN_TEA)
    await shop.send(WithdrawProduct(sku=KETTLE.sku), WithdrawProduct(sku="NEVER-LISTED"))
    assert await shop.skus("skus=TEA-GREEN,KETTLE-BLUE,NOTHING,NEVER-LISTED,TEA-GREEN") == ["TEA-GREEN", "KETTLE-BLUE"]
    assert await shop.skus("skus=NOTHING") == []
    page = (await shop.get("/products?skus=KETTLE-BLUE,CUP-WHITE&limit=1&category=tea")).json()
    assert [(item["sku"], item["withdrawn"]) for item in page["items"]] == [("KETTLE-BLUE", True), ("CUP-WHITE", False)]
    assert page["next"] is None


async def test_every_article_has_a_picture_that_browsers_may_keep(shop: Shop) -> None:
    await shop.send(KETTLE)
    await shop.send(WithdrawProduct(sku=KETTLE.sku))  # old orders show it
    answer = await shop.get("/products/KETTLE-BLUE/picture")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    assert answer.headers["cache-control"] == "public, max-age=3600"
    assert answer.text.startswith("<svg ") and "<title>Kettle, blue</title>" in answer.text
    same = await shop.get("/products/KETTLE-BLUE/picture", **{"If-None-Match": answer.headers["etag"]})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", answer.headers["etag"])


async def test_a_picture_follows_the_title_and_not_the_price(shop: Shop) -> None:
    await shop.send(KETTLE)
    known = {"If-None-Match": (await shop.get("/products/KETTLE-BLUE/picture")).headers["etag"]}
    await shop.send(ChangePrice(sku=KETTLE.sku, price=Money(amount_minor=1, currency="EUR")))
    assert (await shop.get("/products/KETTLE-BLUE/picture", **known)).status_code == 304
    await shop.send(KETTLE.model_copy(update={"title": "Teapot, blue"}))
    assert (await shop.get("/products/KETTLE-BLUE/picture", **known)).status_code == 200


async def test_what_is_not_in_the_catalogue_has_no_picture(shop: Shop) -> None:
    await shop.send(WithdrawProduct(sku="NEVER-LISTED"))
    for sku in ("NOTHING", "NEVER-LISTED"):
        answer = await shop.get(f"/products/{sku}/picture")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_a_refused_command_puts_nothing_into_the_catalogue(shop: Shop) -> None:
    await shop.send(WithdrawProduct(sku="NEVER-LISTED"))
    assert shop.said() == ["product.command_refused.v1"]
    assert await shop.skus() == []
    assert (await shop.get("/products/NEVER-LISTED")).status_code == 404


async def test_an_unknown_article_is_a_problem_with_details(shop: Shop) -> None:
    answer = await shop.get("/products/NOTHING")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "No such product"


async def test_categories_are_counted_without_withdrawn_articles(shop: Shop) -> None:
    await shop.send(KETTLE, CUP, GREEN_TEA, BLACK_TEA, listing("LAMP", "Lamp", "living"))
    await shop.send(WithdrawProduct(sku="LAMP"), WithdrawProduct(sku=CUP.sku))
    assert (await shop.get("/categories")).json() == {
        "items": [{"name": "kitchen", "count": 1}, {"name": "tea", "count": 2}]
    }


async def test_categories_are_counted_over_many_pages(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("product_svc.finding._PAGE", 2)
    await shop.send(*(listing(f"CUP-{number:02}", "Cup") for number in range(5)))
    assert (await shop.get("/categories")).json()["items"] == [{"name": "kitchen", "count": 5}]


async def test_an_unchanged_article_is_not_sent_again(shop: Shop) -> None:
    await shop.send(KETTLE)
    etag = (await shop.get("/products/KETTLE-BLUE")).headers["etag"]
    for known in (etag, f"W/{etag}", f'"old", {etag}', "*"):
        answer = await shop.get("/products/KETTLE-BLUE", **{"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    await shop.send(ChangePrice(sku=KETTLE.sku, price=Money(amount_minor=1, currency="EUR")))
    answer = await shop.get("/products/KETTLE-BLUE", **{"If-None-Match": etag})
    assert answer.status_code == 200
    assert answer.headers["etag"] != etag


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/products?limit=0", "limit"),
        ("/products?limit=101", "limit"),
        ("/products?limit=many", "limit"),
        ("/products?category=No%20Such", "category"),
        ("/products?category[$ne]=x&limit=-1", "limit"),
        ("/products?after=%7B%7D", "after"),
        ("/products?skus=", "skus"),
        ("/products?skus=lower-case", "skus"),
        ("/products?skus=A,,B", "skus"),
        ("/products?skus=A,%7B%22$ne%22:1%7D", "skus"),
        (f"/products?skus={','.join('A' * 51)}", "skus"),
        ("/products/lower-case/picture", "sku"),
        (f"/products?q={'x' * 101}", "q"),
        ("/products/lower-case", "sku"),
        (f"/products/{'X' * 33}", "sku"),
    ],
)
async def test_bad_input_is_named(shop: Shop, path: str, field: str) -> None:
    answer = await shop.get(path)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert field in answer.json()["detail"]


async def test_a_query_is_words_and_never_an_operator(shop: Shop) -> None:
    await shop.send(KETTLE)
    for query in ("q=%7B%22%24ne%22%3Anull%7D", "q=.*ket", "q=%24where"):
        assert await shop.skus(query) in ([], ["KETTLE-BLUE"])
    assert await shop.skus("q=%7B%22%24ne%22%3Anull%7D") == []


async def test_seeding_a_catalogue_twice_tells_it_once(shop: Shop) -> None:
    await shop.send(KETTLE, CUP)
    await shop.send(KETTLE, CUP)
    assert shop.said() == ["product.listed.v1"] * 2


async def test_while_the_database_is_away_the_answer_is_503(shop: Shop) -> None:
    store = shop.runtime.store
    assert isinstance(store, MemoryStore)
    store.away = True
    answer = await shop.get("/products")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
