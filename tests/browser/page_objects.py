"""Actions of users on the pages. They find elements by visible headings, labels, buttons and links."""

import re
from typing import Any

from playwright.async_api import CDPSession, Locator, Page, expect

from tests.support.eventually import until
from tests.support.shops.browser import WAIT_S, Person

SLOW_MS = 60_000
"""Long enough for an order's complete journey on two busy processors."""


async def log_in(page: Page, person: Person) -> None:
    await page.goto("/login")
    await fill_log_in(page, person)
    await expect(page.get_by_role("link", name="Account")).to_be_visible()


async def fill_log_in(page: Page, person: Person) -> None:
    await page.get_by_label("E-mail address").fill(person.email)
    await page.get_by_label("Password", exact=True).fill(person.password)
    await page.get_by_role("main").get_by_role("button", name="Log in").click()


def service_row(page: Page, service: str) -> Locator:
    """The service's row in the first table of operations' start page, that of the services."""
    services = page.get_by_role("table", name="Services", exact=True)
    return services.get_by_role("row").filter(has=page.get_by_role("rowheader", name=service))


async def load_until(page: Page, path: str, shown: Locator) -> None:
    """Opens a page until it shows this, because a page without live updates shows only what had happened."""

    async def is_shown() -> bool:
        await page.goto(path)
        return await shown.count() > 0

    await until(is_shown, within_s=WAIT_S, otherwise=f"{path} does not show {shown}")


async def log_out(page: Page) -> None:
    await page.goto("/account")
    await page.get_by_role("button", name="Log out", exact=True).click()
    await expect(page.get_by_role("link", name="Log in").first).to_be_visible()


async def put_into_basket(page: Page, sku: str, quantity: int = 1) -> None:
    await page.goto(f"/p/{sku}")
    await page.get_by_label("Quantity").fill(str(quantity))
    await add_to_basket(page)


async def add_to_basket(page: Page) -> None:
    """On the page of an article. A page that is left earlier may take the request back."""
    await page.get_by_role("button", name="Add to basket").click()
    await expect(page.get_by_role("main").get_by_role("status")).to_be_visible()


async def to_the_checkout(page: Page) -> None:
    await page.goto("/basket")
    await page.get_by_role("button", name="To the checkout").click()


async def give_address(page: Page) -> None:
    """Adds an address on the checkout page, if the account has none yet."""
    await expect(page).to_have_url(re.compile("/checkout"))
    await expect(page.get_by_role("group", name="Payment")).to_be_visible()
    save = page.get_by_role("button", name="Save address")
    if not await save.count():
        return
    await page.get_by_label("Address name").fill("home")
    await type_address(page, "A. Visitor", "1 Mill Road")
    await save.click()
    await expect(page.get_by_role("group", name="Delivery address")).to_be_visible()


async def type_address(page: Page, recipient: str, street: str) -> None:
    """Fills in the fields of an address in Leeds."""
    await page.get_by_label("Recipient").fill(recipient)
    await page.get_by_label("Street and number").fill(street)
    await page.get_by_label("Postcode").fill("LS1 1AA")
    await page.get_by_label("Town or city").fill("Leeds")
    await page.get_by_label("Country").fill("GB")


async def choose(page: Page, card: str) -> None:
    await page.locator(f"input[type=radio][value={card}]").check()


async def pay(page: Page, card: str = "tok_visa") -> str:
    """Pays on the checkout page and returns the order's id."""
    await choose(page, card)
    await page.get_by_role("button", name=re.compile("^Pay ")).click()
    await expect(page).to_have_url(re.compile(r"/orders/[0-9a-f-]{36}"))
    return order_in(page)


def order_in(page: Page) -> str:
    found = re.search(r"/orders/([0-9a-f-]{36})", page.url)
    assert found, page.url
    return found[1]


async def buy(page: Page, sku: str, quantity: int = 1, card: str = "tok_visa") -> str:
    """Buys an article as a logged-in user, from the article's page to the order's,
    and returns the order's id.
    """
    await put_into_basket(page, sku, quantity)
    await to_the_checkout(page)
    await give_address(page)
    return await pay(page, card)


class LivePageReader:
    """A reader of an order's live page: records the stream's events, and whether the page was reloaded."""

    def __init__(self, page: Page, session: CDPSession) -> None:
        self.page = page
        self.events: list[tuple[str, str]] = []
        session.on("Network.eventSourceMessageReceived", self._came)

    @staticmethod
    async def at(page: Page, order_id: str) -> "LivePageReader":
        session = await page.context.new_cdp_session(page)
        follower = LivePageReader(page, session)
        await session.send("Network.enable")
        await page.goto(f"/orders/{order_id}")
        await follower.set_page_marker()
        return follower

    async def set_page_marker(self) -> None:
        await self.page.evaluate("globalThis.__mark = 'same page'")

    async def same_page(self) -> bool:
        return bool(await self.page.evaluate("globalThis.__mark === 'same page'"))

    def _came(self, event: dict[str, Any]) -> None:
        self.events.append((event["eventName"], event["eventId"]))

    @property
    def numbers(self) -> list[int]:
        """The `seq` of each fragment that the stream sent, in order of arrival."""
        return [int(id_) for name, id_ in self.events if id_ and name not in ("reset", "end")]

    async def has_seen_all(self, seq: int) -> None:
        """Asserts that fragments arrived in order, and that the page equals a freshly loaded one.

        Several fragments may have the same `seq`, because progress also changes with time.
        """
        await expect(self.page.locator(".journey")).to_have_attribute("data-seq", str(seq))
        assert self.numbers == sorted(self.numbers), self.events
        assert not [name for name, _ in self.events if name == "reset"], self.events
        here = await self.page.locator(".journey").inner_text()
        fresh = await self.page.context.new_page()
        await fresh.goto(self.page.url)
        await expect(fresh.locator("[data-line]")).to_contain_text("Up to date as of")
        again = await fresh.locator(".journey").inner_text()
        assert again == here, f"{here!r}, but after a reload {again!r}"
        await fresh.close()


async def headline(page: Page, text: str | re.Pattern[str]) -> None:
    await expect(page.get_by_role("heading", level=1)).to_have_text(
        re.compile(text, re.IGNORECASE) if isinstance(text, str) else text
    )
