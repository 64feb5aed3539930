"""Grouping only saves time: each message of a group has the same outcome as alone."""

from typing import Any
from uuid import UUID, uuid4

from chassis.bus.memory import MemoryStore
from chassis.core.definition import ServiceDefinition
from chassis.core.pending_message import PendingMessage
from chassis.messaging.envelope import Envelope
from chassis.store.protocol import Change, Loaded, StoreRefused
from contracts import inventory, orders, products
from contracts.values import Money, OrderLine
from inventory_svc.service import inventory_service
from order_svc.service import order_service
from tests.support.messages import PLACED, PRICED
from tests.support.pending_message_factory import message_processor, pending

SERVICE: ServiceDefinition = order_service()


def place(order_id: UUID | None = None) -> orders.PlaceOrder:
    lines = (OrderLine(sku="TEA", quantity=1),)
    return orders.PlaceOrder(
        order_id=order_id or uuid4(), customer_id=UUID(int=1), lines=lines, card_token="tok_visa"
    )


async def shop() -> MemoryStore:
    store = MemoryStore()
    await store.start(SERVICE.kinds)
    price = Money(amount_minor=420, currency="EUR")
    await run(
        store,
        pending(
            SERVICE, products.ProductListed(sku="TEA", title="Tea", category="tea", price=price, revision=1)
        ),
    )
    return store


async def run(store: MemoryStore, *works: PendingMessage) -> list[Any]:
    await message_processor(SERVICE, store).process(works)
    return [
        [emitted.type for emitted in w.outcome] if isinstance(w.outcome, tuple) else w.outcome for w in works
    ]


async def test_an_unreadable_state_fails_its_own_message_alone() -> None:
    store = await shop()
    broken = place()
    await store.save([Change(Loaded("orders", str(broken.order_id)), {"status": "a status of the future"})])
    [bad, good] = await run(store, pending(SERVICE, broken), pending(SERVICE, place()))
    assert isinstance(bad, ValueError)
    assert good == [orders.OrderPlaced.TYPE]


async def test_an_unreadable_related_state_fails_its_dependents_only() -> None:
    store = await shop()
    await store.save([Change(Loaded("prices", "COFFEE"), {"revision": "not a number"})])
    coffee = place().model_copy(update={"lines": (OrderLine(sku="COFFEE", quantity=1),)})
    [bad, good] = await run(store, pending(SERVICE, coffee), pending(SERVICE, place()))
    assert isinstance(bad, ValueError) and "revision" in str(bad)
    assert good == [orders.OrderPlaced.TYPE]


async def test_an_unexpected_message_fails_alone() -> None:
    store = await shop()
    [bad, good] = await run(
        store, pending(SERVICE, orders.DeadlinePassed(order_id=uuid4())), pending(SERVICE, place())
    )
    assert "no rule for DeadlinePassed" in str(bad)
    assert good == [orders.OrderPlaced.TYPE]


async def test_a_document_that_the_store_refuses_fails_alone() -> None:
    unwelcome = place()

    class Picky(MemoryStore):
        async def save(self, changes: Any, *, together: bool = False) -> bool:
            if any(change.loaded.key == str(unwelcome.order_id) for change in changes):
                raise StoreRefused("too large")
            return await super().save(changes, together=together)

    store = await shop()
    store.__class__ = Picky
    [bad, good] = await run(store, pending(SERVICE, unwelcome), pending(SERVICE, place()))
    assert isinstance(bad, StoreRefused)
    assert good == [orders.OrderPlaced.TYPE]


async def test_duplicates_in_a_batch_and_later_emit_the_same_messages() -> None:
    store, command = await shop(), place()
    first, second = pending(SERVICE, command, "m-1"), pending(SERVICE, command, "m-1")
    await run(store, first, second)
    later = pending(SERVICE, command, "m-1")
    await run(store, later)
    assert isinstance(first.outcome, tuple) and all(
        isinstance(emitted, Envelope) for emitted in first.outcome
    )
    assert first.outcome == second.outcome == later.outcome
    assert (await store.load("orders", [str(command.order_id)]))[str(command.order_id)].version == 1


async def test_messages_for_one_aggregate_in_a_batch_are_one_write() -> None:
    store, command = await shop(), place()
    cancel = orders.CancelOrder(order_id=command.order_id, customer_id=command.customer_id)
    outcomes = await run(store, pending(SERVICE, command), pending(SERVICE, cancel))
    assert outcomes == [[orders.OrderPlaced.TYPE], [orders.OrderCancelled.TYPE]]
    loaded = (await store.load("orders", [str(command.order_id)]))[str(command.order_id)]
    assert (loaded.version, len(loaded.handled)) == (1, 2)


async def test_a_decision_sees_related_states_changed_by_its_batch() -> None:
    service, store = inventory_service(), MemoryStore()
    await store.start(service.kinds)
    processor = message_processor(service, store)
    received = inventory.ReceiveStock(receipt_id=uuid4(), sku=PRICED[0].sku, quantity=PRICED[0].quantity)
    await processor.process([pending(service, received)])
    placed = [PLACED.model_copy(update={"order_id": uuid4(), "lines": PRICED[:1]}) for _ in range(2)]
    batch = [pending(service, message) for message in placed]
    await processor.process(batch)
    outcomes = [
        [emitted.type for emitted in each.outcome] for each in batch if isinstance(each.outcome, tuple)
    ]
    assert outcomes == [[inventory.StockReserved.TYPE], [inventory.StockRejected.TYPE]]


async def test_after_a_version_conflict_the_newer_version_is_decided_on() -> None:
    store, command = await shop(), place()
    await run(store, pending(SERVICE, command))
    cancel = orders.CancelOrder(order_id=command.order_id, customer_id=command.customer_id)

    class Beaten(MemoryStore):
        beaten = False

        async def save(self, changes: Any, *, together: bool = False) -> bool:
            if not self.beaten:
                self.beaten = True
                await run(store, pending(SERVICE, orders.DeadlinePassed(order_id=command.order_id)))
            return await super().save(changes, together=together)

    store.__class__ = Beaten
    [emitted] = await run(store, pending(SERVICE, cancel))
    assert emitted == []  # the deadline came first, so nothing was left to cancel
