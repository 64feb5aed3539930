"""The shop's pages: in normal operation, while a service is unavailable, and under attack."""

import re

import httpx
import pytest

from product_svc.product import ProductStatus
from tests.support.shops.gateway_with_services import (
    KETTLE,
    SAMOVAR,
    TEA,
    GatewayWithServices,
    Page,
    add_to_basket,
    redirects_to,
)

HOSTILE = (
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}",
    "{% raw %}",
    "\u202eKettle",
    "</title><script>alert(1)</script>",
)


async def shown(browser: httpx.AsyncClient, path: str, status: int = 200) -> Page:
    response = await browser.get(path)
    assert response.status_code == status, response.text
    return Page(response)


async def test_articles_are_found_by_category_search_and_url() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE, "Kettle, blue", cents=2990)
    await gateway.offer_product(TEA, "Green tea", category="tea", pieces=3)
    eve = gateway.browser()
    home = await shown(eve, "/")
    assert "Kettle, blue" in home.text and "€29.90" in home.text and "Few left" in home.text
    assert "Green tea" in (await shown(eve, "/c/tea")).text
    assert "Kettle" not in (await shown(eve, "/c/tea")).text
    assert "Kettle, blue" in (await shown(eve, "/search?q=blu")).text
    assert "No articles found" in (await shown(eve, "/search?q=zeppelin")).text
    assert "In stock" in (await shown(eve, f"/p/{KETTLE}")).text


async def test_every_image_has_its_size_and_alternative_text() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE)
    eve = gateway.browser()
    for path in ("/", "/c/kitchen", f"/p/{KETTLE}"):
        pictures = [given for tag, given in (await shown(eve, path)).tags if tag == "img"]
        assert pictures
        assert all({"width", "height", "alt"} <= set(given) for given in pictures)
    product = await shown(eve, f"/p/{KETTLE}")
    assert any("Kettle, blue" in str(given.get("alt")) for tag, given in product.tags if tag == "img")


async def test_a_missing_page_links_back() -> None:
    gateway = GatewayWithServices()
    eve = gateway.browser()
    for path in (
        "/nowhere",
        "/p/NEVER-WAS",
        "/p/no sku",
        "/c/UPPER",
        "/p/" + "A" * 40,
        "/pictures/..%2f..%2fx.svg",
    ):
        page = await shown(eve, path, 404)
        assert ("a", "/") in [(tag, given.get("href")) for tag, given in page.tags], path


async def test_without_product_svc_pages_name_what_is_missing() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE)
    eve = await gateway.logged_in_customer()
    await add_to_basket(eve, KETTLE, 2)
    gateway.forget()
    gateway.product_svc.away = True
    for path in ("/", "/c/kitchen", "/search?q=kettle"):
        page = await shown(eve, path)
        assert "The catalogue is currently unavailable" in page.text, path
    assert "currently unavailable" in (await shown(eve, f"/p/{KETTLE}", 503)).text
    basket = await shown(eve, "/basket")
    assert KETTLE in basket.text and "Titles and prices are currently unavailable" in basket.text
    assert "ada@example.org" in (await shown(eve, "/account")).text
    assert (await eve.get("/orders")).status_code == 200


async def test_without_inventory_svc_pages_show_unknown_stock() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE)
    gateway.inventory_svc.away = True
    assert "Stock currently unknown" in (await shown(gateway.browser(), f"/p/{KETTLE}")).text


async def test_without_user_svc_the_catalogue_still_works() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE)
    ada = await gateway.logged_in_customer()
    gateway.user_svc.away = True
    assert "Kettle, blue" in (await shown(ada, "/")).text
    assert "Your account is currently unavailable" in (await shown(ada, "/account")).text
    response = await gateway.browser().post(
        "/login", data={"email": "ada@example.org", "password": "whatever it is"}
    )
    assert response.status_code == 503
    assert "Accounts are currently unavailable" in Page(response).text


async def test_without_the_gateways_database_a_page_explains_it() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE)
    ada = await gateway.logged_in_customer()
    gateway.store.away = True
    page = await shown(ada, "/basket", 503)
    assert "Retry-After" in page.response.headers and "<h1>" in page.html


@pytest.mark.parametrize("title", HOSTILE)
async def test_a_hostile_title_is_text_and_nothing_else(title: str) -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE, title, description=title, pieces=0)
    ada = await gateway.logged_in_customer()
    await add_to_basket(ada, KETTLE)
    for path in ("/", "/c/kitchen", "/search?q=ke", f"/p/{KETTLE}", "/basket", "/checkout"):
        page = Page(await ada.get(path))
        tags = [tag for tag, _ in page.tags]
        assert "script" not in tags, path
        assert not [name for _, given in page.tags for name in given if name.startswith("on")], path
        assert "alert" not in str([given.get("src") for _, given in page.tags]), path
        if path != "/search?q=ke":
            assert title in page.text, path


async def test_bidi_text_does_not_affect_surrounding_text() -> None:
    """A bidi override ends with the <bdi> around it, or with the isolates where markup is not possible."""
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE, "\u202eelttek")
    page = await shown(gateway.browser(), f"/p/{KETTLE}")
    assert "<h1><bdi>\u202eelttek</bdi></h1>" in page.html
    assert re.search("<title>\u2068\u202eelttek\u2069 · Order Journey</title>", page.html)


async def test_the_search_query_is_shown_as_text() -> None:
    gateway = GatewayWithServices()
    page = await shown(gateway.browser(), '/search?q="><script>alert(1)</script>')
    assert "script" not in [tag for tag, _ in page.tags]
    assert "<script>alert(1)</script>" in page.text


async def test_no_page_has_inline_scripts_or_styles() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE)
    ada = await gateway.logged_in_customer()
    await add_to_basket(ada)
    for path in (
        "/",
        "/c/kitchen",
        f"/p/{KETTLE}",
        "/basket",
        "/checkout",
        "/account",
        "/login",
        "/register",
        "/about",
    ):
        page = await shown(ada, path)
        assert "style" not in [tag for tag, _ in page.tags], path
        assert not [given for tag, given in page.tags if "style" in given], path
        assert not [given for tag, given in page.tags if tag == "script" and "src" not in given], path
        linked = [str(given.get("href") or given.get("src") or "") for tag, given in page.tags if tag != "a"]
        assert not [link for link in linked if "//" in link], path


async def test_forms_post_to_the_shop_and_fields_have_labels() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE)
    ada = await gateway.logged_in_customer()
    await add_to_basket(ada)
    for path in (
        f"/p/{KETTLE}",
        "/basket",
        "/checkout",
        "/account",
        "/login",
        "/register",
        "/password-resets",
    ):
        page = await shown(ada, path)
        labelled = {given.get("for") for tag, given in page.tags if tag == "label"}
        for tag, given in page.tags:
            if tag == "form":
                assert str(given["action"]).startswith("/"), path
            if (
                tag == "input"
                and given.get("type") not in ("hidden", "radio")
                and given.get("aria-hidden") != "true"
            ):
                assert given.get("id") in labelled, (path, given)
        ids = [given["id"] for _, given in page.tags if "id" in given]
        doubled = {each for each in ids if ids.count(each) > 1}
        assert not doubled, (path, doubled)


async def test_pages_of_logged_in_users_are_not_cached() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE)
    ada = await gateway.logged_in_customer()
    for path in ("/", f"/p/{KETTLE}", "/account", "/basket", "/orders"):
        assert (await ada.get(path)).headers["Cache-Control"] == "no-store", path
    for path in ("/proofs?token=t", "/password-resets/confirm?token=t"):
        response = await gateway.browser().get(path)
        assert response.headers["Cache-Control"] == "no-store", path
        assert response.headers["Referrer-Policy"] == "no-referrer", path


@pytest.mark.parametrize("chosen", ["light", "dark"])
async def test_the_chosen_colour_scheme_is_in_the_first_byte(chosen: str) -> None:
    gateway = GatewayWithServices()
    eve = gateway.browser()
    response = await eve.post("/theme", data={"theme": chosen, "back": "/about"})
    assert redirects_to(response, "/about")
    assert f'<html lang="en" data-theme="{chosen}">' in (await shown(eve, "/about")).html
    await eve.post("/theme", data={"theme": "system", "back": "/about"})
    assert '<html lang="en">' in (await shown(eve, "/about")).html


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "/ /e", "", "x"]
)
async def test_no_form_redirects_to_another_site(elsewhere: str) -> None:
    gateway = GatewayWithServices()
    response = await gateway.browser().post("/theme", data={"theme": "dark", "back": elsewhere})
    assert redirects_to(response, "/")
    await gateway.user_app.logged_in_user()
    account = {"email": "ada@example.org", "password": "correct horse battery", "next": elsewhere}
    assert redirects_to(await gateway.browser().post("/login", data=account), "/")


async def test_a_withdrawn_article_cannot_be_put_into_the_basket() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(SAMOVAR, "Samovar", status=ProductStatus.WITHDRAWN)
    page = await shown(gateway.browser(), f"/p/{SAMOVAR}")
    assert "no longer for sale" in page.text
    assert "/basket/items" not in [given.get("action") for tag, given in page.tags if tag == "form"]
