"""The doctor with fake services: which violations it finds, and what it reads to find them."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.runtime import Routes, Runtime
from chassis.store.protocol import Change
from chassis.web import app
from inventory_svc import api as inventory_api
from journey.admin import paging
from journey.admin.diagnosis import doctor
from journey.admin.diagnosis.pending_messages import KEPT
from journey.admin.diagnosis.promises import (
    AT_REST,
    BROKER,
    DEAD,
    HELD,
    LEDGER,
    MAILS,
    MONEY,
    SHELVES,
    STOCK,
    Finding,
)
from journey.admin.registry import SERVICES, shop_topology
from notification_svc import api as mails_api
from order_svc import api as order_api
from payment_svc import api as payment_api
from payment_svc.simulator import LEDGER as BOOK
from payment_svc.simulator import SimulatedProvider

Json = dict[str, Any]
ADDRESSES = {service: f"http://{service}" for service in KEPT}
STORES = ("order_svc", "inventory_svc", "payment_svc", "notification_svc")
NOW = datetime.now(UTC)
SKU = "TEA-GREEN"
_ONE = ("/orders", "/payments", "/reservations/")
EUR = {"amount_minor": 500, "currency": "EUR"}


def number(count: int) -> str:
    return f"01890a5d-0000-7000-8000-{count:012}"


class FakeServices(httpx.AsyncBaseTransport):
    """`asked`: the requested paths; `given`: the number of items in the responses."""

    def __init__(self) -> None:
        self.stores = {name: MemoryStore() for name in STORES}
        self.book = MemoryStore()
        self.ledger = True
        self.asked: list[str] = []
        self.given = 0
        self.apps: dict[str, httpx.ASGITransport] = {}

    async def open(self) -> None:
        routes: dict[str, Routes] = {
            "order_svc": order_api.routes,
            "inventory_svc": inventory_api.routes,
            "payment_svc": self._payment_routes,
            "notification_svc": mails_api.routes,
        }
        for name, store in self.stores.items():
            runtime = Runtime(SERVICES[name](), MemoryBus(MemoryBroker(shop_topology()), name), store)
            await store.start(runtime.service.kinds)
            self.apps[name] = httpx.ASGITransport(app.create_app(runtime, routes[name](runtime)))

    def _payment_routes(self, runtime: Runtime) -> Any:
        ledger = payment_api.ledger_routes(SimulatedProvider(self.book, latency_ms=1))
        return app.flatten_routers(payment_api.routes(runtime), *([ledger] if self.ledger else []))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        response = await self.apps[request.url.host].handle_async_request(request)
        await response.aread()
        found = response.json()
        self.given += len(
            found["items"] if "items" in found else found if isinstance(found, list) else [found]
        )
        return response

    async def put(self, service: str, kind: str, key: str, state: Json, ago: timedelta) -> None:
        store = self.book if kind == BOOK else self.stores[service]
        [loaded] = (await store.load(kind, [key])).values()
        assert await store.save([Change(loaded, state, changed_at=NOW - ago)])

    async def confirmed(self, count: int, ago: timedelta = timedelta(days=30), **but: Any) -> str:
        """An order of one piece with all its documents; `but`: documents that differ. None: missing."""
        key = number(count)
        line = {"sku": SKU, "quantity": 1}
        states: Mapping[str, tuple[str, str, Json]] = {
            "orders": ("order_svc", key, {"status": "confirmed", "order_id": key, "total": EUR,
                                          "lines": [{**line, "price": EUR}]}),
            "reservations": ("inventory_svc", key, {"status": "committed", "lines": [line]}),
            "payments": ("payment_svc", key, {"status": "captured", "order_id": key, "total": EUR}),
            "mails": ("notification_svc", f"{key}:order_confirmed", {"status": "sent", "about": key,
                                                                     "kind": "order_confirmed"}),
            BOOK: ("payment_svc", f"{key}:capture", {"effect": "capture", "asked": "", "reference": "r",
                                                     "amount": EUR, "outcome": "captured"}),
        }  # fmt: skip
        for kind, (service, name, state) in states.items():
            change = but.get(kind, {})
            if change is not None:
                await self.put(service, kind, name, state | change, ago)
        return key

    async def shelf(self, sold: int, reserved: int = 0, received: int | None = None) -> None:
        state = {"sku": SKU, "available": 5, "reserved": reserved, "sold": sold}
        total = 5 + reserved + sold if received is None else received
        await self.put("inventory_svc", "shelves", SKU, {**state, "received": total}, timedelta(0))


@asynccontextmanager
async def _services(*, ledger: bool = True) -> AsyncIterator[FakeServices]:
    made = FakeServices()
    made.ledger = ledger
    await made.open()
    yield made


@pytest.fixture
async def services() -> AsyncIterator[FakeServices]:
    async with _services() as made:
        yield made


async def examined(
    services: FakeServices, *, since: datetime | None = None, wait_s: float = 0.0,
    dead: Mapping[str, int] | None = None,
    on_progress: Callable[[doctor.Examination], None] = lambda audit: None,
) -> dict[str, Finding]:  # fmt: skip
    """The violated invariants."""

    async def dead_letters() -> Mapping[str, int]:
        return dead or {}

    async with httpx.AsyncClient(transport=services) as http_:
        found = await doctor.settled(
            http_, ADDRESSES, dead_letters, wait_s=wait_s, since=since, on_progress=on_progress
        )
    assert len(found) == 9
    return {finding.promise: finding for finding in found if not finding.holds}


async def test_a_settled_shop_passes_the_audit_over_many_pages(services: FakeServices) -> None:
    far = []
    for count in range(paging.PAGE + 1):
        await services.confirmed(count)
    await services.shelf(sold=paging.PAGE + 1)
    assert await examined(services, on_progress=lambda audit: far.append(audit.orders)) == {}
    assert far[-1] == paging.PAGE + 1 and len(far) > 1, "it reports its progress"


@pytest.mark.parametrize(
    ("but", "promise", "sentence"),
    [
        ({"orders": {"status": "placed"}}, AT_REST, "awaits stock and payment"),
        ({"reservations": {"status": "released"}}, STOCK, "its goods are released"),
        ({"reservations": None}, STOCK, "its goods are unknown"),
        ({"payments": {"status": "authorized"}}, MONEY, "its payment is authorized"),
        (
            {
                "orders": {"status": "needs_attention"},
                "payments": {"status": "needs_reconciliation", "detail": "2.50"},
            },
            MONEY,
            "is needs_attention, and its payment needs reconciliation: 2.50",
        ),
        ({"payments": None}, MONEY, "its payment is unknown"),
        ({BOOK: {"outcome": "refunded", "effect": "refund"}}, LEDGER, "-500 net at the provider, 500 due"),
        ({BOOK: None}, LEDGER, "0 net at the provider, 500 due"),
        ({"mails": None}, MAILS, "not even queued"),
        ({"mails": {"status": "queued"}}, MAILS, "is queued"),
        ({"orders": {"status": "cancelled"}}, STOCK, "but its goods are committed"),
        ({"orders": {"status": "cancelled"}}, MONEY, "but its payment is captured"),
    ],
    ids=str,
)
@pytest.mark.parametrize("recent", [False, True])
async def test_what_is_wrong_with_one_order_among_others_is_found(
    services: FakeServices, but: Json, promise: str, sentence: str, recent: bool
) -> None:
    for count in range(5):
        await services.confirmed(count)
    key = await services.confirmed(7, timedelta(minutes=1), **but)
    await services.shelf(sold=6)
    broken = await examined(services, since=NOW - timedelta(hours=1) if recent else None)
    assert any(key in each and sentence in each for each in broken[promise].broken), broken


async def test_a_mail_superseded_by_a_missing_one_is_found(services: FakeServices) -> None:
    gave_way = {"status": "superseded", "superseded_by": "order_cancelled"}
    ended: Json = {"orders": {"status": "cancelled"}, "reservations": None, "payments": None, BOOK: None}
    key = await services.confirmed(1, mails=gave_way, **ended)
    newer = {"about": key, "kind": "order_cancelled", "status": "queued"}
    await services.put("notification_svc", "mails", f"{key}:order_cancelled", newer, timedelta(0))
    await services.shelf(sold=0)
    broken = await examined(services)
    superseded = "order_confirmed was superseded by order_cancelled, which is queued"
    assert any(superseded in each for each in broken[MAILS].broken)


@pytest.mark.parametrize("recent", [False, True])
async def test_first_results_come_before_the_history_is_read(services: FakeServices, recent: bool) -> None:
    for count in range(700):
        await services.confirmed(count)
    late = [await services.confirmed(count, payments={"status": "authorized"}) for count in range(700, 720)]
    await services.shelf(sold=720)
    services.given = 0
    early: list[tuple[str, str, int]] = []
    async with httpx.AsyncClient(transport=services) as http_:
        found = await doctor.settled(
            http_, ADDRESSES, _one_dead, wait_s=0, since=NOW - timedelta(hours=1) if recent else None,
            on_early=lambda promise, sentence: early.append((promise, sentence, services.given)),
        )  # fmt: skip
    assert early[0] == (DEAD, "order_svc.dead holds 1", 0), "before any service is asked"
    assert [(promise, sentence) for promise, sentence, _ in early[1:3]] == [(BROKER, ""), (SHELVES, "")]
    orders = [(sentence, given) for promise, sentence, given in early if promise == MONEY]
    assert [key for key in late if key in orders[0][0]] == [late[0]] and orders[0][1] < 300
    assert len(orders) == 5, "each once, and no more of a kind than a person reads"
    assert next(each.count for each in found if each.promise == MONEY) == 20


async def _one_dead() -> Mapping[str, int]:
    return {"order_svc.dead": 1}


async def test_what_is_wrong_with_the_shelves_is_found(services: FakeServices) -> None:
    await services.confirmed(1)
    await services.confirmed(2, reservations={"status": "held"}, orders={"status": "placed"})
    await services.shelf(sold=3, reserved=2, received=7)
    broken = await examined(services)
    assert "3 sold, but confirmed orders took 1" in broken[STOCK].broken[0]
    assert "2 reserved, but reservations hold 1" in broken[HELD].broken[0]
    assert SHELVES in broken
    recent = await examined(services, since=NOW - timedelta(hours=1))
    assert {SHELVES, HELD} <= recent.keys() and STOCK not in recent, (
        "without history no one knows what was sold"
    )


async def test_a_recent_audit_reads_no_history(services: FakeServices) -> None:
    for count in range(700):
        await services.confirmed(count)
    key = await services.confirmed(700, timedelta(minutes=1))
    await services.shelf(sold=0)
    services.asked.clear()
    assert await examined(services, since=NOW - timedelta(hours=1)) == {}
    ids = {
        path.rpartition("/")[2]
        for path in services.asked
        if path.startswith(("/orders", "/payments", "/reservations/"))
    }
    assert ids == {key}
    assert len(services.asked) < 60


@pytest.mark.parametrize("repeated_s", [60.0, -1.0], ids=["all of it", "only the suspects"])
async def test_orders_with_messages_in_flight_are_checked_again(
    services: FakeServices, repeated_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long audit is not repeated as a whole."""
    monkeypatch.setattr(doctor, "_REPEATED_S", repeated_s)
    await services.confirmed(2)
    await services.confirmed(1)
    await services.shelf(sold=2)
    payments = services.stores["payment_svc"]._kinds["payments"]
    paid = dict(payments)
    del payments[number(1)]
    looks = []

    def arrives(audit: doctor.Examination) -> None:
        looks.append(audit.broken)
        payments.update(paid)

    assert await examined(services, wait_s=30, on_progress=arrives) == {}
    assert looks[0] == 1 and looks[-1] == 0
    assert len(looks) == (4 if repeated_s > 0 else 3)


async def test_the_audit_works_without_the_providers_ledger() -> None:
    async with _services(ledger=False) as services:
        await services.confirmed(1)
        await services.shelf(sold=1)
        assert await examined(services) == {}


async def test_many_wrong_orders_are_counted_and_the_first_kept(services: FakeServices) -> None:
    for count in range(300):
        await services.confirmed(count, payments=None)
    await services.shelf(sold=300)
    broken = await examined(services, dead={"order_svc": 2})
    assert broken[MONEY].count == 300 and len(broken[MONEY].broken) == 100
    assert broken[DEAD].broken == ("order_svc holds 2",)
