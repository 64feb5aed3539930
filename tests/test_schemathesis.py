"""Every service responds as its OpenAPI document says, to any request: no 500, and no undocumented response.

Each runs in memory, with some documents in its collections.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.core.definition import Codec, ServiceDefinition
from chassis.runtime import Routes, Runtime
from chassis.store.protocol import Change
from chassis.web.app import create_app
from inventory_svc import api as inventory_api
from inventory_svc.service import inventory_service
from notification_svc import api as notification_api
from notification_svc.service import notification_service
from order_svc import api as order_api
from order_svc.service import order_service
from payment_svc.service import payment_service
from payment_svc.simulator import SimulatedProvider
from payment_svc.wiring import with_simulator
from product_svc import api as product_api
from product_svc.service import product_service
from tests.decision_table_fixtures import MAILS, ORDERS, PAYMENTS, PRODUCTS, RESERVATIONS
from tests.messages import KETTLE, ORDER, PRICE_BOOK, SHELVES
from tests.openapi_checks import complaints


@dataclass(frozen=True)
class House:
    """A service, its routes, and its documents: (kind, key) -> state."""

    service: Callable[[], ServiceDefinition]
    routes: Routes
    kept: dict[tuple[str, str], Any]

    async def app(self) -> FastAPI:
        service = self.service()
        runtime = Runtime(service, MemoryBus(MemoryBroker(build([service])), service.name), MemoryStore())
        for (kind, key), state in self.kept.items():
            loaded = (await runtime.store.load(kind, [key]))[key]
            assert await runtime.store.save([Change(loaded, Codec(type(state)).dump(state))])
        runtime.unready = lambda: ""  # type: ignore[method-assign]  # a 503 at its door would be no news
        return create_app(runtime, self.routes(runtime))


HOUSES = {
    "product_svc": House(
        product_service, product_api.routes, {("products", KETTLE): PRODUCTS.states["listed"]}
    ),
    "inventory_svc": House(
        inventory_service,
        inventory_api.routes,
        {("shelves", KETTLE): SHELVES[KETTLE], ("reservations", str(ORDER)): RESERVATIONS.states["held"]},
    ),
    "order_svc": House(
        order_service,
        order_api.routes,
        {("orders", str(ORDER)): ORDERS.states["placed"], ("prices", KETTLE): PRICE_BOOK[KETTLE]},
    ),
    "payment_svc": House(
        payment_service,
        with_simulator(SimulatedProvider(MemoryStore(), latency_ms=0))[0],
        {("payments", str(ORDER)): PAYMENTS.states["captured"]},
    ),
    "notification_svc": House(
        notification_service,
        notification_api.routes,
        {("mails", f"{ORDER}:order_confirmed"): MAILS.states["sent"]},
    ),
}


@pytest.mark.parametrize("name", HOUSES)
async def test_a_service_answers_as_its_document_says(name: str) -> None:
    found = list(complaints(await HOUSES[name].app()))
    assert not found, "\n\n".join(found)


async def test_an_answer_that_is_not_documented_is_noticed() -> None:
    """Otherwise the test above would pass because it checks nothing."""
    app = await HOUSES["product_svc"].app()

    @app.get("/undocumented")
    async def undocumented(number: int) -> str:
        raise ZeroDivisionError if number == 0 else KeyError

    found = list(complaints(app))
    assert found and all("/undocumented" in complaint for complaint in found)
