"""The read API of orders and prices."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.core.codec import Codec
from chassis.messaging.envelope import wrap
from chassis.messaging.identity import new_id
from chassis.messaging.message import Message
from chassis.messaging.senders import senders
from chassis.runtime import Runtime
from chassis.store.protocol import Change
from chassis.web import app
from contracts.catalog import CATALOG
from order_svc.api import routes
from order_svc.service import order_service
from tests.support.messages import CUSTOMER, KETTLE, ORDER, OTHER_CUSTOMER, PLACE, PRICE_BOOK
from tests.support.settled import settled
from tests.unit.order_svc.decision_tables import ORDERS


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    broker = MemoryBroker(build([order_service()]))
    running = Runtime(order_service(), MemoryBus(broker, "order_svc"), MemoryStore())
    await running.start()
    for sku, price in PRICE_BOOK.items():
        await keep(running, "prices", sku, price)
    yield running
    await running.stop()


@pytest.fixture
async def client(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app.create_app(runtime, routes(runtime)))
    async with httpx.AsyncClient(transport=transport, base_url="http://order_svc") as client:
        yield client


async def keep(runtime: Runtime, kind: str, key: object, state: Any) -> None:
    loaded = (await runtime.store.load(kind, [str(key)]))[str(key)]
    await runtime.store.save([Change(loaded, Codec(type(state)).dump(state))])


async def send(runtime: Runtime, message: Message) -> None:
    """Returns when the message is handled."""
    sender = senders(type(message))[0]
    envelope = wrap(message, id=str(new_id()), source=sender, now=runtime.clock())
    assert isinstance(runtime.bus, MemoryBus)
    assert await MemoryBus(runtime.bus.broker, sender).publish([envelope.wire_message(CATALOG)]) == [None]
    await settled(runtime.bus.broker)


async def test_a_placed_order_shows_lines_awaited_messages_and_deadline(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    await send(runtime, PLACE)
    order = (await client.get(f"/orders/{ORDER}")).json()
    assert (order["status"], order["awaits"]) == ("placed", ["stock", "payment"])
    assert [(line["sku"], line["quantity"], line["price"]["amount_minor"]) for line in order["lines"]] == [
        ("KETTLE-BLUE", 2, 2_500),
        ("MUG-WHITE", 2, 700),
    ]
    assert order["total"] == {"amount_minor": 6_400, "currency": "EUR"}
    assert order["deadline_at"] is not None
    assert "tok_visa" not in str(order)


@pytest.mark.parametrize(
    ("state", "reasons"),
    [
        ("cancelled", {"cancel_reason": "customer", "reject_reason": None, "detail": ""}),
        ("rejected", {"reject_reason": "unknown_sku", "detail": "NO-SUCH-THING is not in the price book"}),
        ("needs attention", {"status": "needs_attention", "detail": "the authorisation has expired"}),
        ("dispatched", {"status": "dispatched", "awaits": [], "deadline_at": None}),
        ("new, cancellation requested", {"status": "new", "order_id": str(ORDER)}),
    ],
)
async def test_an_order_shows_the_reasons_of_its_status(
    client: httpx.AsyncClient, runtime: Runtime, state: str, reasons: dict[str, Any]
) -> None:
    await keep(runtime, "orders", ORDER, ORDERS.states[state])
    order = (await client.get(f"/orders/{ORDER}")).json()
    assert order | reasons == order


async def test_an_unknown_order_is_a_problem_404(client: httpx.AsyncClient) -> None:
    response = await client.get(f"/orders/{ORDER}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["title"] == "No such order"


async def test_orders_come_newest_first_page_by_page(client: httpx.AsyncClient, runtime: Runtime) -> None:
    ids = [str(UUID(int=ORDER.int + number)) for number in range(5)]
    for order_id in ids:
        await keep(runtime, "orders", order_id, ORDERS.states["confirmed"])
    seen: list[str] = []
    query = "limit=2"
    while query:
        page = (await client.get(f"/orders?{query}")).json()
        seen += [order["order_id"] for order in page["items"]]
        query = f"limit=2&after={page['next']}" if page["next"] else ""
    assert seen == ids[::-1]


async def test_orders_are_found_by_customer_and_by_status(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    for number, state in enumerate(["placed", "confirmed", "cancelled"]):
        await keep(runtime, "orders", UUID(int=ORDER.int + number), ORDERS.states[state])

    async def found(query: str) -> list[str]:
        return [order["status"] for order in (await client.get(f"/orders?{query}")).json()["items"]]

    assert await found(f"customer_id={CUSTOMER}") == ["cancelled", "confirmed", "placed"]
    assert await found(f"customer_id={CUSTOMER}&status=confirmed") == ["confirmed"]
    assert await found(f"customer_id={OTHER_CUSTOMER}") == []


async def test_a_price_is_shown_with_its_revision(client: httpx.AsyncClient) -> None:
    price = (await client.get(f"/prices/{KETTLE}")).json()
    assert price == {"sku": KETTLE, "revision": 1, "price": {"amount_minor": 2_500, "currency": "EUR"}}
    assert (await client.get("/prices/NO-SUCH-THING")).status_code == 404


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/orders/1", "order_id"),
        ("/orders?limit=0", "limit"),
        ("/orders?limit=501", "limit"),
        ("/orders?limit=ten", "limit"),
        ("/orders?after=x", "after"),
        ("/orders?status=lost", "status"),
        ("/orders?customer_id[$ne]=&customer_id=x", "customer_id"),
        ("/prices/lower-case", "sku"),
    ],
)
async def test_a_wrong_parameter_is_named(client: httpx.AsyncClient, path: str, field: str) -> None:
    response = await client.get(path)
    assert response.status_code == 422
    assert field in response.text


async def test_an_unavailable_database_is_a_503_with_retry_after(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    store = runtime.store
    assert isinstance(store, MemoryStore)
    store.away = True
    response = await client.get("/orders")
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    store.away = False
