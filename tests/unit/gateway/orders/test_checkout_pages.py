"""The checkout orders exactly what the customer saw, once, or nothing."""

import asyncio
from typing import Any

import pytest

from product_svc.product import ProductStatus
from tests.support.checkout import at_the_till, form, placed
from tests.support.shops.gateway_with_services import (
    ADA,
    HOME,
    KETTLE,
    PASSWORD,
    SAMOVAR,
    TEA,
    GatewayWithServices,
    Page,
    add_to_basket,
    redirects_to,
)


async def test_the_shown_basket_is_ordered_and_emptied() -> None:
    gateway, ada = await at_the_till()
    page = Page(await ada.get("/checkout"))
    assert "Ada Lovelace" in page.text and "Pay €64.00" in page.text
    response = await ada.post("/checkout", data=await form(ada))
    [order] = placed(gateway)
    assert redirects_to(response, f"/orders/{order['order_id']}")
    assert [(line["sku"], line["quantity"]) for line in order["lines"]] == [(KETTLE, 2), (TEA, 1)]
    assert (order["total_seen"], order["card_token"]) == (
        {"amount_minor": 6400, "currency": "EUR"},
        "tok_visa",
    )
    assert "Your basket is empty" in Page(await ada.get("/basket")).text


async def test_ordered_items_keep_their_titles() -> None:
    gateway, ada = await at_the_till()
    response = await ada.post("/checkout", data=await form(ada))
    await gateway.offer_product(KETTLE, "Kettle with another name", cents=9900)
    page = Page(await ada.get(response.headers["Location"]))
    assert "Kettle, blue" in page.text and "Kettle with another name" not in page.text
    assert "€29.90" in page.text and "current title" not in page.text


async def test_pressing_pay_again_leads_to_the_same_order() -> None:
    gateway, ada = await at_the_till()
    sent = await form(ada)
    first = await ada.post("/checkout", data=sent)
    await add_to_basket(ada, TEA, 5)  # also if the basket has other items by now
    again = await ada.post("/checkout", data=sent)
    assert redirects_to(again, first.headers["Location"])
    assert len(placed(gateway)) == 1
    assert "5 pieces" in Page(await ada.get("/basket")).text


async def test_pressing_pay_twice_at_once_makes_one_order() -> None:
    gateway, ada = await at_the_till()
    sent = await form(ada)
    responses = await asyncio.gather(*(ada.post("/checkout", data=sent) for _ in range(5)))
    assert {response.status_code for response in responses} == {303}
    assert len({response.headers["Location"] for response in responses}) == len(placed(gateway)) == 1


async def test_an_unemptied_basket_is_not_ordered_again() -> None:
    """As after a crash of the gateway: the same form leads to the existing order, even with another card."""
    gateway, ada = await at_the_till()
    sent = await form(ada)
    before = await gateway.store.find("baskets")
    first = await ada.post("/checkout", data=sent)
    for card in ("tok_visa", "tok_declined"):
        await gateway.restore("baskets", before)
        assert redirects_to(
            await ada.post("/checkout", data=sent | {"card": card}), first.headers["Location"]
        )
    await gateway.restore("baskets", before)
    await gateway.offer_product(KETTLE, "Kettle, blue", cents=9990)
    assert redirects_to(await ada.post("/checkout", data=sent), first.headers["Location"])
    assert len(placed(gateway)) == 1


async def test_a_guest_returns_to_checkout_with_the_basket_after_login() -> None:
    gateway, _ = await at_the_till()
    eve = gateway.browser()
    await add_to_basket(eve, KETTLE)
    response = await eve.get("/checkout")
    assert redirects_to(response, "/login?next=/checkout")
    page = Page(await eve.get(response.headers["Location"]))
    then = await eve.post("/login", data=page.form("/login") | {"email": ADA, "password": PASSWORD})
    assert redirects_to(then, "/checkout")
    assert "3 × Kettle, blue" in Page(await eve.get("/checkout")).text


async def test_a_session_that_has_ended_orders_nothing_and_leads_back() -> None:
    gateway, ada = await at_the_till()
    sent = await form(ada)
    del ada.cookies["__Host-sid"]
    assert redirects_to(await ada.post("/checkout", data=sent), "/login?next=/checkout")
    assert placed(gateway) == []


async def test_a_basket_changed_in_another_tab_is_shown_before_ordering() -> None:
    gateway, ada = await at_the_till()
    old = await form(ada)
    await add_to_basket(ada, TEA, 4)
    response = await ada.post("/checkout", data=old)
    page = Page(response)
    assert response.status_code == 409 and placed(gateway) == []
    assert "You have not ordered yet" in page.text and "Green tea : 5 instead of 1" in page.text
    new = page.form("/checkout")
    assert new["key"] != old["key"]
    assert (await ada.post("/checkout", data=new | {"card": "tok_visa"})).status_code == 303
    [order] = placed(gateway)
    assert order["lines"][1]["quantity"] == 5


async def test_a_price_that_changed_is_shown_before_anything_is_ordered() -> None:
    gateway, ada = await at_the_till()
    old = await form(ada)
    await gateway.offer_product(KETTLE, "Kettle, blue", cents=3490, known=False)
    response = await ada.post("/checkout", data=old)
    assert response.status_code == 409 and placed(gateway) == []
    assert "Kettle, blue : each now costs €34.90 instead of €29.90" in Page(response).text


async def test_a_withdrawn_article_is_shown_and_blocks_payment() -> None:
    gateway, ada = await at_the_till()
    old = await form(ada)
    await gateway.offer_product(TEA, "Green tea", status=ProductStatus.WITHDRAWN)
    response = await ada.post("/checkout", data=old)
    page = Page(response)
    assert response.status_code == 409 and placed(gateway) == []
    assert "it is no longer for sale" in page.text
    assert any(
        tag == "button" and given.get("form") == "pay" and "disabled" in given for tag, given in page.tags
    )


async def test_unknown_current_prices_are_checked_by_order_svc() -> None:
    """The total that the customer saw is sent as total_seen,
    and order_svc rejects the order if it differs.
    """
    gateway, ada = await at_the_till()
    sent = await form(ada)
    gateway.product_svc.away = True
    assert (await ada.post("/checkout", data=sent)).status_code == 303
    [order] = placed(gateway)
    assert order["total_seen"] == {"amount_minor": 6400, "currency": "EUR"}


async def test_unseen_totals_are_not_ordered() -> None:
    gateway, ada = await at_the_till()
    gateway.forget()
    gateway.product_svc.away = True
    response = await ada.get("/checkout")
    assert response.status_code == 503
    assert "Prices are currently unavailable" in Page(response).text
    assert "/checkout" not in [given.get("action") for tag, given in Page(response).tags if tag == "form"]


async def test_sold_out_articles_are_named_and_may_be_ordered() -> None:
    gateway, ada = await at_the_till()
    await gateway.offer_product(SAMOVAR, "Samovar", cents=18900, pieces=0)
    await add_to_basket(ada, SAMOVAR)
    page = Page(await ada.get("/checkout"))
    assert "These items are probably sold out" in page.text
    assert (
        await ada.post("/checkout", data=page.form("/checkout") | {"card": "tok_visa"})
    ).status_code == 303


async def test_a_card_is_chosen_first() -> None:
    gateway, ada = await at_the_till()
    sent = await form(ada)
    for card in ("", "4242424242424242", "tok_unknown"):
        response = await ada.post("/checkout", data=sent | {"card": card})
        assert response.status_code == 422
        page = Page(response)
        assert "Choose a card" in page.text and page.form("/checkout")["key"] == sent["key"]
    assert placed(gateway) == []


async def test_an_unresponsive_broker_keeps_basket_and_key_for_one_order() -> None:
    (gateway, ada), now = await at_the_till(publish_pause_s=2), 1000.0
    gateway.deps.orders._clock = lambda: now
    sent = await form(ada)
    gateway.broker.away = True
    response = await ada.post("/checkout", data=sent)
    assert response.status_code == 503 and "Retry-After" in response.headers
    page = Page(response)
    assert "you will not order twice" in page.text
    again = page.form("/checkout")
    assert again["key"] == sent["key"] and again["card"] == "tok_visa"
    gateway.broker.away = False
    now += 2
    assert (await ada.post("/checkout", data=again)).status_code == 303
    assert (await ada.post("/checkout", data=sent)).status_code == 303
    assert len(placed(gateway)) == 1


async def test_checkout_without_an_address_requests_it_first() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE)
    ada = await gateway.logged_in_customer()
    await add_to_basket(ada, KETTLE)
    page = Page(await ada.get("/checkout"))
    assert "Please add a delivery address first" in page.text
    there = page.form("/account/addresses")
    assert redirects_to(
        await ada.post("/account/addresses", data=there | HOME | {"country": "gb"}), "/checkout"
    )
    assert "Ada Lovelace" in Page(await ada.get("/checkout")).text


@pytest.mark.parametrize(
    "forged",
    [
        {"line": f"{KETTLE} 2 1 EUR"},
        {"line": f"{KETTLE} 100 0 EUR"},
        {"line": f"{KETTLE} -1 2990 EUR"},
        {"line": "nonsense"},
        {"line": []},
        {"key": "x" * 5000},
        {"key": ""},
        {"revision": "-7"},
        {"revision": "NaN"},
        {"line": [f"{KETTLE} 2 2990 EUR", f"{TEA} 1 420 USD"]},
    ],
    ids=str,
)
async def test_a_forged_form_orders_nothing(forged: dict[str, Any]) -> None:
    gateway, ada = await at_the_till()
    response = await ada.post("/checkout", data=await form(ada) | forged)
    assert response.status_code in (303, 409)
    assert placed(gateway) == []


async def test_cross_site_checkouts_are_rejected() -> None:
    gateway, ada = await at_the_till()
    sent = await form(ada)
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        assert (await ada.post("/checkout", data=sent, headers=headers)).status_code == 403
    ada.headers.pop("Sec-Fetch-Site")
    assert (await ada.post("/checkout", data=sent, headers={"Origin": "null"})).status_code == 403
    assert placed(gateway) == []
