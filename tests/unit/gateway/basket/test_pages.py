"""The basket page: one form, so that every button submits all typed quantities."""

from typing import Any
from unittest.mock import AsyncMock, patch

import httpx
import pytest

from chassis.messaging.identity import new_id
from chassis.store.protocol import StoreUnavailable
from gateway.basket.basket import AddItem, Basket, BasketCommand, BasketItem, HandOver, SetQuantity
from gateway.basket.repository import guest_basket_key, user_basket_key
from product_svc.product import ProductStatus
from tests.support.shops.gateway_with_services import (
    ADA,
    KETTLE,
    PASSWORD,
    TEA,
    GatewayWithServices,
    Page,
    add_to_basket,
    redirects_to,
)


async def filled() -> tuple[GatewayWithServices, httpx.AsyncClient]:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE, "Kettle, blue", cents=2990)
    await gateway.offer_product(TEA, "Green tea", cents=420)
    eve = gateway.browser()
    await add_to_basket(eve, KETTLE, 2)
    await add_to_basket(eve, TEA)
    return gateway, eve


async def form(browser: httpx.AsyncClient) -> dict[str, Any]:
    return Page(await browser.get("/basket")).form("/basket")


async def quantities(browser: httpx.AsyncClient) -> dict[str, str]:
    sent = await form(browser)
    return dict(zip(sent["sku"], sent["quantity"], strict=True))


async def test_items_of_a_guest_are_kept_and_summed() -> None:
    _, eve = await filled()
    page = Page(await eve.get("/basket"))
    assert "€64.00" in page.text and "3 pieces" in page.text
    await add_to_basket(eve, KETTLE)
    assert await quantities(eve) == {KETTLE: "3", TEA: "1"}


async def test_going_to_checkout_saves_typed_quantities() -> None:
    _, eve = await filled()
    sent = await form(eve) | {"quantity": ["5", "0"], "do": "checkout"}
    assert redirects_to(await eve.post("/basket", data=sent), "/checkout")
    assert (await form(eve))["quantity"] == "5"


async def test_the_remove_button_works_beside_any_other_input() -> None:
    _, eve = await filled()
    sent = await form(eve) | {"quantity": ["nonsense", "1"], "do": f"out {KETTLE}"}
    assert redirects_to(await eve.post("/basket", data=sent), "/basket")
    assert (await form(eve))["sku"] == TEA


async def test_a_wrong_quantity_is_named_and_nothing_is_changed() -> None:
    _, eve = await filled()
    sent = await form(eve)
    for typed in ("-1", "101", "many", "1.5", "", "1" * 30, "0" * 5000, "²"):
        response = await eve.post("/basket", data=sent | {"quantity": ["7", typed], "do": "checkout"})
        assert response.status_code == 422, typed
        page = Page(response)
        assert f'href="#quantity-{TEA}"' in page.html and 'aria-invalid="true"' in page.html
        assert page.form("/basket")["quantity"] == ["7", typed]
    assert await quantities(eve) == {KETTLE: "2", TEA: "1"}


async def test_an_outdated_tab_is_notified_and_overwrites_nothing() -> None:
    _, eve = await filled()
    old = await form(eve)
    await add_to_basket(eve, TEA, 4)
    for revision in (old["revision"], "", "-1", "9" * 5000):
        response = await eve.post("/basket", data=old | {"do": "checkout", "revision": revision})
        assert response.status_code == 409, revision
        assert "Your basket has changed" in Page(response).text
    assert await quantities(eve) == {KETTLE: "2", TEA: "5"}


async def test_a_guests_basket_is_merged_once_at_login() -> None:
    gateway, _ = await filled()
    ada = await gateway.logged_in_customer()
    await add_to_basket(ada, TEA, 3)
    await ada.post("/logout")
    await add_to_basket(ada, KETTLE, 2)
    await add_to_basket(ada, TEA, 1)
    guests = ada.cookies["__Host-basket"]
    for _ in range(2):  # the second time as if the first response had been lost
        ada.cookies.set("__Host-basket", guests, domain="shop.example", path="/")
        response = await ada.post("/login", data={"email": ADA, "password": PASSWORD})
        assert response.status_code == 303
    assert await quantities(ada) == {TEA: "4", KETTLE: "2"}
    assert (await gateway.deps.baskets.get(guest_basket_key(guests))).items == ()
    assert "__Host-basket" not in ada.cookies


async def test_an_interrupted_merge_is_finished_later_without_duplicates() -> None:
    gateway, eve = await filled()
    secret = eve.cookies["__Host-basket"]
    before = await gateway.store.find("baskets")
    ada = user_basket_key(new_id())
    for _ in range(3):
        await gateway.restore("baskets", before)
        await gateway.deps.baskets.hand_over(guest_basket_key(secret), ada)
    held = await gateway.deps.baskets.get(ada)
    assert {item.sku: item.quantity for item in held.items} == {KETTLE: 2, TEA: 1}


@pytest.mark.parametrize("written", [1, 2])
async def test_a_merge_finished_very_late_duplicates_nothing(written: int) -> None:
    """In between there are more changes than a basket keeps handled ids, and the guest adds more items."""
    gateway, eve = await filled()
    baskets = gateway.deps.baskets
    guest = guest_basket_key(eve.cookies["__Host-basket"])
    ada = user_basket_key(new_id())
    change, writes = baskets.change, 0

    async def interrupted(key: str, asked: BasketCommand) -> Basket:
        nonlocal writes
        if (writes := writes + 1) > written:
            raise StoreUnavailable("killed here")
        return await change(key, asked)

    with patch.object(baskets, "change", interrupted), pytest.raises(StoreUnavailable):
        await baskets.hand_over(guest, ada)
    for quantity in range(1, 21):
        await baskets.change(ada, SetQuantity("OTHER", quantity))
    await baskets.change(guest, AddItem(BasketItem(TEA, 1)))
    await baskets.hand_over(guest, ada)
    await baskets.hand_over(guest, ada)
    held = {item.sku: item.quantity for item in (await baskets.get(ada)).items}
    assert held == {KETTLE: 2, TEA: 1 + 1, "OTHER": 20}
    assert (await baskets.get(guest)).items == (await baskets.get(guest)).handed == ()


async def test_concurrent_logins_merge_everything_a_guest_adds() -> None:
    """The second login reads the basket before the first one is finished, and the guest adds more items."""
    gateway, eve = await filled()
    baskets = gateway.deps.baskets
    guest = guest_basket_key(eve.cookies["__Host-basket"])
    ada = user_basket_key(new_id())
    of = baskets.get

    async def overtaken(key: str) -> Basket:
        found = await of(key)
        baskets.get = of  # type: ignore[method-assign]
        await baskets.hand_over(guest, ada)
        await baskets.change(guest, AddItem(BasketItem(TEA, 3)))
        return found

    with patch.object(baskets, "get", overtaken):
        await baskets.hand_over(guest, ada)
    await baskets.hand_over(guest, ada)
    assert {item.sku: item.quantity for item in (await of(ada)).items} == {KETTLE: 2, TEA: 1 + 3}


async def test_a_merge_done_by_another_request_changes_nothing() -> None:
    gateway, eve = await filled()
    baskets = gateway.deps.baskets
    guest = guest_basket_key(eve.cookies["__Host-basket"])
    ada = user_basket_key(new_id())
    found = await baskets.get(guest)
    await baskets.hand_over(guest, ada)
    with patch.object(baskets, "get", AsyncMock(return_value=found)):
        await baskets.hand_over(guest, ada)
    assert {loaded.key for loaded in await gateway.store.find("baskets")} == {guest, ada}


async def test_an_unfinished_merge_is_not_given_to_another_user() -> None:
    gateway, eve = await filled()
    baskets, guest = gateway.deps.baskets, guest_basket_key(eve.cookies["__Host-basket"])
    ada, bob = user_basket_key(new_id()), user_basket_key(new_id())
    await baskets.change(guest, HandOver(ada, "interrupted"))
    await baskets.hand_over(guest, bob)
    assert (await baskets.get(bob)).items == ()
    assert {item.sku for item in (await baskets.get(ada)).items} == {KETTLE, TEA}


async def test_exceeding_the_order_limit_is_rejected_in_plain_language() -> None:
    _, eve = await filled()
    response = await eve.post("/basket/items", data={"sku": KETTLE, "quantity": "99"})
    assert response.status_code == 422
    assert "at most 50 articles, and 100 pieces of each" in Page(response).text
    for quantity in ("0", "-1", "x"):
        response = await eve.post("/basket/items", data={"sku": KETTLE, "quantity": quantity})
        assert response.status_code == 422
        assert "Type a quantity from 1 to 100" in Page(response).text


async def test_an_unknown_article_is_not_added() -> None:
    gateway, eve = await filled()
    for sku in ("NEVER-WAS", "", "no sku", '{"$ne": null}'):
        assert (await eve.post("/basket/items", data={"sku": sku, "quantity": "1"})).status_code == 404, sku
    gateway.forget()
    gateway.product_svc.away = True
    assert redirects_to(await eve.post("/basket/items", data={"sku": "BELIEVED", "quantity": "1"}), "/basket")


async def test_unavailable_articles_block_the_checkout() -> None:
    gateway, eve = await filled()
    await gateway.offer_product(TEA, "Green tea", status=ProductStatus.WITHDRAWN)
    page = Page(await eve.get("/basket"))
    assert "No longer for sale" in page.text and "€59.80" in page.text
    [button] = [given for tag, given in page.tags if given.get("value") == "checkout"]
    assert "disabled" in button
