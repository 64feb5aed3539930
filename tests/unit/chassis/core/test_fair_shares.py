"""A flood of messages for one aggregate does not delay messages for others."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.core.definition import ServiceDefinition
from chassis.core.inbox import BATCH_MAX, SHARE_MAX
from chassis.messaging.envelope import WireMessage, wrap
from chassis.messaging.message import Command
from chassis.runtime import Runtime
from chassis.store.protocol import HANDLED_MAX, Change, Handled
from contracts import orders, products
from contracts.catalog import CATALOG
from contracts.values import Money, OrderLine
from order_svc.service import order_service
from tests.support.eventually import until
from tests.support.pending_message_factory import NOW
from tests.support.recording_consumer import WAIT_S_MAX

SERVICE: ServiceDefinition = order_service()
HOT, CUSTOMER = UUID(int=7), UUID(int=8)
STRANGERS, OTHERS = 2_000, 20
LINE = OrderLine(sku="TEA", quantity=1)
PRICE = Money(amount_minor=1, currency="EUR")
TEA = products.ProductListed(sku="TEA", title="Tea", category="tea", price=PRICE, revision=1)


class Counting(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.writes: dict[str, int] = {}

    async def save(self, changes: Sequence[Change], *, together: bool = False) -> bool:
        for change in changes:
            self.writes[change.loaded.key] = self.writes.get(change.loaded.key, 0) + 1
        return await super().save(changes, together=together)


def wire_message(command: Command) -> WireMessage:
    return wrap(command, id=str(uuid4()), source="client", now=NOW).wire_message(CATALOG)


def place(order_id: UUID) -> WireMessage:
    return wire_message(
        orders.PlaceOrder(order_id=order_id, customer_id=CUSTOMER, lines=(LINE,), card_token="tok_visa")
    )


async def shop(prefetch: int) -> tuple[MemoryBroker, Counting, Runtime]:
    service = ServiceDefinition(SERVICE.name, SERVICE.aggregates, catalog=CATALOG, prefetch_commands=prefetch)
    broker, store = MemoryBroker(build([SERVICE])), Counting()
    runtime = Runtime(service, MemoryBus(broker, "order_svc"), store)
    await MemoryBus(broker, "product_svc").publish(
        [wrap(TEA, id="tea", source="product_svc", now=NOW).wire_message(CATALOG)]
    )
    await runtime.start()
    await until(lambda: store.writes.get("TEA"), within_s=WAIT_S_MAX)
    await MemoryBus(broker, "client").publish([place(HOT)])
    await until(lambda: placed(broker, HOT), within_s=WAIT_S_MAX)
    return broker, store, runtime


def placed(broker: MemoryBroker, order_id: UUID) -> bool:
    return any(
        p.type == orders.OrderPlaced.TYPE and p.headers["subject"] == str(order_id) for p in broker.tapped
    )


def refused_before(tapped: Sequence[WireMessage], order_id: UUID) -> int:
    """How many messages of strangers were refused before this order was placed."""
    types: list[Any] = [(each.type, each.headers.get("subject")) for each in tapped]
    until_available = types[: types.index((orders.OrderPlaced.TYPE, str(order_id)))]
    return sum(type_ == orders.CancellationRefused.TYPE for type_, _ in until_available)


async def test_orders_waiting_during_a_flood_are_in_the_next_batch() -> None:
    """All are in flight at once: the strangers' messages first, then the others."""
    broker, store, runtime = await shop(prefetch=STRANGERS + OTHERS)
    flood = [wire_message(orders.CancelOrder(order_id=HOT, customer_id=uuid4())) for _ in range(STRANGERS)]
    others = [uuid4() for _ in range(OTHERS)]
    await MemoryBus(broker, "client").publish([*flood, *map(place, others)])
    await until(lambda: all(placed(broker, each) for each in others), within_s=WAIT_S_MAX)
    for order_id in others:
        assert refused_before(broker.tapped, order_id) <= BATCH_MAX + SHARE_MAX
    await until(lambda: not runtime._dispatcher or not runtime._dispatcher.in_flight, within_s=WAIT_S_MAX)
    await runtime.kill()
    assert sum(each.type == orders.CancellationRefused.TYPE for each in broker.tapped) == STRANGERS
    assert store.writes[str(HOT)] == 1, "the refusals are not written"


async def test_a_customer_can_cancel_despite_a_flood_of_foreign_cancellations() -> None:
    broker, _, runtime = await shop(prefetch=200)
    flood = [wire_message(orders.CancelOrder(order_id=HOT, customer_id=uuid4())) for _ in range(STRANGERS)]
    await MemoryBus(broker, "client").publish(
        [*flood, wire_message(orders.CancelOrder(order_id=HOT, customer_id=CUSTOMER))]
    )
    await until(lambda: any(p.type == orders.OrderCancelled.TYPE for p in broker.tapped), within_s=WAIT_S_MAX)
    await runtime.kill()


async def test_an_unstored_rejection_is_repeated_byte_for_byte() -> None:
    """Even by another instance, at another time."""
    broker, _, runtime = await shop(prefetch=200)
    stranger = wire_message(orders.CancelOrder(order_id=HOT, customer_id=uuid4()))
    for times in (1, 2):
        await MemoryBus(broker, "client").publish([stranger])
        emitted: list[WireMessage] = []

        def rejections(emitted: list[WireMessage] = emitted) -> int:
            emitted[:] = [each for each in broker.tapped if each.type == orders.CancellationRefused.TYPE]
            return len(emitted)

        await until(lambda times=times: rejections() == times, within_s=WAIT_S_MAX)  # type: ignore[misc]
    await runtime.kill()
    first, second = emitted
    assert first == second and first.headers["time"] == stranger.headers["time"]


async def test_an_oversized_order_is_pruned_by_the_next_foreign_message() -> None:
    """Otherwise each message of a stranger would read everything that earlier ones have left."""
    broker, store, runtime = await shop(prefetch=200)
    [loaded] = (await store.load("orders", [str(HOT)])).values()
    assert loaded.state is not None
    many = [Handled(f"old-{n}", orders.CancelOrder.TYPE, NOW, ("placed", "placed"), ()) for n in range(3_000)]
    assert await store.save([Change(loaded, loaded.state, many, handled_max=len(many))])
    for _ in range(2):
        await MemoryBus(broker, "client").publish(
            [wire_message(orders.CancelOrder(order_id=HOT, customer_id=uuid4()))]
        )
    await until(
        lambda: sum(p.type == orders.CancellationRefused.TYPE for p in broker.tapped) == 2,
        within_s=WAIT_S_MAX,
    )
    await runtime.kill()
    [pruned] = (await store.load("orders", [str(HOT)])).values()
    assert len(pruned.handled) <= HANDLED_MAX + 1 and pruned.version == loaded.version + 2
