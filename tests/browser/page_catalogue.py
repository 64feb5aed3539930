"""All pages of the shop, and their data. tests/style/test_page_catalogue.py names pages that are missing."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Literal
from urllib.parse import quote
from uuid import UUID

import httpx
from playwright.async_api import Browser, BrowserContext

from chassis.messaging.envelope import OPERATOR
from chassis.messaging.identity import new_id
from contracts.inventory import CorrectionReason, CorrectStock
from contracts.orders import DispatchOrder, RecordTracking, RefundOrder
from contracts.payments import Settlement, SettlementReason, SettlePayment
from contracts.values import Money, ReturnedLine, ReturnTo
from journey.admin.diagnosis.snapshot import oldest_dead_letters
from journey.admin.ssl_context import tls
from journey.devenv.catalogue import CATALOGUE
from operations.web.templating import dead_letter_path
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
    """The data for the pages.

    `orders`, `corrections`: ids by outcome. `group`, `dead_letter`, `job`: the paths of the pages of a group
    of dead letters, of one of them, and of its redrive.
    """

    customer: Person
    staff: Person
    orders: dict[str, str] = field(default_factory=dict)
    corrections: dict[str, str] = field(default_factory=dict)
    group: str = ""
    dead_letter: str = ""
    job: str = ""

    def pages(self) -> list[CataloguedPage]:
        return [*self._shop_pages(), *self._staff_pages()]

    def _shop_pages(self) -> list[CataloguedPage]:
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
            CataloguedPage("password-reset-sent", "/password-resets/sent"),
            CataloguedPage("password-reset-confirm", f"/password-resets/confirm?token={quote('a.b.c')}"),
            CataloguedPage("about", "/about"),
            CataloguedPage("not-found", "/no/such/page"),
            CataloguedPage("problems", "/problems"),
            CataloguedPage("problem", "/problems/key-reused"),
            CataloguedPage("basket", "/basket", "customer"),
            CataloguedPage("checkout", "/checkout", "customer"),
            CataloguedPage("account", "/account", "customer"),
            CataloguedPage("orders", "/orders", "customer"),
            *orders,
            CataloguedPage("order-messages", f"/orders/{some}/messages", "customer"),
        ]

    def _staff_pages(self) -> list[CataloguedPage]:
        corrections = [
            CataloguedPage(f"ops-stock-correction-{name}", f"/ops/stock/corrections/{id_}", "staff")
            for name, id_ in self.corrections.items()
        ]
        return [
            CataloguedPage("ops-map", "/ops", "staff"),
            CataloguedPage("ops-dead-letters", "/ops/dead-letters", "staff"),
            CataloguedPage("ops-dead-letter-group", self.group, "staff"),
            CataloguedPage("ops-dead-letter", self.dead_letter, "staff"),
            CataloguedPage("ops-redrive", f"{self.group}/redrive", "staff"),
            CataloguedPage("ops-drop", f"{self.group}/drop", "staff"),
            CataloguedPage("ops-job", self.job, "staff"),
            CataloguedPage("ops-audit", "/ops/audit", "staff"),
            CataloguedPage("ops-stuck", "/ops/stuck", "staff"),
            CataloguedPage("ops-orders", "/ops/orders", "staff"),
            CataloguedPage("ops-customers", "/ops/customers", "staff"),
            CataloguedPage("ops-orders-search", "/ops/orders?sku=CUP-WHITE&status=dispatched", "staff"),
            CataloguedPage("ops-order", f"/ops/orders/{self.orders['confirmed']}", "staff"),
            CataloguedPage("ops-order-refunded", f"/ops/orders/{self.orders['refunded']}", "staff"),
            CataloguedPage("ops-order-dispatched", f"/ops/orders/{self.orders['dispatched']}", "staff"),
            CataloguedPage("ops-payments", "/ops/payments", "staff"),
            CataloguedPage("ops-payment", f"/ops/orders/{self.orders['attention']}/payment", "staff"),
            CataloguedPage("ops-payment-refund", f"/ops/orders/{self.orders['dispatched']}/payment", "staff"),
            CataloguedPage("ops-order-returned", f"/ops/orders/{self.orders['returned']}", "staff"),
            CataloguedPage("ops-payment-returned", f"/ops/orders/{self.orders['returned']}/payment", "staff"),
            CataloguedPage("ops-payment-settled", f"/ops/orders/{self.orders['settled']}/payment", "staff"),
            CataloguedPage("ops-order-stuck", f"/ops/orders/{self.orders['stuck']}", "staff"),
            CataloguedPage("ops-stock", "/ops/stock", "staff"),
            CataloguedPage("ops-stock-correction", "/ops/stock/corrections?sku=TEA-GREEN", "staff"),
            *corrections,
            CataloguedPage("ops-catalogue", "/ops/catalogue", "staff"),
            CataloguedPage("ops-article", "/ops/catalogue/articles/KETTLE-BLUE", "staff"),
            CataloguedPage("ops-article-new", "/ops/catalogue/new", "staff"),
            CataloguedPage("ops-people", "/ops/people", "staff"),
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
            "returned": await shop.order(program, "CUP-WHITE", 2),
            "settled": await shop.order(program, "CUP-WHITE", card="tok_capture_refused"),
        }
        for name in ("confirmed", "refunded", "dispatched", "returned"):
            await shop.wait_for_state(program, made[name], "confirmed")
        await shop.wait_for_state(program, made["declined"], "cancelled")
        for name in ("attention", "settled"):
            await shop.wait_for_state(program, made[name], "needs_attention")
        await settle(shop, catalogue.staff, made["settled"])
        await shop.wait_for_state(program, made["settled"], "confirmed")
        for name in ("dispatched", "returned", "settled"):
            await dispatch(shop, made[name])
            await shop.wait_for_state(program, made[name], "dispatched")
        await refund_part(shop, catalogue.staff, made["dispatched"])
        goods = (ReturnedLine(sku="CUP-WHITE", quantity=1, to=to) for to in ReturnTo)
        await refund_part(shop, catalogue.staff, made["returned"], *goods)
        catalogue.corrections = await correct_stock(shop)
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
        await request_email_change(program, catalogue.customer)
    await redrive_one(shop, catalogue)
    return catalogue


async def dispatch(shop: BrowserShop, order_id: str) -> None:
    """Dispatches the order with a tracking reference."""
    order = UUID(order_id)
    track = RecordTracking(order_id=order, tracking="RR123456785DE")
    await shop.system.send(OPERATOR, DispatchOrder(order_id=order), track)


async def refund_part(shop: BrowserShop, staff: Person, order_id: str, *returned: ReturnedLine) -> None:
    refund = RefundOrder(
        order_id=UUID(order_id),
        refund_id=new_id(),
        staff_id=staff.user_id,
        amount=Money(amount_minor=250, currency="EUR"),
        returned=returned,
    )
    await shop.system.send(OPERATOR, refund)


async def settle(shop: BrowserShop, staff: Person, order_id: str) -> None:
    """The customer of a white cup has paid another way."""
    paid = Money(amount_minor=890, currency="EUR")
    settlement = Settlement(reason=SettlementReason.PAID, amount=paid, reference="BANK-4711")
    settled = SettlePayment(order_id=UUID(order_id), staff_id=staff.user_id, settlement=settlement)
    await shop.system.send(OPERATOR, settled)


async def correct_stock(shop: BrowserShop) -> dict[str, str]:
    """A correction that is applied, and one that is refused. Returns their ids."""
    made = {
        "applied": CorrectStock(
            correction_id=new_id(), sku="TEA-GREEN", change=3, reason=CorrectionReason.COUNT
        ),
        "refused": CorrectStock(
            correction_id=new_id(), sku="SAMOVAR-RARE", change=-9, reason=CorrectionReason.DAMAGE
        ),
    }
    await shop.system.send(OPERATOR, *made.values())
    url = shop.system.endpoints.http["inventory_svc"]
    async with httpx.AsyncClient(base_url=url, timeout=60, verify=tls()) as http:
        for each in made.values():
            path = f"/corrections/{each.correction_id}"
            await until(partial(http.get, path), lambda response: response.is_success, within_s=WAIT_S)
    return {name: str(each.correction_id) for name, each in made.items()}


async def request_email_change(program: httpx.AsyncClient, person: Person) -> None:
    wanted = {"email": f"new.{person.email}", "password": person.password}
    response = await program.post("/api/v1/users/me/email-change", json=wanted)
    assert response.is_success, response.text


async def redrive_one(shop: BrowserShop, catalogue: PageCatalogue) -> None:
    """Redrives one dead letter, which fails again, and waits until it has."""
    found = await oldest_dead_letters(shop.system.endpoints, most=50)
    assert found is not None
    first = found.dead_letters[0]
    catalogue.dead_letter = dead_letter_path(first)
    catalogue.group = catalogue.dead_letter.partition("/letter?")[0]
    run = str(new_id())
    catalogue.job = f"/ops/redrives/{run}"
    form = {"run": run, "id": first.id, "rate": "0", "cutoff": datetime.now(UTC).isoformat()}
    bearer = {"Authorization": f"Bearer {(await shop.log_in(catalogue.staff))['access_token']}"}
    url = shop.system.endpoints.http["operations"]
    async with httpx.AsyncClient(base_url=url, headers=bearer, timeout=60, verify=tls()) as http:
        response = await http.post(f"{catalogue.group}/redrive", data=form)
        assert response.status_code == 303, response.text
        is_settled = re.compile(r"of these under way</dt><dd>0<")
        await until(
            partial(http.get, catalogue.job),
            lambda response: "<strong>Done</strong>" in response.text and is_settled.search(response.text),
            within_s=WAIT_S,
        )


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
