"""A gateway with an in-memory broker and database, a fake user_svc, and a clock that tests set."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.messaging.envelope import WireMessage
from chassis.messaging.identity import new_id
from chassis.messaging.message import Message
from chassis.runtime import Runtime
from contracts.http.users import Tokens
from contracts.roles import Role
from gateway.app import create_app
from gateway.dependencies import GatewayDependencies
from gateway.http.rate_limit import RateLimiter
from gateway.service import gateway_service
from gateway.settings import GatewaySettings
from journey.admin.registry import shop_topology
from tests.support.fake_user_svc import PASSWORD, FakeUserService

SHOP = "https://shop.example"
SERVICES_BEHIND = (
    "product_svc",
    "inventory_svc",
    "operations",
    "order_svc",
    "payment_svc",
    "notification_svc",
)
SERVICE_TOKEN = "the-token-of-the-services"
DELIVERY = {
    "recipient": "Ada Lovelace",
    "street": "12 St James's Square",
    "postcode": "SW1Y 4JH",
    "city": "London",
    "country": "GB",
}
ORDER: dict[str, Any] = {
    "lines": [{"sku": "KETTLE-BLUE", "quantity": 1}],
    "card_token": "tok_visa",
    "delivery_address": DELIVERY,
}
_UNUSED: Any = {"amqp_url": "amqp://memory", "mongo_url": "mongodb://memory"}
# Tests send more requests per minute than users, on busy machines.
_UNHURRIED: dict[str, Any] = {"rate_user": 10_000, "rate_anonymous": 10_000, "rate_orders": 10_000}
_PATIENT: dict[str, Any] = {"upstream_s_max": 10, "publish_s_max": 10, "request_s_max": 60}


def gateway_settings(**given: Any) -> GatewaySettings:
    urls = {f"{name}_url": f"http://{name}" for name in (*SERVICES_BEHIND, "user_svc")}
    return GatewaySettings(
        **(_UNUSED | urls | _UNHURRIED | _PATIENT | {"service_token": SERVICE_TOKEN} | given)
    )


class Unreachable(httpx.AsyncBaseTransport):
    """The transport of a service that is not running."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")


class GatewayFixture:
    """One gateway instance. Fixtures with the same broker, store and users are instances of one gateway.

    `apps`: the ASGI applications of other services, by name. Services without one are unavailable.
    """

    def __init__(
        self,
        *,
        broker: MemoryBroker | None = None,
        store: MemoryStore | None = None,
        users: FakeUserService | None = None,
        apps: Mapping[str, Any] = {},
        rate_limiter: RateLimiter | None = None,
        **settings: Any,
    ) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
        self.broker = broker or MemoryBroker(shop_topology())
        self.store = store or MemoryStore()
        self.users = users or FakeUserService(lambda: self.now)
        self.bus = MemoryBus(self.broker, "gateway")
        self.runtime = Runtime(gateway_service(), self.bus, self.store, clock=lambda: self.now)
        transports: dict[str, httpx.AsyncBaseTransport] = dict.fromkeys(SERVICES_BEHIND, Unreachable())
        transports |= {name: httpx.ASGITransport(app) for name, app in apps.items()}
        self.deps = GatewayDependencies(
            self.runtime,
            gateway_settings(**settings),
            {"user_svc": self.users.transport} | transports,
            rate_limiter=rate_limiter,
        )
        self.app = create_app(self.deps)

    def later(self, **time: float) -> None:
        self.now += timedelta(**time)

    def client(self, **headers: str) -> httpx.AsyncClient:
        """An unauthenticated API client."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=SHOP, headers=headers)

    def program(self, email: str = "ada@example.org", *roles: Role) -> httpx.AsyncClient:
        """An API client with an access token."""
        token = self.users.access_token(
            self.users.has(email, *roles), exp=datetime.now(UTC) + timedelta(minutes=9)
        )
        return self.client(Authorization=f"Bearer {token}")

    def browser(self) -> httpx.AsyncClient:
        """The browser of a guest, on the shop's own pages."""
        return self.client(**{"Sec-Fetch-Site": "same-origin", "Accept": "text/html"})

    async def logged_in(self, email: str = "ada@example.org", *roles: Role) -> httpx.AsyncClient:
        """A browser with a session."""
        self.users.has(email, *roles)
        response = await self.deps.user_client.request(
            "POST", "/sessions", {"email": email, "password": PASSWORD}
        )
        browser = self.browser()
        cookie = await self.deps.sessions.open(Tokens.model_validate_json(response.content))
        browser.cookies.set(self.deps.cookies.session, cookie, domain="shop.example", path="/")
        return browser

    def user_id(self, email: str = "ada@example.org") -> UUID:
        return self.users.has(email).user_id

    def sent(self, kind: type[Message]) -> list[WireMessage]:
        """The published messages of this type."""
        return [wire_message for wire_message in self.broker.tapped if wire_message.type == kind.TYPE]


@asynccontextmanager
async def running(gateway: GatewayFixture) -> AsyncIterator[GatewayFixture]:
    """Runs the gateway's consumer for the duration of the context."""
    await gateway.runtime.start()
    try:
        yield gateway
    finally:
        gateway.deps.stopping.set()
        await gateway.runtime.stop(5)
        await gateway.deps.close()


async def place_order(client: httpx.AsyncClient, key: str = "", **changed: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key or str(new_id())}
    return await client.post("/api/v1/orders", json=ORDER | changed, headers=headers)
