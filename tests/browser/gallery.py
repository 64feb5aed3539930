"""Every page that there is, and a shop in which each of them has something to show."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote

import httpx
from playwright.async_api import Browser, BrowserContext

from journey.catalogue import CATALOGUE
from tests.browser.people import log_in, put_into_basket
from tests.browser.street import BUGGY, WAIT_S, Person, Street
from tests.until import until

Who = Literal["nobody", "customer", "staff"]


@dataclass(frozen=True)
class Shown:
    """One page, as somebody sees it."""

    name: str
    path: str
    who: Who = "nobody"


@dataclass
class Gallery:
    """What was made to be shown. The ids of orders, by what became of them."""

    customer: Person
    staff: Person
    orders: dict[str, str] = field(default_factory=dict)

    def pages(self) -> list[Shown]:
        orders = [Shown(f"order-{name}", f"/orders/{id_}", "customer") for name, id_ in self.orders.items()]
        some = self.orders["confirmed"]
        return [
            Shown("home", "/"),
            Shown("category", f"/c/{CATALOGUE[0].category}"),
            Shown("search", "/search?q=tea"),
            Shown("search-nothing", "/search?q=unobtainium"),
            Shown("product", "/p/KETTLE-BLUE"),
            Shown("product-sold-out", "/p/SAMOVAR-RARE"),
            Shown("basket-empty", "/basket"),
            Shown("login", "/login"),
            Shown("register", "/register"),
            Shown("register-done", "/register/done"),
            Shown("prove", f"/proofs?token={quote('eyJ0eXAi.a-link-from-a-mail.x')}"),
            Shown("password-reset", "/password-resets"),
            Shown("password-reset-confirm", f"/password-resets/confirm?token={quote('a.b.c')}"),
            Shown("about", "/about"),
            Shown("not-found", "/no/such/page"),
            Shown("problem", "/problems/key-reused"),
            Shown("basket", "/basket", "customer"),
            Shown("checkout", "/checkout", "customer"),
            Shown("account", "/account", "customer"),
            Shown("orders", "/orders", "customer"),
            *orders,
            Shown("order-messages", f"/orders/{some}/messages", "customer"),
            Shown("ops-map", "/ops", "staff"),
            Shown("ops-dead-letters", "/ops/dead-letters", "staff"),
            Shown("ops-stuck", "/ops/stuck", "staff"),
            Shown("ops-orders", "/ops/orders", "staff"),
            Shown("ops-order", f"/ops/orders/{some}", "staff"),
            Shown("ops-stock", "/ops/stock", "staff"),
            Shown("ops-catalogue", "/ops/catalogue", "staff"),
        ]


async def filled(shop: Street) -> Gallery:
    """Orders with every ending, one under way, dead letters, and goods in a basket."""
    gallery = Gallery(await shop.resident("Ada"), await shop.resident("Olga", staff=True))
    async with await shop.program(gallery.customer) as program:
        made = {
            "confirmed": await shop.order(program, "KETTLE-BLUE", 2),
            "refunded": await shop.order(program, "TEA-BLACK", 3),
            "declined": await shop.order(program, "LAMP-DESK", card="tok_declined"),
            "sold-out": await shop.order(program, "SAMOVAR-RARE"),
        }
        for name, state in (("confirmed", "confirmed"), ("refunded", "confirmed"), ("declined", "cancelled")):
            await shop.reaches(program, made[name], state)
        await shop.reaches(program, made["sold-out"], "cancelled")
        await shop.cancel(program, made["refunded"])
        await shop.reaches(program, made["refunded"], "cancelled")
        await shop.provider_is_away(True)
        made["waiting"] = await shop.order(program, "CUP-WHITE")
        made["stuck"] = await shop.order(program, BUGGY)
        for _ in range(4):
            await shop.order(program, BUGGY)
        await until(lambda: letters_are_dead(shop, 5), within_s=WAIT_S)
        gallery.orders = made
        await give_address(program)
    return gallery


async def letters_are_dead(shop: Street, count: int) -> bool:
    return (await shop.system.dead())["inventory_svc"] >= count


async def give_address(program: httpx.AsyncClient) -> None:
    where = {"street": "1 Mill Road", "postcode": "LS1 1AA", "city": "Leeds", "country": "GB"}
    address = {"label": "home", "recipient": "Ada Lovelace"} | where
    answer = await program.post("/api/v1/users/me/addresses", json=address)
    assert answer.is_success, answer.text


async def logged_in(browser: Browser, shop: Street, gallery: Gallery) -> dict[Who, BrowserContext]:
    """A window for each who sees the shop in their way."""
    contexts: dict[Who, BrowserContext] = {}
    people: dict[Who, Person | None] = {"nobody": None, "customer": gallery.customer, "staff": gallery.staff}
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
