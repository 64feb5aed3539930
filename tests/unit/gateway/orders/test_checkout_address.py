"""The delivery address at the checkout: one of the account's, or a typed one, as the customer saw it."""

import httpx
import pytest
from starlette.responses import JSONResponse

from tests.support.checkout import at_the_till, form, placed
from tests.support.shops.gateway_with_services import HOME, Page, add_to_basket, redirects_to

TYPED = {
    "deliver_to": "other",
    "recipient": "Charles Babbage",
    "street": "1 Engine Yard",
    "postcode": "W1",
    "city": "London",
    "country": "gb",
}


@pytest.mark.parametrize("responses", ["nothing", "nonsense"])
async def test_checkout_works_without_user_svc_if_the_address_is_typed(responses: str) -> None:
    gateway, ada = await at_the_till()
    if responses == "nothing":
        gateway.user_svc.away = True
    else:
        gateway.user_svc.app = JSONResponse("what is this?")
    page = Page(await ada.get("/checkout"))
    assert "Your saved addresses are currently unavailable" in page.text
    sent = page.form("/checkout") | {"card": "tok_visa"}
    refused = await ada.post("/checkout", data=sent)
    assert refused.status_code == 422 and "Type the recipient" in Page(refused).text
    assert placed(gateway) == []
    response = await ada.post("/checkout", data=sent | TYPED)
    assert response.status_code == 303
    assert "1 Engine Yard" in Page(await ada.get(response.headers["Location"])).text


async def shown_address(ada: httpx.AsyncClient, paid: httpx.Response) -> str:
    """The address on the order's page."""
    assert paid.status_code == 303, paid.text
    page = Page(await ada.get(paid.headers["Location"]))
    return page.text.partition("Delivery address")[2].partition("Order id")[0].strip()


async def test_the_order_goes_to_the_chosen_address() -> None:
    _, ada = await at_the_till()
    await ada.post("/account/addresses", data=HOME | {"label": "work", "street": "2 Work Street"})
    page = Page(await ada.get("/checkout"))
    radios = [given for tag, given in page.tags if tag == "input" and given.get("name") == "deliver_to"]
    assert len(radios) == 3 and "checked" in radios[0] and "checked" not in radios[1]
    sent = page.form("/checkout") | {"card": "tok_visa", "deliver_to": radios[1]["value"]}
    assert "2 Work Street" in await shown_address(ada, await ada.post("/checkout", data=sent))


async def test_a_typed_address_is_for_this_order_only() -> None:
    _, ada = await at_the_till()
    assert HOME["street"] in await shown_address(ada, await ada.post("/checkout", data=await form(ada)))
    await add_to_basket(ada)
    paid = await ada.post("/checkout", data=await form(ada) | TYPED)
    assert await shown_address(ada, paid) == "Charles Babbage 1 Engine Yard W1 London GB"
    assert "Engine Yard" not in Page(await ada.get("/account")).text


async def test_an_account_change_does_not_redirect_a_shown_order() -> None:
    _, ada = await at_the_till()
    sent = await form(ada)
    await ada.post("/account/addresses", data=HOME | {"street": "9 Elsewhere"})
    assert HOME["street"] in await shown_address(ada, await ada.post("/checkout", data=sent))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"deliver_to": "other", "street": " "}, "street"),
        ({"deliver_to": "other", "country": "Britain"}, "country"),
        ({"deliver_to": "other", "city": "Lon\u202edon"}, "city"),
        (dict.fromkeys(TYPED, ""), "city"),
        ({"deliver_to": "nonsense"}, "deliver_to"),
        ({"deliver_to": "{}"}, "deliver_to"),
        ({"deliver_to": "[" * 10_000}, "deliver_to"),
    ],
)
async def test_an_invalid_address_orders_nothing_and_names_the_field(
    wrong: dict[str, str], field: str
) -> None:
    gateway, ada = await at_the_till()
    response = await ada.post("/checkout", data=await form(ada) | TYPED | wrong)
    assert response.status_code == 422 and placed(gateway) == []
    page = Page(response)
    assert f'href="#{field}"' in page.html and f'id="{field}"' in page.html
    assert f'id="{field}-wrong"' in page.html
    expected = "" if wrong.get("recipient") == "" else TYPED["recipient"]
    assert page.form("/checkout")["recipient"] == expected


async def test_the_form_with_another_address_leads_to_the_existing_order() -> None:
    gateway, ada = await at_the_till()
    sent = await form(ada)
    before = await gateway.store.find("baskets")
    first = await ada.post("/checkout", data=sent)
    await gateway.restore("baskets", before)
    assert redirects_to(await ada.post("/checkout", data=sent | TYPED), first.headers["Location"])
    assert len(placed(gateway)) == 1 and HOME["street"] in await shown_address(ada, first)
