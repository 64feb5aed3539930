"""Writes that always meet newer versions are reported as contention and not as an outage of the database.

Callers treat both alike: they try again later.
"""

import asyncio

import httpx
import pytest
import structlog
from fastapi import APIRouter

from chassis import telemetry
from chassis.bus.memory import MemoryBroker, MemoryBus
from chassis.bus.topology import build
from chassis.core.execute import execute
from chassis.messaging.envelope import wrap
from chassis.runtime import Runtime
from chassis.web.app import create_app
from contracts import products
from contracts.catalog import CATALOG
from contracts.values import Money
from order_svc.service import order_service
from tests.simulation import virtual_time
from tests.support.contended_store import ContendedStore
from tests.support.pending_message_factory import NOW

CONFLICTS = "other instances write the same documents"
PRICE = products.PriceChanged(sku="TEA", price=Money(amount_minor=1, currency="EUR"), revision=1)


class Instance:
    """order_svc with a database in which others write first, and a route that executes a command."""

    def __init__(self) -> None:
        self.store = ContendedStore()
        self.broker = MemoryBroker(build([order_service()]))
        self.runtime = Runtime(order_service(), MemoryBus(self.broker, "order_svc"), self.store)
        self.routes = APIRouter()
        self.routes.get("/change")(self._change)

    async def _change(self) -> None:
        [prices] = [each for each in self.runtime.service.aggregates if each.kind == "prices"]
        await execute(self.runtime, prices, "CUP", PRICE.model_copy(update={"sku": "CUP"}))

    async def get(self, path: str) -> httpx.Response:
        transport = httpx.ASGITransport(create_app(self.runtime, self.routes))
        async with httpx.AsyncClient(transport=transport, base_url="http://order_svc") as client:
            return await client.get(path)


def test_readiness_and_log_name_write_conflicts(monkeypatch: pytest.MonkeyPatch) -> None:
    log = structlog.testing.CapturingLogger()
    monkeypatch.setattr(telemetry, "log", log)

    async def story() -> None:
        shop = Instance()
        await shop.runtime.start()
        envelope = wrap(PRICE, id="price-1", source="product_svc", now=NOW)
        await MemoryBus(shop.broker, "product_svc").publish([envelope.wire_message(CATALOG)])
        await asyncio.sleep(30)
        response = await shop.get("/readyz")
        assert (response.status_code, response.json()["title"]) == (503, "Not ready")
        assert CONFLICTS in response.json()["detail"]
        assert "the database does not answer" not in response.json()["detail"]
        shop.store.contended = False
        await asyncio.sleep(10)
        assert (await shop.get("/readyz")).status_code == 200
        assert [document.key for document in await shop.store.find("prices")] == ["TEA"]
        assert shop.broker.dead("order_svc") == []
        await shop.runtime.kill()

    virtual_time.play(story())
    warnings = [call.args[0] for call in log.calls if call.method_name == "warning"]
    assert warnings and all(CONFLICTS in warning for warning in warnings)


def test_a_services_503_names_write_conflicts() -> None:
    async def story() -> None:
        shop = Instance()
        contended = await shop.get("/change")
        shop.store.away = True
        away = await shop.get("/change")
        assert [contended.status_code, away.status_code] == [503, 503]
        assert contended.headers["Retry-After"] == away.headers["Retry-After"]
        assert contended.json()["title"] == "Too many concurrent changes"
        assert "newer versions" in contended.json()["detail"]
        assert away.json()["title"] == "The database does not answer"

    virtual_time.play(story())
