"""product_svc with a broker in memory, its staff, and a customer."""

import httpx

from chassis.http import application
from chassis.memory import MemoryBroker, MemoryBus
from chassis.runtime import Runtime
from chassis.store import Store
from chassis.topology import build
from contracts.envelope import OPERATOR, seal
from contracts.identity import new_id
from contracts.message import Command
from contracts.products import ListProduct
from contracts.values import Money
from product_svc.api import routes
from product_svc.service import product_service
from tests.until import until


class Shop:
    """product_svc in memory, its staff, and a customer."""

    def __init__(self, store: Store) -> None:
        self.broker = MemoryBroker(build([product_service()]))
        self.runtime = Runtime(product_service(), MemoryBus(self.broker, "product_svc"), store)
        transport = httpx.ASGITransport(application(self.runtime, routes(self.runtime)))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://product_svc")
        self._staff = MemoryBus(self.broker, OPERATOR)

    async def send(self, *commands: Command) -> None:
        """Returns when all are handled."""
        sealed = [seal(c, id=str(new_id()), source=OPERATOR, now=self.runtime.clock()) for c in commands]
        assert not any(await self._staff.publish([envelope.parcel() for envelope in sealed]))
        wanted = {envelope.id for envelope in sealed}
        skus = {command.subject for command in commands}
        await until(
            lambda: self.runtime.store.load("products", skus),
            lambda loaded: wanted <= {id_ for sku in skus for id_ in loaded[sku].handled},
        )

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    async def skus(self, query: str = "") -> list[str]:
        answer = await self.get(f"/products?{query}")
        assert answer.status_code == 200, answer.text
        return [item["sku"] for item in answer.json()["items"]]

    def said(self) -> list[str | None]:
        return [parcel.type for parcel in self.broker.tapped if parcel.exchange == "events"]


def listing(sku: str, title: str, category: str = "kitchen", cents: int = 100) -> ListProduct:
    return ListProduct(sku=sku, title=title, category=category, price=Money(amount_minor=cents, currency="EUR"))


KETTLE = listing("KETTLE-BLUE", "Kettle, blue", cents=2990)
CUP = listing("CUP-WHITE", "Cup, white")
GREEN_TEA = listing("TEA-GREEN", "Green tea", "tea")
BLACK_TEA = listing("TEA-BLACK", "Black tea", "tea")
