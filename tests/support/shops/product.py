"""product_svc with an in-memory broker, its staff, and a customer."""

import httpx

from chassis.bus.memory import MemoryBroker, MemoryBus
from chassis.bus.topology import build
from chassis.messaging.envelope import OPERATOR, wrap
from chassis.messaging.identity import new_id
from chassis.messaging.message import Command
from chassis.runtime import Runtime
from chassis.store.protocol import Store
from chassis.web.app import create_app
from contracts.catalog import CATALOG
from contracts.products import ListProduct
from contracts.values import Money
from product_svc.api import routes
from product_svc.service import product_service
from tests.support.settled import settled


class ProductApp:
    """product_svc in memory, its staff, and a customer."""

    def __init__(self, store: Store) -> None:
        self.broker = MemoryBroker(build([product_service()]))
        self.runtime = Runtime(product_service(), MemoryBus(self.broker, "product_svc"), store)
        transport = httpx.ASGITransport(create_app(self.runtime, routes(self.runtime)))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://product_svc")
        self._staff = MemoryBus(self.broker, OPERATOR)

    async def send(self, *commands: Command) -> None:
        """Returns when all commands are handled, and their events published."""
        wrapped = [wrap(c, id=str(new_id()), source=OPERATOR, now=self.runtime.clock()) for c in commands]
        assert not any(await self._staff.publish([envelope.wire_message(CATALOG) for envelope in wrapped]))
        await settled(self.broker)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    async def skus(self, query: str = "") -> list[str]:
        response = await self.get(f"/products?{query}")
        assert response.status_code == 200, response.text
        return [item["sku"] for item in response.json()["items"]]

    def emitted(self) -> list[str | None]:
        return [wire_message.type for wire_message in self.broker.tapped if wire_message.exchange == "events"]


def listing(sku: str, title: str, category: str = "kitchen", cents: int = 100) -> ListProduct:
    return ListProduct(
        sku=sku, title=title, category=category, price=Money(amount_minor=cents, currency="EUR")
    )


KETTLE = listing("KETTLE-BLUE", "Kettle, blue", cents=2990)
CUP = listing("CUP-WHITE", "Cup, white")
GREEN_TEA = listing("TEA-GREEN", "Green tea", "tea")
BLACK_TEA = listing("TEA-BLACK", "Black tea", "tea")
