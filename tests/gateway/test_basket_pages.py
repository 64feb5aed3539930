"""The basket in a browser: one form in which everything that is typed counts."""

from typing import Any
from unittest.mock import AsyncMock, patch

import httpx
import pytest

from chassis.store import StoreUnavailable
from contracts.identity import new_id
from gateway.basket import Add, Asked, Basket, HandOver, Item, Put
from gateway.baskets import guests_key, users_key
from product_svc.product import Status
from tests.gateway.corner import ADA, KETTLE, PASSWORD, TEA, Corner, Page, is_at, put


async def filled() -> tuple[Corner, httpx.AsyncClient]:
    corner = Corner()
    await corner.sells(KETTLE, "Kettle, blue", cents=2990)
    await corner.sells(TEA, "Green tea", cents=420)
    eve = corner.browser()
    await put(eve, KETTLE, 2)
    await put(eve, TEA)
    return corner, eve


async def form(browser: httpx.AsyncClient) -> dict[str, Any]:
    return Page(await browser.get("/basket")).form("/basket")


async def quantities(browser: httpx.AsyncClient) -> dict[str, str]:
    sent = await form(browser)
    return dict(zip(sent["sku"], sent["quantity"], strict=True))


async def test_what_a_guest_puts_in_is_there_and_adds_up() -> None:
    _, eve = await filled()
    page = Page(await eve.get("/basket"))
    assert "€64.00" in page.text and "3 pieces" in page.text
    await put(eve, KETTLE)
    assert await quantities(eve) == {KETTLE: "3", TEA: "1"}


async def test_the_way_to_the_checkout_takes_the_quantities_that_were_typed() -> None:
    _, eve = await filled()
    sent = await form(eve) | {"quantity": ["5", "0"], "do": "checkout"}
    assert is_at(await eve.post("/basket", data=sent), "/checkout")
    assert (await form(eve))["quantity"] == "5"


async def test_an_article_is_taken_out_by_its_button_whatever_else_is_typed() -> None:
    _, eve = await filled()
    sent = await form(eve) | {"quantity": ["nonsense", "1"], "do": f"out {KETTLE}"}
    assert is_at(await eve.post("/basket", data=sent), "/basket")
    assert (await form(eve))["sku"] == TEA


async def test_a_wrong_quantity_is_named_and_nothing_is_changed() -> None:
    _, eve = await filled()
    sent = await form(eve)
    for typed in ("-1", "101", "many", "1.5", "", "1" * 30, "0" * 5000, "²"):
        answer = await eve.post("/basket", data=sent | {"quantity": ["7", typed], "do": "checkout"})
        assert answer.status_code == 422, typed
        page = Page(answer)
        assert f'href="#quantity-{TEA}"' in page.html and 'aria-invalid="true"' in page.html
        assert page.form("/basket")["quantity"] == ["7", typed]
    assert await quantities(eve) == {KETTLE: "2", TEA: "1"}


async def test_an_old_tab_is_told_and_overwrites_nothing() -> None:
    _, eve = await filled()
    old = await form(eve)
    await put(eve, TEA, 4)
    for revision in (old["revision"], "", "-1", "9" * 5000):
        answer = await eve.post("/basket", data=old | {"do": "checkout", "revision": revision})
        assert answer.status_code == 409, revision
        assert "Your basket has changed meanwhile" in Page(answer).text
    assert await quantities(eve) == {KETTLE: "2", TEA: "5"}


async def test_a_guests_basket_becomes_their_own_when_they_log_in_once() -> None:
    corner, _ = await filled()
    ada = await corner.resident()
    await put(ada, TEA, 3)
    await ada.post("/logout")
    await put(ada, KETTLE, 2)
    await put(ada, TEA, 1)
    guests = ada.cookies["__Host-basket"]
    for _ in range(2):  # the second time as if the answer of the first had been lost, and the old cookie were there
        ada.cookies.set("__Host-basket", guests, domain="shop.example", path="/")
        answer = await ada.post("/login", data={"email": ADA, "password": PASSWORD})
        assert answer.status_code == 303
    assert await quantities(ada) == {TEA: "4", KETTLE: "2"}
    assert (await corner.house.baskets.of(guests_key(guests))).items == ()
    assert "__Host-basket" not in ada.cookies


async def test_a_hand_over_that_was_cut_short_is_finished_later_and_doubles_nothing() -> None:
    corner, eve = await filled()
    secret = eve.cookies["__Host-basket"]
    before = await corner.store.find("baskets")
    ada = users_key(new_id())
    for _ in range(3):
        await corner.as_it_was("baskets", before)
        await corner.house.baskets.hand_over(guests_key(secret), ada)
    held = await corner.house.baskets.of(ada)
    assert {item.sku: item.quantity for item in held.items} == {KETTLE: 2, TEA: 1}


@pytest.mark.parametrize("written", [1, 2])
async def test_an_interrupted_hand_over_doubles_nothing_however_late_it_is_finished(written: int) -> None:
    """More changes come in between than a basket keeps handled ids, and the guest goes on shopping."""
    corner, eve = await filled()
    baskets, guest, ada = corner.house.baskets, guests_key(eve.cookies["__Host-basket"]), users_key(new_id())
    change, writes = baskets.change, 0

    async def interrupted(key: str, asked: Asked) -> Basket:
        nonlocal writes
        if (writes := writes + 1) > written:
            raise StoreUnavailable("killed here")
        return await change(key, asked)

    with patch.object(baskets, "change", interrupted), pytest.raises(StoreUnavailable):
        await baskets.hand_over(guest, ada)
    for quantity in range(1, 21):
        await baskets.change(ada, Put("OTHER", quantity))
    await baskets.change(guest, Add(Item(TEA, 1)))
    await baskets.hand_over(guest, ada)
    await baskets.hand_over(guest, ada)
    held = {item.sku: item.quantity for item in (await baskets.of(ada)).items}
    assert held == {KETTLE: 2, TEA: 1 + 1, "OTHER": 20}
    assert (await baskets.of(guest)).items == (await baskets.of(guest)).handed == ()


async def test_two_log_ins_at_once_hand_over_all_that_a_guest_gathers_meanwhile() -> None:
    """The second one has read the basket before the first one is done, and the guest goes on shopping."""
    corner, eve = await filled()
    baskets, guest, ada = corner.house.baskets, guests_key(eve.cookies["__Host-basket"]), users_key(new_id())
    of = baskets.of

    async def overtaken(key: str) -> Basket:
        found = await of(key)
        baskets.of = of  # type: ignore[method-assign]
        await baskets.hand_over(guest, ada)
        await baskets.change(guest, Add(Item(TEA, 3)))
        return found

    with patch.object(baskets, "of", overtaken):
        await baskets.hand_over(guest, ada)
    await baskets.hand_over(guest, ada)
    assert {item.sku: item.quantity for item in (await of(ada)).items} == {KETTLE: 2, TEA: 1 + 3}


async def test_a_hand_over_that_another_request_has_done_leaves_no_trace() -> None:
    corner, eve = await filled()
    baskets, guest, ada = corner.house.baskets, guests_key(eve.cookies["__Host-basket"]), users_key(new_id())
    found = await baskets.of(guest)
    await baskets.hand_over(guest, ada)
    with patch.object(baskets, "of", AsyncMock(return_value=found)):
        await baskets.hand_over(guest, ada)
    assert {loaded.key for loaded in await corner.store.find("baskets")} == {guest, ada}


async def test_what_one_user_left_half_way_does_not_go_to_the_next() -> None:
    corner, eve = await filled()
    baskets, guest = corner.house.baskets, guests_key(eve.cookies["__Host-basket"])
    ada, bob = users_key(new_id()), users_key(new_id())
    await baskets.change(guest, HandOver(ada, "interrupted"))
    await baskets.hand_over(guest, bob)
    assert (await baskets.of(bob)).items == ()
    assert {item.sku for item in (await baskets.of(ada)).items} == {KETTLE, TEA}


async def test_more_than_an_order_may_have_is_refused_in_plain_words() -> None:
    _, eve = await filled()
    answer = await eve.post("/basket/items", data={"sku": KETTLE, "quantity": "99"})
    assert answer.status_code == 422
    assert "at most 50 articles, and 100 pieces of each" in Page(answer).text
    for quantity in ("0", "-1", "x"):
        answer = await eve.post("/basket/items", data={"sku": KETTLE, "quantity": quantity})
        assert answer.status_code == 422
        assert "Type a quantity from 1 to 100" in Page(answer).text


async def test_what_does_not_exist_is_not_put_in() -> None:
    corner, eve = await filled()
    for sku in ("NEVER-WAS", "", "no sku", '{"$ne": null}'):
        assert (await eve.post("/basket/items", data={"sku": sku, "quantity": "1"})).status_code == 404, sku
    corner.forget()
    corner.product_svc.away = True
    assert is_at(await eve.post("/basket/items", data={"sku": "BELIEVED", "quantity": "1"}), "/basket")


async def test_what_is_not_sold_any_more_keeps_one_from_the_checkout() -> None:
    corner, eve = await filled()
    await corner.sells(TEA, "Green tea", status=Status.WITHDRAWN)
    page = Page(await eve.get("/basket"))
    assert "Not for sale any more" in page.text and "€59.80" in page.text
    [button] = [given for tag, given in page.tags if given.get("value") == "checkout"]
    assert "disabled" in button
