"""Attacks: forms on other sites, markup in names, old cookies, other users' pages."""

import re
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Error, Page, expect

from contracts.products import ListProduct
from contracts.values import Money
from tests.browser.attacker_site import AttackerSite
from tests.browser.conftest import Window
from tests.browser.page_objects import buy, headline, log_in, log_out, put_into_basket
from tests.support.shops.browser import BrowserShop, Person

pytestmark = [
    pytest.mark.real,
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(600),
]

CSP = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
}
OPERATIONS = (
    "/ops",
    "/ops/dead-letters",
    "/ops/stuck",
    "/ops/orders",
    "/ops/stock",
    "/ops/catalogue",
    "/ops/events",
)
MARKUP = ('"><img src=x onerror=alert(1)>', "{{7*7}}${7*7}", "<b>bold</b> &amp; more")


@pytest_asyncio.fixture(loop_scope="package")
async def attacker() -> AsyncIterator[AttackerSite]:
    opened = AttackerSite()
    await opened.open()
    yield opened
    await opened.close()


@pytest.mark.parametrize("site", ["localhost", "127.0.0.1", "null"])
async def test_a_form_on_another_site_causes_no_action(
    shop: BrowserShop, olga: Person, window: Window, attacker: AttackerSite, site: str
) -> None:
    """`localhost`: same-site but cross-origin, so the browser sends the cookies."""
    page = await window(heeded=False)
    await log_in(page, olga)
    await put_into_basket(page, "TEA-GREEN")
    host = "localhost" if site == "null" else site
    traps = {
        "/basket": {"TEA-GREEN": "9"},
        "/checkout": {"card": "tok_visa", "key": "a-key-of-a-stranger"},
        "/login": {"email": olga.email, "password": olga.password},
        "/logout": {},
        "/theme": {"theme": "dark"},
        "/account/erasure": {"password": olga.password},
        "/ops/redrives": {"group": "all"},
    }
    for path, fields in traps.items():
        attacker.will_post(shop.url + path, fields, from_nowhere=site == "null")
        tab = await page.context.new_page()
        async with tab.expect_response(lambda response: response.request.method == "POST") as came:
            with suppress(Error):  # the form is submitted before the page has finished loading
                await tab.goto(f"http://{host}:{attacker.port}/", wait_until="commit")
        response = await came.value
        sent_from = await response.request.header_value("origin")
        assert sent_from == ("null" if site == "null" else f"http://{host}:{attacker.port}")
        assert response.status in (403, 404), f"{path} from {site}: {response.status}"
        assert response.status == 403 or path.startswith(("/ops", "/account")), (
            f"{path} from {site}: {response.status}"
        )
    await page.goto("/orders")
    await expect(page.get_by_role("link", name="Account")).to_be_visible()
    await expect(page.get_by_role("main")).to_contain_text(
        re.compile("no orders|not ordered|nothing", re.IGNORECASE)
    )


async def test_the_session_cookie_is_http_only_and_new_per_login(
    shop: BrowserShop, ada: Person, window: Window
) -> None:
    page = await window()
    await page.goto("/")
    await put_into_basket(page, "TEA-GREEN")
    await log_in(page, ada)
    before = await session_cookie(page)
    await log_out(page)
    await log_in(page, ada)
    assert await session_cookie(page) != before
    for cookie in await page.context.cookies():
        assert cookie["path"] == "/" and cookie["sameSite"] == "Lax", cookie["name"]
        if cookie["name"].startswith("__Host-"):
            assert cookie["secure"] and cookie["httpOnly"], cookie["name"]
    names = {cookie["name"] for cookie in await page.context.cookies()}
    assert "__Host-sid" in names and names <= {"__Host-sid", "__Host-basket", "theme"}, names


async def session_cookie(page: Page) -> str:
    return next(cookie["value"] for cookie in await page.context.cookies() if cookie["name"] == "__Host-sid")


async def test_customers_cannot_open_staff_pages_or_orders_of_others(
    shop: BrowserShop, ada: Person, olga: Person, window: Window
) -> None:
    async with await shop.program(ada) as hers:
        order_id = await shop.order(hers, "TEA-GREEN")
    page = await window()
    await log_in(page, await shop.register_user("Mallory"))
    for path in (
        *OPERATIONS,
        f"/orders/{order_id}",
        f"/orders/{order_id}/messages",
        f"/orders/{order_id}/live",
    ):
        response = await page.request.get(path)
        assert response.status == 404, f"{path}: {response.status}"
        assert "Ada" not in await response.text() and "TEA" not in await response.text()
    async with httpx.AsyncClient(base_url=shop.url) as guest:
        for path in OPERATIONS:
            assert (await guest.get(path)).status_code == 404, path
    staff = await window()
    await log_in(staff, olga)
    assert (await staff.request.get("/ops")).status == 200


async def test_after_logout_the_back_button_shows_nothing_personal(
    shop: BrowserShop, ada: Person, window: Window
) -> None:
    page = await window()
    await log_in(page, ada)
    order_id = await buy(page, "TEA-BLACK")
    await headline(page, "confirmed")
    await page.goto("/account")
    await expect(page.get_by_role("main")).to_contain_text(ada.email)
    old = f"__Host-sid={await session_cookie(page)}"
    await page.get_by_role("button", name="Log out", exact=True).click()
    await expect(page.get_by_role("link", name="Log in").first).to_be_visible()
    await page.go_back()
    await page.wait_for_load_state()
    assert ada.email not in await page.content() and order_id not in await page.content()
    async with httpx.AsyncClient(base_url=shop.url) as thief:
        response = await thief.get("/api/v1/orders", headers={"Cookie": old})
        assert response.status_code == 401
        shown = await thief.get(f"/orders/{order_id}", headers={"Cookie": old})
        assert shown.status_code == 303 and "/login" in shown.headers["location"]


async def test_markup_in_article_names_is_escaped_everywhere(
    shop: BrowserShop, olga: Person, window: Window
) -> None:
    price = Money(amount_minor=700, currency="EUR")
    skus = [f"ODD-{number}-{olga.user_id.hex[:6].upper()}" for number in range(len(MARKUP))]
    listed = [
        ListProduct(sku=sku, title=f"Odd {title}", category="odd", price=price, description=title)
        for sku, title in zip(skus, MARKUP, strict=True)
    ]
    await shop.offer(*listed, pieces=50)
    page = await window()
    alerts: list[str] = []
    page.on("dialog", lambda dialog: alerts.append(dialog.message))
    await log_in(page, olga)
    for sku in skus[1:]:
        await put_into_basket(page, sku)
    order_id = await buy(page, skus[0])
    await headline(page, "confirmed")
    paths = ["/search?q=odd", "/c/odd", *(f"/p/{sku}" for sku in skus), f"/orders/{order_id}", "/orders"]
    paths += [f"/orders/{order_id}/messages", f"/ops/orders/{order_id}", "/ops/catalogue", "/ops/stock"]
    paths += [f"/search?q={MARKUP[0]}", "/ops/orders?q=%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E"]
    for path in paths:
        await page.goto(path)
        assert await page.locator("img[src=x]").count() == 0, path
        assert "Odd 49" not in await page.content() and "$49" not in await page.content(), path
    await page.goto(f"/p/{skus[0]}")
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"Odd {MARKUP[0]}")
    for sku in skus:
        image = await page.request.get(f"/pictures/{sku}.svg")
        assert image.status == 200 and "<img" not in await image.text()
    assert alerts == []


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/static/site.css",
        "/static/none.css",
        "/no/such/page",
        "/api/v1/none",
        "/api/v1/orders",
        "/login",
        "/ops",
    ],
)
async def test_every_response_carries_the_security_headers(shop: BrowserShop, path: str) -> None:
    response = await shop.http.get(path)
    found = {part.strip() for part in response.headers["content-security-policy"].split(";") if part.strip()}
    assert found == CSP
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cross-origin-opener-policy"] == "same-origin"
    assert response.headers["referrer-policy"] in (
        "no-referrer",
        "same-origin",
        "strict-origin-when-cross-origin",
    )
    assert "server" not in response.headers or "uvicorn" not in response.headers["server"]
