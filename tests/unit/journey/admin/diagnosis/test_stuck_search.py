"""`journey stuck` reads open and recent orders of the services, and the history only if requested."""

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.messaging.envelope import Envelope, wrap
from chassis.messaging.message import Message
from chassis.runtime import Runtime
from chassis.store.protocol import Change, Handled
from chassis.web import app
from contracts import orders, payments
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.diagnosis.pending_messages import KEPT
from journey.admin.diagnosis.snapshot import NO_RESPONSE, ShopSnapshot
from journey.admin.diagnosis.stuck import StuckOrder
from journey.admin.diagnosis.stuck_dead_letters import DeadLetterStream
from journey.admin.diagnosis.stuck_search import Search
from journey.admin.registry import SERVICES, shop_topology
from tests.support.messages import CONFIRMED, PLACED
from tests.support.stuck_order_fixtures import dead_letter

NOW = datetime(2031, 5, 6, 12, 0, tzinfo=UTC)
BEFORE = NOW - timedelta(minutes=1)
ALL = [service for service, kinds in KEPT.items() if kinds]


@dataclass
class FakeServices(httpx.AsyncBaseTransport):
    """Fake services. `reported`: the keys of all handling records that were returned."""

    stores: dict[str, MemoryStore] = field(default_factory=dict)
    apps: dict[str, httpx.ASGITransport] = field(default_factory=dict)
    reported: list[str] = field(default_factory=list)
    breaks: str = ""

    async def open(self) -> None:
        for name in ALL:
            self.stores[name] = MemoryStore()
            runtime = Runtime(
                SERVICES[name](), MemoryBus(MemoryBroker(shop_topology()), name), self.stores[name]
            )
            await runtime.store.start(runtime.service.kinds)
            self.apps[name] = httpx.ASGITransport(app.create_app(runtime, None))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == self.breaks and "after" in request.url.params:
            raise httpx.ReadError("broken off")
        response = await self.apps[request.url.host].handle_async_request(request)
        await response.aread()
        self.reported += [record["key"] for record in response.json()]
        return response

    async def put(
        self, service: str, kind: str, key: str, status: str, *, handled_ids: Iterable[str] = (),
        emits: Message | None = None, ago: timedelta = timedelta(minutes=10), deadline: bool = False,
    ) -> None:  # fmt: skip
        [loaded] = (await self.stores[service].load(kind, [key])).values()
        at = NOW - ago
        emitted: tuple[Envelope, ...] = ()
        if emits is not None:
            emitted = (wrap(emits, id=f"{emits.TYPE} {key}", source=service, now=at),)
        handled = [
            Handled(id_, "x", at, ("", status), emitted) for id_ in (*handled_ids, f"{key} at {service}")
        ][-1:]
        handled += [Handled(id_, "x", at, ("", status), ()) for id_ in handled_ids]
        change = Change(
            loaded, {"status": status}, handled, deadline_at=NOW if deadline else None, changed_at=at
        )
        assert await self.stores[service].save([change])


@pytest.fixture
async def services() -> FakeServices:
    made = FakeServices()
    await made.open()
    return made


def number(count: int) -> str:
    return f"01890a5d-0000-7000-8000-{count:012}"


def about(count: int, message: Message) -> Message:
    return message.model_copy(update={"order_id": UUID(number(count))})


async def confirmed(
    services: FakeServices, count: int, *, ago: timedelta, captured: bool = True, mailed: bool = True
) -> None:
    """An order at rest; or one whose payment, or mail, is missing an event."""
    key, emits = number(count), about(count, CONFIRMED)
    handled_ids = [f"{emits.TYPE} {key}"]
    await services.put("order_svc", "orders", key, "confirmed", emits=emits, ago=ago)
    await services.put("inventory_svc", "reservations", key, "committed", handled_ids=handled_ids, ago=ago)
    status = "captured" if captured else "authorized"
    await services.put(
        "payment_svc", "payments", key, status, handled_ids=handled_ids if captured else [], ago=ago
    )
    if mailed:
        await services.put(
            "notification_svc", "mails", f"{key}:order_confirmed", "sent", handled_ids=handled_ids, ago=ago
        )


def search(
    services: FakeServices, *dead_letters: DeadLetter, everything: bool = False, away: str = ""
) -> Search:
    now = ShopSnapshot(
        {service: f"http://{service}" for service in ALL},
        {away: NO_RESPONSE} if away else {},
        {},
        dead_letters,
    )
    return Search(httpx.AsyncClient(transport=services), now, BEFORE, everything=everything)


async def found(looking: Search) -> list[StuckOrder]:
    return [order async for order in looking.found()]


async def test_the_history_is_not_read(services: FakeServices) -> None:
    for count in range(700):
        await confirmed(services, count, ago=timedelta(days=30))
    await confirmed(services, 700, ago=timedelta(days=40), captured=False)
    looking = search(services)
    [order] = await found(looking)
    assert order.order_id == number(700)
    assert [(each.service, each.message.type) for each in order.awaited] == [
        ("payment_svc", orders.OrderConfirmed.TYPE)
    ]
    assert set(services.reported) == {number(700), f"{number(700)}:order_confirmed"}
    assert looking.compared == 1


async def test_a_recently_lost_message_to_a_finished_aggregate_is_found(services: FakeServices) -> None:
    await confirmed(services, 1, ago=timedelta(minutes=30), mailed=False)
    await confirmed(services, 2, ago=timedelta(minutes=30))
    [order] = await found(search(services))
    assert [(order.order_id, each.service) for each in order.awaited] == [(number(1), "notification_svc")]


@pytest.mark.parametrize("orders_there", [1, 250, 1_100])
async def test_an_old_loss_is_found_by_a_complete_comparison(
    services: FakeServices, orders_there: int
) -> None:
    for count in range(orders_there):
        await confirmed(services, count, ago=timedelta(days=30), mailed=count % 100 != 0)
    assert await found(search(services)) == []
    everything = search(services, everything=True)
    lost = await found(everything)
    assert [order.order_id for order in lost] == [number(count) for count in range(0, orders_there, 100)]
    assert everything.compared == orders_there


async def test_each_stuck_order_is_found_once(services: FakeServices) -> None:
    for count in range(300):
        key, emits = number(count), about(count, PLACED)
        await services.put("order_svc", "orders", key, "placed", emits=emits, deadline=True)
        await services.put("inventory_svc", "reservations", key, "held", handled_ids=[f"{emits.TYPE} {key}"])
        await services.put("payment_svc", "payments", key, "new")
    dead = dead_letter("payment_svc", orders.OrderPlaced, subject=number(7))
    looking = search(services, dead)
    stuck = await found(looking)
    assert sorted(order.order_id for order in stuck) == [number(count) for count in range(300)]
    assert [order.order_id for order in stuck if order.dead_letters] == [number(7)]


async def test_a_handled_dead_letter_is_not_found_by_any_id(services: FakeServices) -> None:
    await confirmed(services, 1, ago=timedelta(days=30))
    capture = dead_letter("payment_svc", payments.Capture, subject=number(1))
    assert [order.order_id for order in await found(search(services, capture))] == [number(1)]
    await services.put(
        "payment_svc", "payments", number(1), "captured", handled_ids=[capture.id], ago=timedelta(days=30)
    )
    assert await found(search(services, capture)) == []


@pytest.mark.parametrize("everything", [False, True])
async def test_an_interrupted_service_is_named_and_makes_no_order_stuck(
    services: FakeServices, everything: bool
) -> None:
    for count in range(700):
        await confirmed(services, count, ago=timedelta(minutes=10))
    services.breaks = "payment_svc"
    looking = search(services, everything=everything)
    assert await found(looking) == []
    assert looking.silent == ["payment_svc"]


async def test_an_unavailable_service_gets_no_request(services: FakeServices) -> None:
    await confirmed(services, 1, ago=timedelta(minutes=10), captured=False)
    del services.apps["payment_svc"]
    looking = search(services, away="payment_svc")
    assert (await found(looking), looking.silent) == ([], ["payment_svc"])


async def test_the_search_can_be_left_in_the_middle(services: FakeServices) -> None:
    for count in range(700):
        await confirmed(services, count, ago=timedelta(minutes=10), captured=False)

    async def first(orders_: AsyncIterator[StuckOrder]) -> StuckOrder:
        return await anext(orders_)

    looking = search(services)
    stream = looking.found()
    assert (await first(stream)).order_id == number(0)
    await stream.aclose()
    assert looking.compared == 10


@pytest.mark.parametrize("everything", [False, True], ids=["recent", "everything"])
async def test_the_first_result_needs_little_work_however_many_are_open(
    services: FakeServices, everything: bool
) -> None:
    for count in range(700):
        await confirmed(services, count, ago=timedelta(minutes=10), captured=False)
    others = Others(
        dead_letter("payment_svc", orders.OrderConfirmed, subject=number(count)) for count in range(700, 900)
    )
    looking = search(services, everything=everything)
    looking._other_dead_letters = others.read
    async with aclosing(looking.found()) as orders_:
        assert (await anext(orders_)).order_id == number(0)
        assert (len(services.reported), others.count) < (150, 1), (
            "handling records and dead letters that were read"
        )
        rest = [order.order_id async for order in orders_]
    assert sorted(rest) == [number(count) for count in range(1, 900)], "each once"
    assert others.count == 200


async def test_an_order_with_later_dead_letters_is_found_once(services: FakeServices) -> None:
    await confirmed(services, 1, ago=timedelta(minutes=10), captured=False)
    others = Others(dead_letter("payment_svc", orders.OrderConfirmed, subject=number(1)) for _ in range(250))
    looking = search(services)
    looking._other_dead_letters = others.read
    assert [order.order_id for order in await found(looking)] == [number(1)]
    assert others.count == 250


class Others:
    """Dead letters that are read after the first results. `count`: how many have been read."""

    def __init__(self, dead_letters: Iterable[DeadLetter]) -> None:
        self._dead_letters_found = list(dead_letters)
        self.count = 0

    async def read(self) -> DeadLetterStream:
        for each in self._dead_letters_found:
            self.count += 1
            yield each
