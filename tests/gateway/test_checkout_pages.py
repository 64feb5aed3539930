"""The checkout: what was before somebody's eyes is ordered, once, or nothing is."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse

from contracts import orders
from product_svc.product import Status
from tests.gateway.corner import ADA, HOME, KETTLE, PASSWORD, SAMOVAR, TEA, Corner, Page, is_at, put


async def at_the_till(**settings: Any) -> tuple[Corner, httpx.AsyncClient]:
    corner = Corner(**settings)
    await corner.sells(KETTLE, "Kettle, blue", cents=2990)
    await corner.sells(TEA, "Green tea", cents=420)
    ada = await corner.resident()
    await put(ada, KETTLE, 2)
    await put(ada, TEA, 1)
    assert is_at(await ada.post("/account/addresses", data=HOME | {"next": "/checkout"}), "/checkout")
    return corner, ada


async def form(browser: httpx.AsyncClient) -> dict[str, Any]:
    page = Page(await browser.get("/checkout"))
    return page.form("/checkout") | {"card": "tok_visa"}


def placed(corner: Corner) -> list[dict[str, Any]]:
    """The orders that were asked for; each once, however often it was sent."""
    return [
        json.loads(body)
        for body in {parcel.message_id: parcel.body for parcel in corner.sent(orders.PlaceOrder)}.values()
    ]


async def test_what_was_shown_is_ordered_and_the_basket_is_empty_then() -> None:
    corner, ada = await at_the_till()
    page = Page(await ada.get("/checkout"))
    assert "Ada Lovelace" in page.text and "Pay €64.00" in page.text
    answer = await ada.post("/checkout", data=await form(ada))
    [order] = placed(corner)
    assert is_at(answer, f"/orders/{order['order_id']}")
    assert [(line["sku"], line["quantity"]) for line in order["lines"]] == [(KETTLE, 2), (TEA, 1)]
    assert (order["total_seen"], order["card_token"]) == ({"amount_minor": 6400, "currency": "EUR"}, "tok_visa")
    assert "There is nothing in it yet" in Page(await ada.get("/basket")).text


async def test_what_is_asked_for_keeps_its_titles_whatever_becomes_of_it() -> None:
    corner, ada = await at_the_till()
    answer = await ada.post("/checkout", data=await form(ada))
    await corner.sells(KETTLE, "Kettle with another name", cents=9900)
    page = Page(await ada.get(answer.headers["Location"]))
    assert "Kettle, blue" in page.text and "Kettle with another name" not in page.text
    assert "€29.90" in page.text and "today’s title" not in page.text


async def test_pressing_pay_again_leads_to_the_same_order() -> None:
    corner, ada = await at_the_till()
    sent = await form(ada)
    first = await ada.post("/checkout", data=sent)
    await put(ada, TEA, 5)  # also when there is something else in the basket by now
    again = await ada.post("/checkout", data=sent)
    assert is_at(again, first.headers["Location"])
    assert len(placed(corner)) == 1
    assert "5 pieces" in Page(await ada.get("/basket")).text


async def test_pressing_pay_twice_at_once_makes_one_order() -> None:
    corner, ada = await at_the_till()
    sent = await form(ada)
    answers = await asyncio.gather(*(ada.post("/checkout", data=sent) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["Location"] for answer in answers}) == len(placed(corner)) == 1


async def test_a_basket_that_could_not_be_emptied_is_not_ordered_again() -> None:
    """As when the gateway dies in between: the same form, even with another card, leads to the order that there is."""
    corner, ada = await at_the_till()
    sent = await form(ada)
    before = await corner.store.find("baskets")
    first = await ada.post("/checkout", data=sent)
    for card in ("tok_visa", "tok_declined"):
        await corner.as_it_was("baskets", before)
        assert is_at(await ada.post("/checkout", data=sent | {"card": card}), first.headers["Location"])
    await corner.as_it_was("baskets", before)
    await corner.sells(KETTLE, "Kettle, blue", cents=9990)
    assert is_at(await ada.post("/checkout", data=sent), first.headers["Location"])
    assert len(placed(corner)) == 1


async def test_whoever_has_not_logged_in_comes_back_after_that_with_the_basket() -> None:
    corner, _ = await at_the_till()
    eve = corner.browser()
    await put(eve, KETTLE)
    answer = await eve.get("/checkout")
    assert is_at(answer, "/login?next=/checkout")
    page = Page(await eve.get(answer.headers["Location"]))
    then = await eve.post("/login", data=page.form("/login") | {"email": ADA, "password": PASSWORD})
    assert is_at(then, "/checkout")
    assert "3 × Kettle, blue" in Page(await eve.get("/checkout")).text


async def test_a_session_that_has_ended_orders_nothing_and_leads_back() -> None:
    corner, ada = await at_the_till()
    sent = await form(ada)
    del ada.cookies["__Host-sid"]
    assert is_at(await ada.post("/checkout", data=sent), "/login?next=/checkout")
    assert placed(corner) == []


async def test_a_basket_that_changed_in_another_tab_is_shown_before_anything_is_ordered() -> None:
    corner, ada = await at_the_till()
    old = await form(ada)
    await put(ada, TEA, 4)
    answer = await ada.post("/checkout", data=old)
    page = Page(answer)
    assert answer.status_code == 409 and placed(corner) == []
    assert "Nothing is ordered yet" in page.text and "Green tea : 5 instead of 1" in page.text
    new = page.form("/checkout")
    assert new["key"] != old["key"]
    assert (await ada.post("/checkout", data=new | {"card": "tok_visa"})).status_code == 303
    [order] = placed(corner)
    assert order["lines"][1]["quantity"] == 5


async def test_a_price_that_changed_is_shown_before_anything_is_ordered() -> None:
    corner, ada = await at_the_till()
    old = await form(ada)
    await corner.sells(KETTLE, "Kettle, blue", cents=3490, known=False)
    answer = await ada.post("/checkout", data=old)
    assert answer.status_code == 409 and placed(corner) == []
    assert "Kettle, blue : one costs €34.90 now, and not €29.90" in Page(answer).text


async def test_an_article_that_went_is_shown_and_keeps_one_from_paying() -> None:
    corner, ada = await at_the_till()
    old = await form(ada)
    await corner.sells(TEA, "Green tea", status=Status.WITHDRAWN)
    answer = await ada.post("/checkout", data=old)
    page = Page(answer)
    assert answer.status_code == 409 and placed(corner) == []
    assert "it is not for sale any more" in page.text
    assert any(tag == "button" and given.get("form") == "pay" and "disabled" in given for tag, given in page.tags)


async def test_prices_that_nobody_can_tell_at_that_moment_are_left_to_the_order() -> None:
    """Whatever the customer saw goes along as total_seen, and order_svc rejects an order whose total is another."""
    corner, ada = await at_the_till()
    sent = await form(ada)
    corner.product_svc.away = True
    assert (await ada.post("/checkout", data=sent)).status_code == 303
    [order] = placed(corner)
    assert order["total_seen"] == {"amount_minor": 6400, "currency": "EUR"}


async def test_nobody_pays_what_they_have_not_seen() -> None:
    corner, ada = await at_the_till()
    corner.forget()
    corner.product_svc.away = True
    answer = await ada.get("/checkout")
    assert answer.status_code == 503
    assert "Prices cannot be shown just now" in Page(answer).text
    assert "/checkout" not in [given.get("action") for tag, given in Page(answer).tags if tag == "form"]


async def test_what_is_sold_out_is_named_before_and_may_be_ordered() -> None:
    corner, ada = await at_the_till()
    await corner.sells(SAMOVAR, "Samovar", cents=18900, pieces=0)
    await put(ada, SAMOVAR)
    page = Page(await ada.get("/checkout"))
    assert "As far as we know these are sold out" in page.text
    assert (await ada.post("/checkout", data=page.form("/checkout") | {"card": "tok_visa"})).status_code == 303


async def test_a_card_is_chosen_first() -> None:
    corner, ada = await at_the_till()
    sent = await form(ada)
    for card in ("", "4242424242424242", "tok_unknown"):
        answer = await ada.post("/checkout", data=sent | {"card": card})
        assert answer.status_code == 422
        page = Page(answer)
        assert "Choose a card" in page.text and page.form("/checkout")["key"] == sent["key"]
    assert placed(corner) == []


async def test_a_silent_broker_keeps_basket_and_key_and_later_there_is_one_order() -> None:
    (corner, ada), now = await at_the_till(publish_pause_s=2), 1000.0
    corner.house.orders._clock = lambda: now
    sent = await form(ada)
    corner.broker.away = True
    answer = await ada.post("/checkout", data=sent)
    assert answer.status_code == 503 and "Retry-After" in answer.headers
    page = Page(answer)
    assert "it will be one order" in page.text
    again = page.form("/checkout")
    assert again["key"] == sent["key"] and again["card"] == "tok_visa"
    corner.broker.away = False
    now += 2
    assert (await ada.post("/checkout", data=again)).status_code == 303
    assert (await ada.post("/checkout", data=sent)).status_code == 303
    assert len(placed(corner)) == 1


@pytest.mark.parametrize("answers", ["nothing", "nonsense"])
async def test_without_accounts_one_may_order_all_the_same(answers: str) -> None:
    corner, ada = await at_the_till()
    if answers == "nothing":
        corner.user_svc.away = True
    else:
        corner.user_svc.app = JSONResponse("what is this?")
    page = Page(await ada.get("/checkout"))
    assert "Your address cannot be shown just now" in page.text
    assert (await ada.post("/checkout", data=page.form("/checkout") | {"card": "tok_visa"})).status_code == 303


async def test_without_an_address_one_gives_it_first_and_comes_back() -> None:
    corner = Corner()
    await corner.sells(KETTLE)
    ada = await corner.resident()
    await put(ada, KETTLE)
    page = Page(await ada.get("/checkout"))
    assert "We need an address first" in page.text
    there = page.form("/account/addresses")
    assert is_at(await ada.post("/account/addresses", data=there | HOME | {"country": "gb"}), "/checkout")
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
async def test_a_form_that_is_not_ours_orders_nothing(forged: dict[str, Any]) -> None:
    corner, ada = await at_the_till()
    answer = await ada.post("/checkout", data=await form(ada) | forged)
    assert answer.status_code in (303, 409)
    assert placed(corner) == []


async def test_nobody_pays_from_another_site() -> None:
    corner, ada = await at_the_till()
    sent = await form(ada)
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        assert (await ada.post("/checkout", data=sent, headers=headers)).status_code == 403
    ada.headers.pop("Sec-Fetch-Site")
    assert (await ada.post("/checkout", data=sent, headers={"Origin": "null"})).status_code == 403
    assert placed(corner) == []
