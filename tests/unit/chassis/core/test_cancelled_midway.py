"""A handler is cancelled at each of its awaits: its write may still complete, and its message is redelivered.

Whether the cancelled write completes before, during or after the second attempt, the order changes once.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest

from chassis.bus.memory import MemoryStore
from chassis.core.definition import ServiceDefinition
from chassis.core.pending_message import PendingMessage
from chassis.core.process import MessageProcessor
from chassis.messaging.envelope import Envelope
from chassis.store.protocol import Change
from contracts import orders, products
from contracts.values import Money, OrderLine
from order_svc.service import order_service
from tests.support.pending_message_factory import message_processor, pending

SERVICE: ServiceDefinition = order_service()
ORDER, CUSTOMER = UUID(int=7), UUID(int=8)
AWAITS_MAX = 40


class Sluggish(MemoryStore):
    """A started write completes even if its caller is cancelled;
    it takes `turns` iterations of the event loop.
    """

    def __init__(self, turns: int) -> None:
        super().__init__()
        self.turns = turns
        self.under_way: set[asyncio.Task[bool]] = set()

    async def save(self, changes: Sequence[Change], *, together: bool = False) -> bool:
        writing = asyncio.ensure_future(self._written(changes, together))
        self.under_way.add(writing)
        return await asyncio.shield(writing)

    async def _written(self, changes: Sequence[Change], together: bool) -> bool:
        for _ in range(self.turns):
            await asyncio.sleep(0)
        return await super().save(changes, together=together)


async def placed(processor: MessageProcessor) -> None:
    money = Money(amount_minor=420, currency="EUR")
    place = orders.PlaceOrder(
        order_id=ORDER, customer_id=CUSTOMER, lines=(OrderLine(sku="TEA", quantity=1),), card_token="tok_visa"
    )
    listed = products.ProductListed(sku="TEA", title="Tea", category="tea", price=money, revision=1)
    for message, id_ in ((listed, "listed"), (place, "placed")):
        await processor.process([pending(SERVICE, message, id_)])


@pytest.mark.parametrize("elsewhere", [False, True], ids=["at the same instance", "at another"])
@pytest.mark.parametrize("turns", [0, 1, 3, 8])
async def test_a_zombies_write_and_the_redelivery_write_once(turns: int, elsewhere: bool) -> None:
    cancelled_at = []
    for awaits in range(AWAITS_MAX):
        store = Sluggish(turns)
        processor = message_processor(SERVICE, store)
        await placed(processor)
        first = asyncio.ensure_future(processor.process([cancel()]))
        for _ in range(awaits):
            await asyncio.sleep(0)
        if first.done():
            break
        first.cancel()
        again = cancel()
        await (message_processor(SERVICE, store) if elsewhere else processor).process([again])
        await asyncio.wait(store.under_way)
        cancelled_at.append(awaits)
        await assert_written_once(store, again)
    else:
        pytest.fail("it never came to its end")
    assert len(cancelled_at) >= 3 + turns


async def assert_written_once(store: MemoryStore, again: PendingMessage) -> None:
    order = (await store.load("orders", [str(ORDER)]))[str(ORDER)]
    assert order.version == 2, "one version for the order, one for its cancellation"
    assert order.state is not None and order.state["status"] == "cancelled"
    [(_, handled)] = await store.journey("orders", str(ORDER))
    assert [each.message_id for each in handled] == ["placed", "cancel"]
    stored = await store.emitted("orders", {str(ORDER): ["cancel"]})
    assert isinstance(again.outcome, tuple) and [type(emitted) for emitted in again.outcome] == [Envelope]
    assert again.outcome == stored["cancel"], "the emitted envelopes equal the stored ones, byte for byte"


def cancel() -> PendingMessage:
    return pending(SERVICE, orders.CancelOrder(order_id=ORDER, customer_id=CUSTOMER), "cancel")
