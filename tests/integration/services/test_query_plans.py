"""Searches of the catalogue and of orders use an index: no query reads a whole collection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus
from chassis.bus.topology import build
from chassis.runtime import Runtime
from chassis.store.mongodb import MongoStore
from chassis.store.protocol import Change, Loaded
from chassis.web.app import create_app
from contracts.http.orders import OrderStatus
from contracts.values import Money, PricedLine
from journey.devenv.infra.model import Infrastructure
from order_svc.api import routes as order_routes
from order_svc.order import Order
from order_svc.search_fields import SEARCH_FIELDS
from order_svc.service import order_service
from product_svc.product import Product, ProductStatus
from product_svc.service import PRODUCTS, product_service
from tests.support.databases import ExecutedQuery, executed_queries
from tests.support.messages import CUSTOMER, OTHER_CUSTOMER
from tests.support.shops.product import ProductApp

pytestmark = pytest.mark.real
ARTICLES, ORDERS, CHUNK = 2_000, 2_000, 500
PRICE = Money(amount_minor=500, currency="EUR")
NOUNS = ("Kettle", "Lamp", "Samovar", "Basket", "Teapot")
COLOURS = ("blue", "white", "crème", "red")
BEGAN = datetime(2031, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def profiled(store: MongoStore) -> AsyncIterator[list[ExecutedQuery]]:
    async with executed_queries(store._mongo.database) as queries:
        yield queries


def check_plans(queries: list[ExecutedQuery], request: str, *, examined_max: int) -> None:
    assert queries
    assert all("COLLSCAN" not in each.plan for each in queries), (request, queries)
    assert sum(each.examined for each in queries) <= examined_max, (request, queries)


def article(number: int) -> Change:
    noun, colour = NOUNS[number % len(NOUNS)], COLOURS[number % len(COLOURS)]
    sku = f"{noun.upper()}-{number:05}"
    status = ProductStatus.WITHDRAWN if number % 50 == 0 else ProductStatus.LISTED
    title, category = f"{noun}, {colour}", f"category-{number % 20}"
    product = Product(status, 1, sku, title, "", category, PRICE).with_current_words()
    return Change(Loaded("products", sku), PRODUCTS.codec.dump(product))


async def test_the_catalogue_is_searched_by_index(
    real_infrastructure: Infrastructure, database_prefix: str
) -> None:
    store = MongoStore(real_infrastructure.mongo_url, f"{database_prefix}product_svc", timeout_ms=60_000)
    product_app = ProductApp(store)
    await store.start(product_service().kinds)  # not the runtime, whose background loops would be counted
    try:
        for first in range(0, ARTICLES, CHUNK):
            assert await store.save([article(number) for number in range(first, first + CHUNK)])
        listed = ARTICLES - ARTICLES // 50
        requests = {
            "/categories": listed + 1,
            "/products": 100,
            "/products?category=category-7": 100,
            "/products?q=kettle": 100,
            "/products?q=LAMP-00011": 100,
            "/products?q=samovar+creme&after=SAMOVAR-01000": ARTICLES // len(NOUNS),
            # typing errors: the keys of an index are looked up for each word that is similar
            "/products?q=samovr": ARTICLES,
            "/products?q=kettel+blue": ARTICLES,
            "/products?q=unobtainium": ARTICLES,
        }
        for request, examined_max in requests.items():
            async with profiled(store) as queries:
                response = await product_app.get(request)
            assert response.status_code == 200
            check_plans(queries, request, examined_max=examined_max)
        async with profiled(store) as queries:
            counted = (await product_app.get("/categories")).json()["items"]
        assert sum(category["count"] for category in counted) == listed
        assert sum(each.documents for each in queries) == 0, "the index has all that is counted"
    finally:
        await product_app.http.aclose()
        await store.stop()


def order(number: int) -> Change:
    key = f"{number * 7919 % 65536:04x}aaaa-0000-4000-8000-{number:012x}"
    lines = tuple(PricedLine(sku=sku, quantity=1, price=PRICE) for sku in (f"TEA-{number % 40}", "CUP-WHITE"))
    placed = Order(
        status=OrderStatus.CANCELLED if number % 20 == 0 else OrderStatus.DISPATCHED,
        order_id=UUID(key),
        customer_id=OTHER_CUSTOMER if number % 100 == 0 else CUSTOMER,
        lines=lines,
        total=PRICE,
        placed_at=BEGAN + timedelta(hours=number),
    )
    [aggregate] = [each for each in order_service().aggregates if each.kind == "orders"]
    loaded = Loaded("orders", key)
    return Change(loaded, aggregate.dump(placed, loaded, BEGAN + timedelta(days=400)))


async def test_orders_are_searched_by_index(
    real_infrastructure: Infrastructure, database_prefix: str
) -> None:
    store = MongoStore(real_infrastructure.mongo_url, f"{database_prefix}order_svc", timeout_ms=60_000)
    broker = MemoryBroker(build([order_service()]))
    runtime = Runtime(order_service(), MemoryBus(broker, "order_svc"), store)
    await store.start(order_service().kinds)
    transport = httpx.ASGITransport(create_app(runtime, order_routes(runtime)))
    try:
        for first in range(0, ORDERS, CHUNK):
            assert await store.save([order(number) for number in range(first, first + CHUNK)])
        async with httpx.AsyncClient(transport=transport, base_url="http://order_svc") as client:
            requests = {
                "": 20,
                "status=cancelled": 20,
                f"customer_id={OTHER_CUSTOMER}": 20,
                "sku=TEA-7": 20,
                "number=0000064": 1,
                "placed_from=2031-02-01&placed_until=2031-02-02": 20,
                "placed_until=2031-02-02&status=cancelled": 20,
                f"customer_id={OTHER_CUSTOMER}&status=cancelled&sku=CUP-WHITE": 20,
                "sku=NO-SUCH-THING": 0,
            }
            for request, count in requests.items():
                async with profiled(store) as queries:
                    response = await client.get(f"/orders/search?{request}")
                assert len(response.json()["items"]) == count, (request, response.text[:300])
                check_plans(queries, request, examined_max=100)
    finally:
        await store.stop()


def test_the_orders_of_this_test_have_derived_fields() -> None:
    state = order(1).state
    assert all(state[name] for name in SEARCH_FIELDS.names)
