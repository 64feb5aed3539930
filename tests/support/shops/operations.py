"""The operations application with services in memory,
and a broker that counts calls and can be made unavailable.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import UUID

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.retry_ladder import RetryLadder
from chassis.core import retry
from chassis.fault_switches import FaultSwitches
from chassis.messaging.envelope import wrap
from chassis.messaging.identity import new_id
from chassis.messaging.message import Command, Message
from chassis.messaging.senders import CLIENT
from chassis.runtime import Effects, Routes, Runtime
from chassis.web.app import create_app as service_application
from contracts import inventory, orders, products
from contracts.catalog import CATALOG
from contracts.http.access import AccessToken, sign
from contracts.roles import Role
from contracts.values import Money, OrderLine
from inventory_svc import api as inventory_api
from journey.admin.registry import CONSUMING_SERVICES, SERVICES, shop_topology
from operations.app import create_app
from operations.dependencies import OperationsDependencies
from operations.settings import OperationsSettings
from order_svc import api as order_api
from payment_svc.simulator import SimulatedProvider
from payment_svc.wiring import with_simulator
from product_svc import api as product_api
from tests.support.eventually import until
from tests.support.in_memory_broker import InMemoryBroker
from tests.support.settled import settled

ADA = UUID("0198c0de-0000-7000-8000-00000000ada0")
RUNNING = ("order_svc", "inventory_svc", "payment_svc", "product_svc")
_KEY = Ed25519PrivateKey.generate()


def operations_settings(**given: Any) -> OperationsSettings:
    urls = {f"{name}_url": f"http://{name}" for name in CONSUMING_SERVICES}
    own = {
        "amqp_url": "amqp://operator:s3cret@rabbit/journey",
        "rabbitmq_management_url": "http://rabbit:15672",
    }
    return OperationsSettings(**(own | urls | {"poll_s": 0.2} | given))


def token(*roles: Role, user_id: UUID = ADA, left: timedelta = timedelta(minutes=9)) -> str:
    now = datetime.now(UTC)
    return sign(
        _KEY, "k1", AccessToken(sub=user_id, sid=new_id(), jti=new_id(), roles=roles, exp=now + left), now
    )


def jwks() -> dict[str, Any]:
    x = urlsafe_b64encode(_KEY.public_key().public_bytes_raw()).rstrip(b"=").decode()
    return {"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": "k1", "x": x}]}


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of a form."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    return {name: unescape(value) for name, value in found}


class FakeServices(httpx.AsyncBaseTransport):
    """The services by name.

    Those in `away` do not respond; those in `odd` respond to every request with these bytes. `ips`: the
    addresses of names with several processes.
    """

    def __init__(self) -> None:
        self.apps: dict[str, httpx.AsyncBaseTransport] = {}
        self.away: set[str] = set()
        self.odd: dict[str, bytes] = {}
        self.ips: dict[str, list[str]] = {}

    async def look_up(self, host: str, port: int) -> list[str]:
        return self.ips.get(host, [])

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name = request.url.host
        if name in self.away:
            raise httpx.ConnectError("connection refused")
        if name in self.odd:
            return httpx.Response(200, content=self.odd[name])
        if name in self.apps:
            return await self.apps[name].handle_async_request(request)
        if request.url.path == "/.well-known/jwks.json":
            return httpx.Response(200, json=jwks())
        return httpx.Response(200, json=[])


def operations_on(settings: OperationsSettings) -> OperationsDependencies:
    """With a real broker, and services that respond with empty lists."""
    services = FakeServices()
    return OperationsDependencies(settings, transport=services, lookup=services.look_up)


class OperationsApp:
    """`http` is logged in as staff, `stranger` is not."""

    def __init__(self, *, allow_faults: bool = False) -> None:
        self._allow_faults = allow_faults
        self.memory = MemoryBroker(shop_topology(), delay_scale=0.01)
        self.broker = InMemoryBroker(self.memory)
        self.services = FakeServices()
        self.runtimes = {name: self._service(name) for name in RUNNING}
        self.ahead = timedelta(0)
        self.deps = OperationsDependencies(
            operations_settings(journey_allow_faults=allow_faults),
            broker=self.broker,
            transport=self.services,
            clock=lambda: datetime.now(UTC) + self.ahead,
            lookup=self.services.look_up,
        )
        self.app = create_app(self.deps)
        self.http = self.client(Authorization=f"Bearer {token(Role.STAFF)}")

    def client(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(
            transport=transport, base_url="http://operations", headers=headers, timeout=20
        )

    def _service(self, name: str, host: str = "") -> Runtime:
        parts: dict[str, tuple[Routes, Effects | None]] = {
            "order_svc": (order_api.routes, None),
            "inventory_svc": (inventory_api.routes, None),
            "payment_svc": with_simulator(SimulatedProvider(MemoryStore(), latency_ms=1)),
            "product_svc": (product_api.routes, None),
        }
        routes, effects = parts[name]
        faults = FaultSwitches() if self._allow_faults else None
        bus = MemoryBus(self.memory, name)
        runtime = Runtime(SERVICES[name](), bus, MemoryStore(), effects=effects, faults=faults)
        self.services.apps[host or name] = httpx.ASGITransport(service_application(runtime, routes(runtime)))
        return runtime

    async def start_process(self, name: str, host: str) -> Runtime:
        """Start another process of a service, with a store of its own, at this IP address."""
        runtime = self.runtimes[host] = self._service(name, host)
        await runtime.start()
        return runtime

    async def page(self, path: str, status: int = 200) -> str:
        response = await self.http.get(path)
        assert response.status_code == status, (response.status_code, response.text[:500])
        return response.text

    async def send(self, path: str, status: int = 303, /, **fields: str) -> httpx.Response:
        response = await self.http.post(path, data=fields)
        assert response.status_code == status, (response.status_code, response.text[:500])
        return response

    async def send_command(self, *commands: Command) -> None:
        """Send commands as staff, and wait until the services have handled them."""
        for command in commands:
            await self.broker.send_command(command, str(ADA))
        await self.quiet()

    async def stocked(
        self, sku: str = "KETTLE-BLUE", title: str = "Kettle, blue", quantity: int = 100
    ) -> None:
        price = Money(amount_minor=2990, currency="EUR")
        await self.send_command(
            products.ListProduct(sku=sku, title=title, category="kitchen", price=price),
            inventory.ReceiveStock(receipt_id=new_id(), sku=sku, quantity=quantity),
        )

    async def ordered(self, sku: str = "KETTLE-BLUE", card: str = "tok_visa", *, quantity: int = 1) -> UUID:
        """Place an order, and wait until it is settled."""
        order_id = await self.ordered_without_waiting(sku, card, quantity=quantity)
        await self.quiet()
        return order_id

    async def ordered_without_waiting(
        self, sku: str = "KETTLE-BLUE", card: str = "tok_visa", *, quantity: int = 1
    ) -> UUID:
        order_id = new_id()
        lines = (OrderLine(sku=sku, quantity=quantity),)
        command = orders.PlaceOrder(order_id=order_id, customer_id=ADA, lines=lines, card_token=card)
        wire_message = wrap(command, id=str(new_id()), source=CLIENT, now=datetime.now(UTC)).wire_message(
            CATALOG
        )
        assert await MemoryBus(self.memory, CLIENT).publish([wire_message]) == [None]
        return order_id

    async def until_page(self, path: str, text: str) -> str:
        """Request the page until it contains the text."""
        response = await until(lambda: self.http.get(path), lambda response: text in response.text)
        return response.text

    async def quiet(self) -> None:
        """Wait until the running services have no message waiting or in flight."""
        await settled(self.memory)

    def dies(
        self, message: Message, service: str = "inventory_svc", error: Exception | None = None, **changes: Any
    ) -> str:
        """Dead-letter a message in a service; returns its id."""
        at = changes.pop("at", datetime.now(UTC))
        wire_message = wrap(message, id=str(new_id()), source=message.OWNER, now=at).wire_message(CATALOG)
        wire_message = replace(wire_message, user_id=message.OWNER, **changes)
        kind = "commands" if isinstance(message, Command) else "events"
        dead = retry.dead_letter(
            wire_message,
            error or KeyError("shelf"),
            queue=f"{service}.{kind}",
            service=CONSUMING_SERVICES[service](),
            now=at,
            attempt=RetryLadder().attempts_max,
        )
        self.memory.queues[f"{service}.dead"].append(replace(dead, user_id=service))
        return str(wire_message.message_id)


@asynccontextmanager
async def at_work(poll_s: float = 0.2, *, allow_faults: bool = False) -> AsyncIterator[OperationsApp]:
    made = OperationsApp(allow_faults=allow_faults)
    made.deps.poller._poll_s = poll_s
    for runtime in made.runtimes.values():
        await runtime.start()
    async with made.deps.open():
        await until(lambda: made.deps.poller.snapshot.as_of is not None)
        yield made
    await made.http.aclose()
    for runtime in made.runtimes.values():
        await runtime.kill()
