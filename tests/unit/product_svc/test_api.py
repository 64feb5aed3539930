"""The catalogue: staff change it over the broker, and customers read it over HTTP."""

from collections.abc import AsyncIterator

import pytest

from chassis.bus.memory import MemoryStore
from contracts.products import ChangePrice, WithdrawProduct
from contracts.values import Money
from tests.support.shops.product import BLACK_TEA, CUP, GREEN_TEA, KETTLE, ProductApp, listing


@pytest.fixture
async def product_app() -> AsyncIterator[ProductApp]:
    product_app = ProductApp(MemoryStore())
    await product_app.runtime.start()
    yield product_app
    await product_app.http.aclose()
    await product_app.runtime.stop()


async def test_a_listed_article_can_be_looked_at(product_app: ProductApp) -> None:
    await product_app.send(KETTLE)
    response = await product_app.get("/products/KETTLE-BLUE")
    assert response.status_code == 200
    assert response.json() == {
        "sku": "KETTLE-BLUE",
        "title": "Kettle, blue",
        "description": "",
        "category": "kitchen",
        "price": {"amount_minor": 2990, "currency": "EUR"},
        "revision": 1,
        "withdrawn": False,
    }


async def test_articles_are_found_by_words_category_or_both(product_app: ProductApp) -> None:
    await product_app.send(KETTLE, CUP, GREEN_TEA, BLACK_TEA)
    assert await product_app.skus() == ["CUP-WHITE", "KETTLE-BLUE", "TEA-BLACK", "TEA-GREEN"]
    assert await product_app.skus("q=TEA") == ["TEA-BLACK", "TEA-GREEN"]
    assert await product_app.skus("q=te+gre") == ["TEA-GREEN"]
    assert await product_app.skus("category=kitchen") == ["CUP-WHITE", "KETTLE-BLUE"]
    assert await product_app.skus("q=bl&category=kitchen") == ["KETTLE-BLUE"]
    assert await product_app.skus("q=spade") == []
    for nothing_to_search_for in ("t", "%E2%98%95", "%3F%21", "+_+-+"):
        assert await product_app.skus(f"q={nothing_to_search_for}") == [], nothing_to_search_for
    assert len(await product_app.skus("q=+")) > 2, "a blank query lists all"
    assert await product_app.skus("q=tea-black") == ["TEA-BLACK"]
    assert await product_app.skus("category=garden") == []


async def test_a_query_with_one_typing_error_finds_what_was_meant(product_app: ProductApp) -> None:
    await product_app.send(KETTLE, CUP, GREEN_TEA, BLACK_TEA)
    assert await product_app.skus("q=ketlle") == await product_app.skus("q=ketle") == ["KETTLE-BLUE"]
    assert await product_app.skus("q=tea+balck") == ["TEA-BLACK"]
    assert await product_app.skus("q=ketlle&category=tea") == []
    assert await product_app.skus("q=xyzzy") == []


async def test_pages_lead_through_the_whole_catalogue_once(product_app: ProductApp) -> None:
    await product_app.send(*(listing(f"CUP-{number:02}", "Cup") for number in range(7)))
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = (await product_app.get(f"/products?limit=3{f'&after={after}' if after else ''}")).json()
        seen += [item["sku"] for item in page["items"]]
        after = page["next"]
    assert seen == [f"CUP-{number:02}" for number in range(7)]


async def test_a_full_last_page_has_no_next(product_app: ProductApp) -> None:
    await product_app.send(KETTLE, CUP)
    assert (await product_app.get("/products?limit=2")).json()["next"] is None


async def test_a_withdrawn_article_is_unlisted_but_readable(product_app: ProductApp) -> None:
    await product_app.send(KETTLE, CUP)
    await product_app.send(WithdrawProduct(sku=KETTLE.sku))
    assert await product_app.skus() == ["CUP-WHITE"]
    response = await product_app.get("/products/KETTLE-BLUE")
    assert (response.status_code, response.json()["withdrawn"]) == (200, True)


async def test_named_articles_are_in_one_response_even_withdrawn(product_app: ProductApp) -> None:
    await product_app.send(KETTLE, CUP, GREEN_TEA)
    await product_app.send(WithdrawProduct(sku=KETTLE.sku), WithdrawProduct(sku="NEVER-LISTED"))
    assert await product_app.skus("skus=TEA-GREEN,KETTLE-BLUE,NOTHING,NEVER-LISTED,TEA-GREEN") == [
        "TEA-GREEN",
        "KETTLE-BLUE",
    ]
    assert await product_app.skus("skus=NOTHING") == []
    page = (await product_app.get("/products?skus=KETTLE-BLUE,CUP-WHITE&limit=1&category=tea")).json()
    assert [(item["sku"], item["withdrawn"]) for item in page["items"]] == [
        ("KETTLE-BLUE", True),
        ("CUP-WHITE", False),
    ]
    assert page["next"] is None


async def test_every_article_has_an_image_that_browsers_may_cache(product_app: ProductApp) -> None:
    await product_app.send(KETTLE)
    await product_app.send(WithdrawProduct(sku=KETTLE.sku))  # old orders still refer to it
    response = await product_app.get("/products/KETTLE-BLUE/picture")
    assert (response.status_code, response.headers["content-type"]) == (200, "image/svg+xml")
    assert response.headers["cache-control"] == "public, max-age=3600"
    assert response.text.startswith("<svg ") and "<title>Kettle, blue</title>" in response.text
    same = await product_app.get(
        "/products/KETTLE-BLUE/picture", **{"If-None-Match": response.headers["etag"]}
    )
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", response.headers["etag"])


async def test_an_image_depends_on_the_title_and_not_the_price(product_app: ProductApp) -> None:
    await product_app.send(KETTLE)
    known = {"If-None-Match": (await product_app.get("/products/KETTLE-BLUE/picture")).headers["etag"]}
    await product_app.send(ChangePrice(sku=KETTLE.sku, price=Money(amount_minor=1, currency="EUR")))
    assert (await product_app.get("/products/KETTLE-BLUE/picture", **known)).status_code == 304
    await product_app.send(KETTLE.model_copy(update={"title": "Teapot, blue"}))
    assert (await product_app.get("/products/KETTLE-BLUE/picture", **known)).status_code == 200


async def test_an_article_outside_the_catalogue_has_no_image(product_app: ProductApp) -> None:
    await product_app.send(WithdrawProduct(sku="NEVER-LISTED"))
    for sku in ("NOTHING", "NEVER-LISTED"):
        response = await product_app.get(f"/products/{sku}/picture")
        assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")


async def test_a_refused_command_puts_nothing_into_the_catalogue(product_app: ProductApp) -> None:
    await product_app.send(WithdrawProduct(sku="NEVER-LISTED"))
    assert product_app.emitted() == ["product.command_refused.v1"]
    assert await product_app.skus() == []
    assert (await product_app.get("/products/NEVER-LISTED")).status_code == 404


async def test_an_unknown_article_is_a_problem_with_details(product_app: ProductApp) -> None:
    response = await product_app.get("/products/NOTHING")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["title"] == "No such product"


async def test_categories_are_counted_without_withdrawn_articles(product_app: ProductApp) -> None:
    await product_app.send(KETTLE, CUP, GREEN_TEA, BLACK_TEA, listing("LAMP", "Lamp", "living"))
    await product_app.send(WithdrawProduct(sku="LAMP"), WithdrawProduct(sku=CUP.sku))
    assert (await product_app.get("/categories")).json() == {
        "items": [{"name": "kitchen", "count": 1}, {"name": "tea", "count": 2}]
    }


async def test_categories_are_counted_over_many_pages(
    product_app: ProductApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("product_svc.finding._PAGE", 2)
    await product_app.send(*(listing(f"CUP-{number:02}", "Cup") for number in range(5)))
    assert (await product_app.get("/categories")).json()["items"] == [{"name": "kitchen", "count": 5}]


async def test_an_unchanged_article_is_not_sent_again(product_app: ProductApp) -> None:
    await product_app.send(KETTLE)
    etag = (await product_app.get("/products/KETTLE-BLUE")).headers["etag"]
    for known in (etag, f"W/{etag}", f'"old", {etag}', "*"):
        response = await product_app.get("/products/KETTLE-BLUE", **{"If-None-Match": known})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", etag)
    await product_app.send(ChangePrice(sku=KETTLE.sku, price=Money(amount_minor=1, currency="EUR")))
    response = await product_app.get("/products/KETTLE-BLUE", **{"If-None-Match": etag})
    assert response.status_code == 200
    assert response.headers["etag"] != etag


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
async def test_bad_input_is_named(product_app: ProductApp, path: str, field: str) -> None:
    response = await product_app.get(path)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert field in response.json()["detail"]


async def test_a_query_is_text_and_never_an_operator(product_app: ProductApp) -> None:
    await product_app.send(KETTLE)
    for query in ("q=%7B%22%24ne%22%3Anull%7D", "q=.*ket", "q=%24where"):
        assert await product_app.skus(query) in ([], ["KETTLE-BLUE"])
    assert await product_app.skus("q=%7B%22%24ne%22%3Anull%7D") == []


async def test_seeding_a_catalogue_twice_emits_once(product_app: ProductApp) -> None:
    await product_app.send(KETTLE, CUP)
    await product_app.send(KETTLE, CUP)
    assert product_app.emitted() == ["product.listed.v1"] * 2


async def test_without_the_database_the_response_is_503(product_app: ProductApp) -> None:
    store = product_app.runtime.store
    assert isinstance(store, MemoryStore)
    store.away = True
    response = await product_app.get("/products")
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
