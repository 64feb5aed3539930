"""A gateway with everything in memory: broker, database, a stand-in for user_svc, a clock that is set by hand."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from chassis.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.runtime import Runtime
from contracts.envelope import Parcel
from contracts.identity import new_id
from contracts.message import Message
from contracts.roles import Role
from gateway.account_forms import Tokens
from gateway.door import door
from gateway.house import House
from gateway.service import gateway_service
from gateway.settings import GatewaySettings
from journey.services import whole_topology
from tests.gateway.users import PASSWORD, Users

SHOP = "https://shop.example"
SERVICE_TOKEN = "the-token-of-the-services"
ORDER = {"lines": [{"sku": "KETTLE-BLUE", "quantity": 1}], "card_token": "tok_visa"}
_UNUSED: Any = {"amqp_url": "amqp://memory", "mongo_url": "mongodb://memory"}
# Tests ask for more in a minute than people do, on machines that have other things to do.
_UNHURRIED: dict[str, Any] = {"rate_user": 10_000, "rate_anonymous": 10_000, "rate_orders": 10_000}
_PATIENT: dict[str, Any] = {"upstream_s_max": 10, "publish_s_max": 10, "request_s_max": 60}


def gateway_settings(**given: Any) -> GatewaySettings:
    urls = {f"{name}_url": f"http://{name}" for name in ("user_svc", "product_svc", "inventory_svc", "operations")}
    return GatewaySettings(**(_UNUSED | urls | _UNHURRIED | _PATIENT | {"service_token": SERVICE_TOKEN} | given))


class Silence(httpx.AsyncBaseTransport):
    """A service that does not run."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody listens")


class GatewayHouse:
    """One instance. Give several the same broker, store and users, and they are instances of one gateway.

    `apps`: ASGI applications by the name of the service, for what is behind the door; what is not given is away.
    """

    def __init__(
        self,
        *,
        broker: MemoryBroker | None = None,
        store: MemoryStore | None = None,
        users: Users | None = None,
        apps: Mapping[str, Any] = {},
        **settings: Any,
    ) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
        self.broker = broker or MemoryBroker(whole_topology())
        self.store = store or MemoryStore()
        self.users = users or Users(lambda: self.now)
        self.bus = MemoryBus(self.broker, "gateway")
        self.runtime = Runtime(gateway_service(), self.bus, self.store, clock=lambda: self.now)
        transports: dict[str, httpx.AsyncBaseTransport] = dict.fromkeys(
            ("product_svc", "inventory_svc", "operations"), Silence()
        )
        transports |= {name: httpx.ASGITransport(app) for name, app in apps.items()}
        self.house = House(self.runtime, gateway_settings(**settings), {"user_svc": self.users.transport} | transports)
        self.app = door(self.house)

    def later(self, **time: float) -> None:
        self.now += timedelta(**time)

    def client(self, **headers: str) -> httpx.AsyncClient:
        """Somebody unknown, without a browser."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=SHOP, headers=headers)

    def program(self, email: str = "ada@example.org", *roles: Role) -> httpx.AsyncClient:
        """A program with an access token."""
        token = self.users.access_token(self.users.has(email, *roles), exp=datetime.now(UTC) + timedelta(minutes=9))
        return self.client(Authorization=f"Bearer {token}")

    def browser(self) -> httpx.AsyncClient:
        """A guest with a browser, on the shop's own pages."""
        return self.client(**{"Sec-Fetch-Site": "same-origin", "Accept": "text/html"})

    async def logged_in(self, email: str = "ada@example.org", *roles: Role) -> httpx.AsyncClient:
        """A browser with a session."""
        self.users.has(email, *roles)
        answer = await self.house.accounts.ask("POST", "/sessions", {"email": email, "password": PASSWORD})
        browser = self.browser()
        cookie = await self.house.sessions.open(Tokens.model_validate_json(answer.content))
        browser.cookies.set(self.house.cookies.session, cookie, domain="shop.example", path="/")
        return browser

    def user_id(self, email: str = "ada@example.org") -> UUID:
        return self.users.has(email).user_id

    def sent(self, kind: type[Message]) -> list[Parcel]:
        """What the broker was given of this kind."""
        return [parcel for parcel in self.broker.tapped if parcel.type == kind.TYPE]


@asynccontextmanager
async def running(house: GatewayHouse) -> AsyncIterator[GatewayHouse]:
    """It also hears what is told."""
    await house.runtime.start()
    try:
        yield house
    finally:
        house.house.stopping.set()
        await house.runtime.stop(5)
        await house.house.close()


async def place(client: httpx.AsyncClient, key: str = "", **changed: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key or str(new_id())}
    return await client.post("/api/v1/orders", json=ORDER | changed, headers=headers)
