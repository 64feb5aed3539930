"""Many concurrent messages about one order or one article, at four instances at once.

Nothing is lost or done twice, every message is handled, the work is shared, and the number of conflicts is
bounded.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from chassis.bus.memory import MemoryStore
from chassis.bus.protocol import Bus, Delivery, Receive, Subscription
from chassis.bus.rabbitmq_subscription import PROBATION_S
from chassis.core.definition import ServiceDefinition
from chassis.messaging.envelope import WireMessage
from chassis.runtime import Runtime
from chassis.store.mongodb import MongoStore
from chassis.store.protocol import Loaded, Store
from contracts import inventory, orders, products
from contracts.catalog import CATALOG
from contracts.values import Money, OrderLine
from inventory_svc.service import inventory_service
from journey.devenv.infra.model import Infrastructure
from order_svc.order import CANCEL_REQUESTS_MAX
from order_svc.service import order_service
from tests.support.brokers import Broker
from tests.support.eventually import until
from tests.support.forwarding_bus import ForwardingBus
from tests.support.recording_consumer import WAIT_S_MAX, placed, wrapped

INSTANCES = 4
MESSAGES = 200
CUSTOMERS = 40
WARM_UP = 16
SKU = "TEA"
PER_ORDER = 2  # of every event that `placed` makes
PRICE = Money(amount_minor=420, currency="EUR")

Stores = Callable[[str], Store]


@pytest.fixture
def memory_stores() -> Stores:
    """All instances of a service share one store."""
    return cache(lambda service: MemoryStore())


@pytest.fixture
def mongo_stores(real_infrastructure: Infrastructure, database_prefix: str) -> Stores:
    return lambda service: MongoStore(real_infrastructure.mongo_url, f"{database_prefix}{service}")


@pytest.fixture(
    params=[("in_memory", "memory_stores"), pytest.param(("rabbit", "mongo_stores"), marks=pytest.mark.real)],
    ids=["memory", "real"],
)
def backends(request: pytest.FixtureRequest) -> tuple[Broker, Stores]:
    broker, stores = request.param
    return request.getfixturevalue(broker), request.getfixturevalue(stores)


class Counting(ForwardingBus):
    """Counts what its instance receives, and records what it publishes."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self.received = 0
        self.published: list[WireMessage] = []

    async def publish(self, wire_messages: Sequence[WireMessage]) -> list[Exception | None]:
        self.published += wire_messages
        return await super().publish(wire_messages)

    async def subscribe(self, queue: str, prefetch: int, receive: Receive) -> Subscription:
        def counted(delivery: Delivery) -> None:
            self.received += 1
            receive(delivery)

        return await super().subscribe(queue, prefetch, counted)


class Instances:
    """Several instances of one service, with one database."""

    def __init__(self, service: ServiceDefinition, backends: tuple[Broker, Stores]) -> None:
        self.service = service
        self._broker, self._stores = backends
        self.buses: list[Counting] = []
        self._before = [0] * INSTANCES
        self.runtimes: list[Runtime] = []

    async def start(self) -> None:
        for _ in range(INSTANCES):
            bus = Counting(await self._broker.bus(self.service.name))
            self.buses.append(bus)
            self.runtimes.append(Runtime(self.service, bus, self._stores(self.service.name)))
        await asyncio.gather(*(runtime.start() for runtime in self.runtimes))

    async def stop(self) -> None:
        await asyncio.gather(*(runtime.stop(5) for runtime in self.runtimes))

    @property
    def store(self) -> Store:
        return self.runtimes[0].store

    async def send(self, sender: str, wire_messages: Sequence[WireMessage]) -> None:
        """From two senders at once, so that the instances get their messages at the same time."""
        buses = [await self._broker.bus(sender) for _ in range(2)]
        outcomes = await asyncio.gather(
            *(bus.publish(wire_messages[half::2]) for half, bus in enumerate(buses))
        )
        assert not any(error for errors in outcomes for error in errors)

    async def warmed_up(self, sender: str, wire_messages: Sequence[WireMessage]) -> None:
        """A consumer gets one message at a time until a second after its first one."""
        await self.send(sender, wire_messages)
        await self.settled(len(wire_messages))
        await asyncio.sleep(1.5 * PROBATION_S)
        self._before = [bus.received for bus in self.buses]

    async def settled(self, received: int) -> None:
        """Until so many deliveries have arrived since the start or the warm-up, and all are settled."""
        await until(
            lambda: (
                sum(self.shares) >= received
                and not any(runtime._dispatcher.in_flight for runtime in self.runtimes if runtime._dispatcher)
            ),
            within_s=WAIT_S_MAX,
        )

    @property
    def shares(self) -> list[int]:
        """How many deliveries each instance has received since the start or the warm-up."""
        return [bus.received - before for bus, before in zip(self.buses, self._before, strict=True)]

    @property
    def emitted(self) -> Counter[str]:
        """Wire type -> number of distinct messages that the instances published."""
        types = {each.message_id: each.type for bus in self.buses for each in bus.published}
        return Counter(str(type_) for type_ in types.values())


async def run(
    service: ServiceDefinition,
    backends: tuple[Broker, Stores],
    story: Callable[[Instances], Awaitable[None]],
) -> None:
    instances = Instances(service, backends)
    await instances.start()
    try:
        await story(instances)
    finally:
        await instances.stop()


def conflicts(service: str) -> float:
    return REGISTRY.get_sample_value("journey_write_conflicts_total", {"service": service}) or 0.0


def fairly_shared(shares: Sequence[int], messages: int) -> bool:
    """Each instance has at least half of an equal share."""
    return min(shares) >= messages / INSTANCES / 2


def cancellation(order_id: UUID, customer_id: UUID) -> WireMessage:
    command = orders.CancelOrder(order_id=order_id, customer_id=customer_id)
    return wrapped(command, "client").wire_message(CATALOG)


async def found(store: Store, kind: str, key: str) -> Loaded:
    return (await store.load(kind, [key]))[key]


async def test_a_hot_article_is_sold_exactly_once_per_piece(backends: tuple[Broker, Stores]) -> None:
    """Half of the orders find pieces; every reservation changes the same shelf."""

    async def story(instances: Instances) -> None:
        await instances.warmed_up("order_svc", [placed() for _ in range(WARM_UP)])  # all rejected
        pieces = MESSAGES // 2 * PER_ORDER
        received = inventory.ReceiveStock(receipt_id=uuid4(), sku=SKU, quantity=pieces)
        await instances.send("operator", [wrapped(received, "operator").wire_message(CATALOG)])
        await until(lambda: instances.store.find("shelves"), within_s=WAIT_S_MAX)
        before = conflicts("inventory_svc")
        await instances.send("order_svc", [placed() for _ in range(MESSAGES)])
        await instances.settled(received=1 + MESSAGES)

        shelf = await found(instances.store, "shelves", SKU)
        assert shelf.state == {
            "sku": SKU, "received": pieces, "available": 0, "reserved": pieces, "sold": 0
        }  # fmt: skip
        reservations = await instances.store.find("reservations", limit=2 * MESSAGES)
        statuses = Counter((each.state or {})["status"] for each in reservations)
        assert statuses == {"held": MESSAGES // 2, "rejected": MESSAGES // 2 + WARM_UP}
        assert instances.emitted == {
            inventory.StockReserved.TYPE: MESSAGES // 2,
            inventory.StockRejected.TYPE: MESSAGES // 2 + WARM_UP,
            inventory.StockReceived.TYPE: 1,
        }
        assert fairly_shared(instances.shares, MESSAGES), instances.shares
        assert conflicts("inventory_svc") - before <= INSTANCES * MESSAGES

    await run(inventory_service(), backends, story)


async def test_a_hot_order_ends_once_and_responds_to_every_command(backends: tuple[Broker, Stores]) -> None:
    """Strangers are refused, and one of many cancellations by its customer ends it."""

    async def story(instances: Instances) -> None:
        order_id, customer_id = uuid4(), uuid4()
        await instances.warmed_up("client", [cancellation(uuid4(), uuid4()) for _ in range(WARM_UP)])
        listed = products.ProductListed(sku=SKU, title="Tea", category="tea", price=PRICE, revision=1)
        await instances.send("product_svc", [wrapped(listed, "product_svc").wire_message(CATALOG)])
        await until(lambda: instances.store.find("prices"), within_s=WAIT_S_MAX)
        place = orders.PlaceOrder(
            order_id=order_id,
            customer_id=customer_id,
            lines=(OrderLine(sku=SKU, quantity=1),),
            card_token="tok_visa",
        )
        await instances.send("client", [wrapped(place, "client").wire_message(CATALOG)])
        await instances.settled(received=2)
        before = conflicts("order_svc")
        askers = [customer_id if number % 5 == 0 else uuid4() for number in range(MESSAGES)]
        await instances.send("client", [cancellation(order_id, asker) for asker in askers])
        await instances.settled(received=2 + MESSAGES)

        order = await found(instances.store, "orders", str(order_id))
        assert order.state is not None and order.state["status"] == "cancelled"
        assert instances.emitted == {
            orders.OrderPlaced.TYPE: 1,
            orders.OrderCancelled.TYPE: 1,
            orders.CancellationRefused.TYPE: MESSAGES - askers.count(customer_id),
        }
        assert fairly_shared(instances.shares, MESSAGES), instances.shares
        assert conflicts("order_svc") - before <= INSTANCES * MESSAGES

    await run(order_service(), backends, story)


async def test_a_hot_order_keeps_every_change(backends: tuple[Broker, Stores]) -> None:
    """Cancellations of different customers that arrive before the order all change its document."""

    async def story(instances: Instances) -> None:
        order_id = uuid4()
        askers = [uuid4() for _ in range(CANCEL_REQUESTS_MAX)]
        await instances.send("client", [cancellation(order_id, asker) for asker in askers])
        await instances.settled(received=len(askers))
        order = await found(instances.store, "orders", str(order_id))
        assert {UUID(asker) for asker in (order.state or {})["cancel_asked_by"]} == set(askers)

    await run(order_service(), backends, story)
