"""The gateway with the real product_svc, inventory_svc and user_svc, in memory."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import httpx

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.core.codec import Codec
from chassis.runtime import Runtime
from chassis.store.protocol import Change, Loaded
from chassis.web import app as http
from chassis.web.problems import problem_response
from contracts.notifications import MailKind
from contracts.values import Money
from inventory_svc import api as inventory_api
from inventory_svc.service import inventory_service
from inventory_svc.stock import Shelf
from product_svc import api as product_api
from product_svc.product import Product, ProductStatus
from product_svc.service import product_service
from tests.support.shops import user as accounts
from tests.support.shops.gateway import SHOP, GatewayFixture

ADA = "ada@example.org"
PASSWORD = accounts.PASSWORD
HOME = accounts.HOME
KETTLE = "KETTLE-BLUE"
TEA = "TEA-GREEN"
SAMOVAR = "SAMOVAR-RARE"


class SwitchableService:
    """A service that tests can make unavailable. `asked`: how many requests it received."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.away = False
        self.asked = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        app = respond_503 if self.away else self.app
        await app(scope, receive, send)


async def respond_503(scope: Any, receive: Any, send: Any) -> None:
    await problem_response(503, "Away")(scope, receive, send)


class GatewayWithServices(GatewayFixture):
    """`services`: further services, or others instead of these."""

    def __init__(self, services: Mapping[str, Any] = {}, **settings: Any) -> None:
        self.user_app = accounts.UserApp(MemoryStore())
        broker = MemoryBroker(build([product_service(), inventory_service()]))
        self.catalogue = Runtime(product_service(), MemoryBus(broker, "product_svc"), MemoryStore())
        self.shelves = Runtime(inventory_service(), MemoryBus(broker, "inventory_svc"), MemoryStore())
        self.product_svc = SwitchableService(
            http.create_app(self.catalogue, product_api.routes(self.catalogue))
        )
        self.inventory_svc = SwitchableService(
            http.create_app(self.shelves, inventory_api.routes(self.shelves))
        )
        self.user_svc = SwitchableService(self.user_app.http._transport.app)  # type: ignore[attr-defined]
        apps = {name: getattr(self, name) for name in ("product_svc", "inventory_svc", "user_svc")}
        super().__init__(apps=apps | dict(services), **({"service_token": accounts.SERVICE_TOKEN} | settings))
        self.now = self.user_app.now = datetime.now(UTC)  # httpx expires cookies by the real clock
        self.forget()

    async def offer_product(
        self,
        sku: str = KETTLE,
        title: str = "Kettle, blue",
        *,
        cents: int = 2990,
        currency: str = "EUR",
        pieces: int = 100,
        category: str = "kitchen",
        status: ProductStatus = ProductStatus.LISTED,
        description: str = "",
        known: bool = True,
    ) -> None:
        """Stores a product and its stock.

        `known`: also clears the gateway's caches, so that it sees them at once.
        """
        price = Money(amount_minor=cents, currency=currency)
        product = Product(status, 1, sku, title, description, category, price).with_current_words()
        await _keep(self.catalogue, "products", sku, product)
        await _keep(self.shelves, "shelves", sku, Shelf(sku, received=pieces, available=pieces))
        if known:
            self.forget()

    def forget(self) -> None:
        """Clears the gateway's caches. Otherwise their entries do not expire during a test."""
        fresh = type(self.deps.catalogue)(self.deps.products, self.deps.stock, cache_ttl_s=3600)
        vars(self.deps.catalogue).update(vars(fresh))

    async def restore(self, kind: str, before: Sequence[Loaded]) -> None:
        """Restores earlier documents, as if the gateway had crashed before it wrote the later ones."""
        for loaded in before:
            now = (await self.store.load(kind, [loaded.key]))[loaded.key]
            assert loaded.state is not None and await self.store.save([Change(now, loaded.state)])

    async def logged_in_customer(self, email: str = ADA) -> httpx.AsyncClient:
        """A browser with a session of a user with a verified account."""
        await self.user_app.logged_in_user(email)
        browser = self.browser()
        response = await browser.post("/login", data={"email": email, "password": PASSWORD})
        assert response.status_code == 303, response.text
        return browser

    async def link(self, user_id: str, kind: MailKind) -> str:
        """The token of a link in an e-mail."""
        return await self.user_app.link(user_id, kind)


async def add_to_basket(browser: httpx.AsyncClient, sku: str = KETTLE, quantity: int = 1) -> None:
    response = await browser.post("/basket/items", data={"sku": sku, "quantity": str(quantity)})
    assert response.status_code == 303, response.text


class Page:
    """A parsed HTML response."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.html = response.text
        self._reader = _Reader()
        self._reader.feed(response.text)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self._reader.texts))

    def form(self, action: str) -> dict[str, Any]:
        """The fields that the form would submit. A repeated name gives a list."""
        sent: dict[str, Any] = {}
        for name, value in self._reader.forms[action]:
            before = sent.get(name)
            sent[name] = (
                value if before is None else [*(before if isinstance(before, list) else [before]), value]
            )
        return sent

    @property
    def tags(self) -> list[tuple[str, Mapping[str, str | None]]]:
        return self._reader.tags


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[tuple[str, Mapping[str, str | None]]] = []
        self.forms: dict[str, list[tuple[str, str]]] = {}
        self._form: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag == "form":
            self._form = self.forms.setdefault(str(given.get("action")), [])
        picked = given.get("type") not in ("radio", "checkbox") or "checked" in given
        if tag == "input" and picked and (name := given.get("name")):
            self._form.append((name, given.get("value") or ""))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


async def _keep(runtime: Runtime, kind: str, key: str, state: Any) -> None:
    loaded = (await runtime.store.load(kind, [key]))[key]
    assert await runtime.store.save([Change(loaded, Codec(type(state)).dump(state))])


def redirects_to(response: httpx.Response, path: str) -> bool:
    """Whether the response redirects to the path, as after a form."""
    return response.status_code == 303 and response.headers["Location"].removeprefix(SHOP) == path
