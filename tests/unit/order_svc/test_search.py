"""Staff find orders by number, customer, status, article and day, those that were placed last first."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.core.codec import Codec
from chassis.messaging.identity import new_id
from chassis.runtime import Runtime
from chassis.store.protocol import Change, Loaded, StoreUnavailable
from chassis.web import app
from contracts.http.orders import OrderStatus
from contracts.values import Money, PricedLine
from order_svc import finding
from order_svc.api import routes
from order_svc.finding import OrderFinder, OrderQuery
from order_svc.order import Order
from order_svc.search_fields import placed_between
from order_svc.service import order_service
from tests.support.messages import CUSTOMER, OTHER_CUSTOMER

PRICE = Money(amount_minor=500, currency="EUR")
NOW = datetime(2031, 6, 1, tzinfo=UTC)


def line(sku: str) -> PricedLine:
    return PricedLine(sku=sku, quantity=1, price=PRICE)


def order_id(number: int) -> UUID:
    """A UUIDv4, as a client's library makes it: it does not sort by time."""
    return UUID(f"{(number * 7) % 10}aaaaaaa-0000-4000-8000-0000000abc{number:02}")


@pytest.fixture
async def runtime() -> Runtime:
    broker = MemoryBroker(build([order_service()]))
    return Runtime(order_service(), MemoryBus(broker, "order_svc"), MemoryStore(), clock=lambda: NOW)


@pytest.fixture
async def client(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app.create_app(runtime, routes(runtime)))
    async with httpx.AsyncClient(transport=transport, base_url="http://order_svc") as client:
        yield client


async def keep(runtime: Runtime, number: int, day: int, **changed: Any) -> str:
    """As an earlier version stored an order, without derived fields; returns its id."""
    key = str(order_id(number))
    order = Order(
        **{
            "status": OrderStatus.CONFIRMED,
            "order_id": UUID(key),
            "customer_id": CUSTOMER,
            "lines": (line("TEA-GREEN"), line("CUP-WHITE")),
            "total": PRICE,
            "placed_at": datetime(2031, 5, day, 12, tzinfo=UTC),
            **changed,
        }
    )
    assert await runtime.store.save([Change(Loaded("orders", key), Codec(Order).dump(order), changed_at=NOW)])
    return key


async def filled(runtime: Runtime) -> list[str]:
    return [
        await keep(runtime, 0, 1),
        await keep(runtime, 1, 2, status=OrderStatus.CANCELLED, lines=(line("POT-RED"),)),
        await keep(runtime, 2, 3, customer_id=OTHER_CUSTOMER),
        await keep(runtime, 3, 4, lines=(line("CUP-WHITE"),)),
    ]


async def found(client: httpx.AsyncClient, query: str = "") -> list[str]:
    response = await client.get(f"/orders/search?{query}")
    assert response.status_code == 200, response.text
    assert response.json()["complete"] is True
    return [order["order_id"] for order in response.json()["items"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [3, 2, 1, 0]),
        ("number=0ABC02", [2]),
        ("number=c02", None),
        ("number=000000000abc01", [1]),
        ("number=ffff", []),
        (f"customer_id={CUSTOMER}", [3, 1, 0]),
        ("status=cancelled", [1]),
        ("sku=CUP-WHITE", [3, 2, 0]),
        ("sku=CUP", []),
        ("placed_from=2031-05-02", [3, 2, 1]),
        ("placed_until=2031-05-02", [1, 0]),
        ("placed_from=2031-05-02&placed_until=2031-05-03", [2, 1]),
        ("placed_from=2031-05-03&placed_until=2031-05-02", []),
        ("placed_until=9999-12-31", [3, 2, 1, 0]),
        (f"customer_id={CUSTOMER}&status=confirmed&sku=CUP-WHITE&placed_until=2031-05-03", [0]),
    ],
)
async def test_all_that_is_given_must_match(
    client: httpx.AsyncClient, runtime: Runtime, query: str, expected: list[int] | None
) -> None:
    ids = await filled(runtime)
    if expected is None:
        assert (await client.get(f"/orders/search?{query}")).status_code == 422
    else:
        assert await found(client, query) == [ids[number] for number in expected]


async def test_pages_follow_each_other(client: httpx.AsyncClient, runtime: Runtime) -> None:
    ids = await filled(runtime)
    read, after = [], ""
    while after is not None:
        page = (await client.get("/orders/search", params={"limit": 3, "after": after})).json()
        read.append([order["order_id"] for order in page["items"]])
        after = page["next"]
    assert read == [ids[:0:-1], ids[:1]]


async def test_a_found_order_has_its_time(client: httpx.AsyncClient, runtime: Runtime) -> None:
    [first, *_] = await filled(runtime)
    [order] = (await client.get("/orders/search?number=0abc00")).json()["items"]
    assert (order["order_id"], order["placed_at"]) == (first, "2031-05-01T12:00:00Z")


async def test_an_undated_order_is_dated_by_id_or_change(client: httpx.AsyncClient, runtime: Runtime) -> None:
    await keep(runtime, 1, 1, placed_at=None)
    tomorrow = await keep(runtime, 2, 1, placed_at=datetime(2031, 7, 1, tzinfo=UTC))
    v7 = str(new_id())
    state = Codec(Order).dump(Order(status=OrderStatus.PLACED, order_id=UUID(v7)))
    assert await runtime.store.save([Change(Loaded("orders", v7), state)])
    await found(client)
    loaded = await runtime.store.load("orders", [str(order_id(1)), tomorrow, v7])
    keys = {key: str((each.state or {})["sort_key"]) for key, each in loaded.items()}
    assert keys[str(order_id(1))].startswith("2031-06-01T00:00")
    assert keys[tomorrow].startswith("2031-06-01T00:00"), "a client's time may be in the future"
    assert keys[v7].startswith(datetime.now(UTC).isoformat()[:8])


async def test_a_cancellation_before_the_order_is_not_listed(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    key = await keep(runtime, 1, 1, status=OrderStatus.NEW)
    assert await found(client) == []
    assert (await runtime.store.load("orders", [key]))[key].state


async def test_orders_of_an_earlier_version_are_found_once_derived(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "_PAGE", 2)
    ids = await filled(runtime)
    finder = OrderFinder(runtime)
    first = await finder.find(OrderQuery(), after="", limit=10)
    assert not first.is_complete and len(first.orders) < len(ids)
    await finder.derived()
    again = await finder.find(OrderQuery(), after="", limit=10)
    assert again.is_complete and [each.key for each in again.orders] == ids[::-1]


async def test_an_interrupted_derivation_continues_with_the_next_search(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "_PAGE", 1)
    ids = await filled(runtime)
    finder, store = OrderFinder(runtime), runtime.store
    assert isinstance(store, MemoryStore)
    assert not (await finder.find(OrderQuery(), after="", limit=10)).is_complete
    store.away = True
    await finder.derived()
    with pytest.raises(StoreUnavailable):
        await finder.find(OrderQuery(), after="", limit=10)
    store.away = False
    assert not (await finder.find(OrderQuery(), after="", limit=10)).is_complete
    await finder.derived()
    await asyncio.sleep(0)
    assert len((await finder.find(OrderQuery(), after="", limit=10)).orders) == len(ids)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("number=xyz1", "number"),
        ("number=123", "number"),
        ("sku=kettle", "sku"),
        ("status=lost", "status"),
        ("placed_from=yesterday", "placed_from"),
        ("placed_until=0", "placed_until"),
        ("placed_until=2031-02-30", "placed_until"),
        ("customer_id=ada", "customer_id"),
    ],
)
async def test_a_wrong_parameter_is_named(client: httpx.AsyncClient, query: str, field: str) -> None:
    response = await client.get(f"/orders/search?{query}")
    assert response.status_code == 422 and field in response.text


def test_days_are_whole_days_in_utc() -> None:
    days = placed_between(date(2031, 5, 2), date(2031, 5, 2))
    assert days.first <= "2031-05-02T00:00:00.000000+00:00 x" < days.end
    assert days.first <= "2031-05-02T23:59:59.999999+00:00 x" < days.end
    assert days.end < "2031-05-03T00:00:00.000000+00:00 x"
