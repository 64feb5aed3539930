"""A hundred orders for the last piece, at two instances at once: one order gets it."""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import cache
from uuid import uuid4

import pytest

from chassis.bus.memory import MemoryStore
from chassis.runtime import Runtime
from chassis.store.mongodb import MongoStore
from chassis.store.protocol import Store
from contracts import inventory
from contracts.catalog import CATALOG
from inventory_svc.service import inventory_service
from journey.devenv.infra.model import Infrastructure
from tests.support.brokers import Broker
from tests.support.eventually import until
from tests.support.recording_consumer import WAIT_S_MAX, placed, wrapped

ORDERS = 100
SKU = "TEA"


@pytest.fixture
def memory_stores() -> Callable[[], Store]:
    """All instances share one store."""
    return cache(MemoryStore)


@pytest.fixture
def mongo_stores(real_infrastructure: Infrastructure, database_prefix: str) -> Callable[[], Store]:
    return lambda: MongoStore(real_infrastructure.mongo_url, f"{database_prefix}inventory_svc")


@pytest.fixture(
    params=[("in_memory", "memory_stores"), pytest.param(("rabbit", "mongo_stores"), marks=pytest.mark.real)],
    ids=["memory", "real"],
)
def backends(request: pytest.FixtureRequest) -> tuple[Broker, Callable[[], Store]]:
    broker, stores = request.param
    return request.getfixturevalue(broker), request.getfixturevalue(stores)


async def test_one_of_a_hundred_orders_gets_the_last_piece(
    backends: tuple[Broker, Callable[[], Store]],
) -> None:
    broker, store = backends
    instances = [Runtime(inventory_service(), await broker.bus("inventory_svc"), store()) for _ in range(2)]
    await asyncio.gather(*(instance.start() for instance in instances))
    shop = instances[0].store
    one_lot = inventory.ReceiveStock(receipt_id=uuid4(), sku=SKU, quantity=2)  # an order is for two
    await (await broker.bus("operator")).publish([wrapped(one_lot, "operator").wire_message(CATALOG)])
    await until(lambda: shop.find("shelves"))
    assert not any(await (await broker.bus("order_svc")).publish([placed() for _ in range(ORDERS)]))
    reservations = await until(
        lambda: shop.find("reservations", limit=2 * ORDERS), lambda found: len(found) >= ORDERS
    )
    await until(
        lambda: not any(each._dispatcher.in_flight for each in instances if each._dispatcher),
        within_s=WAIT_S_MAX,
    )

    assert Counter((each.state or {})["status"] for each in reservations) == {
        "held": 1,
        "rejected": ORDERS - 1,
    }
    [shelf] = await shop.find("shelves")
    assert shelf.state == {"sku": SKU, "received": 2, "available": 0, "reserved": 2, "sold": 0}
    for instance in instances:
        await instance.stop(5)
