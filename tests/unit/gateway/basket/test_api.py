"""The basket API: baskets of users and guests, conditional changes, and unavailable services."""

import httpx

from tests.support.shops.gateway_with_services import KETTLE, TEA, GatewayWithServices

BASKET = "/api/v1/basket"


async def put(client: httpx.AsyncClient, sku: str, quantity: object, **headers: str) -> httpx.Response:
    return await client.put(f"{BASKET}/items/{sku}", json={"quantity": quantity}, headers=headers)


async def stocked() -> GatewayWithServices:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE, cents=2990)
    await gateway.offer_product(TEA, "Green tea", cents=420)
    return gateway


async def test_a_basket_shows_prices_and_the_total() -> None:
    gateway = await stocked()
    ada = await gateway.logged_in_customer()
    await put(ada, KETTLE, 2)
    response = await put(ada, TEA, 1)
    assert response.status_code == 200, response.text
    assert response.json()["total"] == {"amount_minor": 6400, "currency": "EUR"}
    assert [(item["title"], item["quantity"], item["stock"]) for item in response.json()["items"]] == [
        ("Kettle, blue", 2, "in"),
        ("Green tea", 1, "in"),
    ]


async def test_a_guest_gets_a_basket_of_their_own() -> None:
    gateway = await stocked()
    eve, bob = gateway.browser(), gateway.browser()
    assert (await eve.get(BASKET)).json()["items"] == []
    response = await put(eve, KETTLE, 1)
    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith("__Host-basket=")
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= set(cookie.split("; "))
    assert len((await eve.get(BASKET)).json()["items"]) == 1
    assert (await bob.get(BASKET)).json()["items"] == []


async def test_the_database_does_not_contain_a_guests_basket_key() -> None:
    gateway = await stocked()
    eve = gateway.browser()
    await put(eve, KETTLE, 1)
    secret = eve.cookies["__Host-basket"]
    kept = [loaded.key for loaded in await gateway.store.find("baskets")]
    assert len(kept) == 1 and secret not in kept[0]


async def test_an_outdated_etag_does_not_overwrite_the_basket() -> None:
    gateway = await stocked()
    ada = await gateway.logged_in_customer()
    seen = (await put(ada, KETTLE, 2)).headers["ETag"]
    assert (await put(ada, KETTLE, 3)).status_code == 200
    late = await put(ada, KETTLE, 9, **{"If-Match": seen})
    assert (late.status_code, late.json()["type"]) == (412, "/problems/changed")
    now = await ada.get(BASKET)
    assert now.json()["items"][0]["quantity"] == 3
    assert (await put(ada, KETTLE, 9, **{"If-Match": now.headers["ETag"]})).status_code == 200
    assert (await put(ada, KETTLE, 8, **{"If-Match": "nonsense"})).status_code == 412


async def test_an_invalid_basket_item_is_rejected() -> None:
    gateway = await stocked()
    ada = await gateway.logged_in_customer()
    for quantity in (-1, 101, "2", 1.5, True, None, {"$gt": 0}):
        assert (await put(ada, KETTLE, quantity)).status_code == 422, quantity
    response = await ada.put(f"{BASKET}/items/{KETTLE}", json={"quantity": 1, "price": 1})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "#/price"
    assert (await put(ada, "NEVER-WAS", 1)).status_code == 404


async def test_an_ambiguous_quantity_is_rejected() -> None:
    gateway = await stocked()
    ada = await gateway.logged_in_customer()
    response = await ada.put(
        f"{BASKET}/items/{KETTLE}",
        content='{"quantity": 1, "quantity": 5}',
        headers={"Content-Type": "application/json"},
    )
    assert (response.status_code, response.json()["type"]) == (400, "/problems/malformed")


async def test_removing_an_article_is_idempotent() -> None:
    gateway = await stocked()
    ada = await gateway.logged_in_customer()
    await put(ada, KETTLE, 1)
    for _ in range(2):
        response = await ada.delete(f"{BASKET}/items/{KETTLE}")
        assert (response.status_code, response.json()["items"]) == (200, [])


async def test_without_product_svc_a_basket_shows_items_without_prices() -> None:
    gateway = await stocked()
    ada = await gateway.logged_in_customer()
    await put(ada, KETTLE, 2)
    gateway.forget()
    gateway.product_svc.away = gateway.inventory_svc.away = True
    response = await ada.get(BASKET)
    assert response.status_code == 200
    [item] = response.json()["items"]
    assert (item["sku"], item["quantity"]) == (KETTLE, 2)
    assert (
        item["price"]
        is item["title"]
        is item["stock"]
        is item["for_sale"]
        is response.json()["total"]
        is None
    )
    assert (await put(ada, TEA, 1)).status_code == 200
