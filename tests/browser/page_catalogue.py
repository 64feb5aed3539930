"""All pages of the shop, and the data that they need."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote
from uuid import UUID

import httpx
from playwright.async_api import Browser, BrowserContext

from chassis.messaging.envelope import OPERATOR
from contracts.orders import DispatchOrder, RecordTracking
from journey.devenv.catalogue import CATALOGUE
from tests.browser.page_objects import log_in, put_into_basket
from tests.support.eventually import until
from tests.support.shops.browser import BUGGY, WAIT_S, BrowserShop, Person

Who = Literal["guest", "customer", "staff"]


@dataclass(frozen=True)
class CataloguedPage:
    """A page, as a certain user sees it."""

    name: str
    path: str
    who: Who = "guest"


@dataclass
class PageCatalogue:
    """The data for the pages, with the ids of orders by their outcome."""

    customer: Person
    staff: Person
    orders: dict[str, str] = field(default_factory=dict)

    def pages(self) -> list[CataloguedPage]:
        orders = [
            CataloguedPage(f"order-{name}", f"/orders/{id_}", "customer") for name, id_ in self.orders.items()
        ]
        some = self.orders["confirmed"]
        return [
            CataloguedPage("home", "/"),
            CataloguedPage("category", f"/c/{CATALOGUE[0].category}"),
            CataloguedPage("search", "/search?q=tea"),
            CataloguedPage("search-nothing", "/search?q=unobtainium"),
            CataloguedPage("product", "/p/KETTLE-BLUE"),
            CataloguedPage("product-sold-out", "/p/SAMOVAR-RARE"),
            CataloguedPage("basket-empty", "/basket"),
            CataloguedPage("login", "/login"),
            CataloguedPage("register", "/register"),
            CataloguedPage("register-done", "/register/done"),
            CataloguedPage("prove", f"/proofs?token={quote('eyJ0eXAi.a-link-from-a-mail.x')}"),
            CataloguedPage("password-reset", "/password-resets"),
            CataloguedPage("password-reset-confirm", f"/password-resets/confirm?token={quote('a.b.c')}"),
            CataloguedPage("about", "/about"),
            CataloguedPage("not-found", "/no/such/page"),
            CataloguedPage("problem", "/problems/key-reused"),
            CataloguedPage("basket", "/basket", "customer"),
            CataloguedPage("checkout", "/checkout", "customer"),
            CataloguedPage("account", "/account", "customer"),
            CataloguedPage("orders", "/orders", "customer"),
            *orders,
            CataloguedPage("order-messages", f"/orders/{some}/messages", "customer"),
            CataloguedPage("ops-map", "/ops", "staff"),
            CataloguedPage("ops-dead-letters", "/ops/dead-letters", "staff"),
            CataloguedPage("ops-stuck", "/ops/stuck", "staff"),
            CataloguedPage("ops-orders", "/ops/orders", "staff"),
            CataloguedPage("ops-order", f"/ops/orders/{some}", "staff"),
            CataloguedPage("ops-order-refunded", f"/ops/orders/{self.orders['refunded']}", "staff"),
            CataloguedPage("ops-order-dispatched", f"/ops/orders/{self.orders['dispatched']}", "staff"),
            CataloguedPage("ops-payment", f"/ops/orders/{self.orders['attention']}/payment", "staff"),
            CataloguedPage("ops-order-stuck", f"/ops/orders/{self.orders['stuck']}", "staff"),
            CataloguedPage("ops-stock", "/ops/stock", "staff"),
            CataloguedPage("ops-stock-correction", "/ops/stock/corrections?sku=TEA-GREEN", "staff"),
            CataloguedPage("ops-catalogue", "/ops/catalogue", "staff"),
        ]


async def filled_catalogue(shop: BrowserShop) -> PageCatalogue:
    """Creates orders with every outcome, one in progress, dead letters, and a basket with items."""
    catalogue = PageCatalogue(await shop.register_user("Ada"), await shop.register_user("Olga", staff=True))
    async with await shop.program(catalogue.customer) as program:
        made = {
            "confirmed": await shop.order(program, "KETTLE-BLUE", 2),
            "refunded": await shop.order(program, "TEA-BLACK", 3),
            "declined": await shop.order(program, "LAMP-DESK", card="tok_declined"),
            "sold-out": await shop.order(program, "SAMOVAR-RARE"),
            "attention": await shop.order(program, "CUP-WHITE", card="tok_capture_refused"),
            "dispatched": await shop.order(program, "CUP-WHITE"),
        }
        for name in ("confirmed", "refunded", "dispatched"):
            await shop.wait_for_state(program, made[name], "confirmed")
        await shop.wait_for_state(program, made["declined"], "cancelled")
        await shop.wait_for_state(program, made["attention"], "needs_attention")
        await dispatch(shop, made["dispatched"])
        await shop.wait_for_state(program, made["dispatched"], "dispatched")
        await shop.wait_for_state(program, made["sold-out"], "cancelled")
        await shop.cancel(program, made["refunded"])
        await shop.wait_for_state(program, made["refunded"], "cancelled")
        await shop.provider_is_away(True)
        made["waiting"] = await shop.order(program, "CUP-WHITE")
        made["stuck"] = await shop.order(program, BUGGY)
        for _ in range(4):
            await shop.order(program, BUGGY)
        await until(lambda: has_dead_letters(shop, 5), within_s=WAIT_S)
        catalogue.orders = made
        await give_address(program)
    return catalogue


async def dispatch(shop: BrowserShop, order_id: str) -> None:
    """Dispatches the order with a tracking reference."""
    order = UUID(order_id)
    track = RecordTracking(order_id=order, tracking="RR123456785DE")
    await shop.system.send(OPERATOR, DispatchOrder(order_id=order), track)


async def has_dead_letters(shop: BrowserShop, count: int) -> bool:
    return (await shop.system.dead())["inventory_svc"] >= count


async def give_address(program: httpx.AsyncClient) -> None:
    where = {"street": "1 Mill Road", "postcode": "LS1 1AA", "city": "Leeds", "country": "GB"}
    address = {"label": "home", "recipient": "Ada Lovelace"} | where
    response = await program.post("/api/v1/users/me/addresses", json=address)
    assert response.is_success, response.text


async def logged_in(
    browser: Browser, shop: BrowserShop, catalogue: PageCatalogue
) -> dict[Who, BrowserContext]:
    """A window for each kind of user."""
    contexts: dict[Who, BrowserContext] = {}
    people: dict[Who, Person | None] = {
        "guest": None,
        "customer": catalogue.customer,
        "staff": catalogue.staff,
    }
    for who, person in people.items():
        contexts[who] = await browser.new_context(base_url=shop.url, locale="en-GB", timezone_id="UTC")
        if person is not None:
            page = await contexts[who].new_page()
            await log_in(page, person)
            if who == "customer":
                for sku, quantity in (("TEA-GREEN", 2), ("KETTLE-BLUE", 1), ("SAMOVAR-RARE", 1)):
                    await put_into_basket(page, sku, quantity)
            await page.close()
    return contexts
