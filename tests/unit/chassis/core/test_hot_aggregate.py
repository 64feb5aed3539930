"""Many concurrent messages for one aggregate: all succeed within a few attempts,
and the document does not grow.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.core.definition import ServiceDefinition
from chassis.core.process import SAVES_MAX
from chassis.messaging.envelope import wrap
from chassis.runtime import Runtime
from chassis.store.protocol import Change, WriteConflicts
from contracts import products
from contracts.catalog import CATALOG
from contracts.values import Money
from order_svc.service import order_service
from tests.support.eventually import until
from tests.support.pending_message_factory import NOW, message_processor, pending
from tests.support.recording_consumer import WAIT_S_MAX

SERVICE: ServiceDefinition = order_service()
[PRICES] = [aggregate for aggregate in SERVICE.aggregates if aggregate.kind == "prices"]
MESSAGES, INSTANCES = 200, 4


class Slow(MemoryStore):
    """Leaves time for other writers between a read and its write, and counts the attempted writes."""

    def __init__(self) -> None:
        super().__init__()
        self.tried = 0
        self.written = 0

    async def save(self, changes: Sequence[Change], *, together: bool = False) -> bool:
        self.tried += 1
        await asyncio.sleep(0.001)
        saved = await super().save(changes, together=together)
        self.written += saved
        return saved


def reported_conflicts() -> float:
    return REGISTRY.get_sample_value("journey_write_conflicts_total", {"service": SERVICE.name}) or 0.0


def price(revision: int) -> products.PriceChanged:
    return products.PriceChanged(
        sku="TEA", price=Money(amount_minor=revision, currency="EUR"), revision=revision
    )


async def test_four_instances_write_one_document_within_few_attempts() -> None:
    broker, store = MemoryBroker(build([SERVICE])), Slow()
    instances = [Runtime(SERVICE, MemoryBus(broker, "order_svc"), store) for _ in range(INSTANCES)]
    conflicts = reported_conflicts()
    for instance in instances:
        await instance.start()
    sender = MemoryBus(broker, "product_svc")
    for revision in range(1, MESSAGES + 1):
        await sender.publish(
            [wrap(price(revision), id=str(uuid4()), source="product_svc", now=NOW).wire_message(CATALOG)]
        )
    batchers = [instance._dispatcher for instance in instances]
    await until(
        lambda: not broker.queues["order_svc.events"] and not any(b.in_flight for b in batchers if b),
        within_s=WAIT_S_MAX,
    )
    for instance in instances:
        await instance.kill()
    [document] = await store.find("prices")
    assert document.state is not None and document.state["revision"] == MESSAGES
    assert document.version <= store.tried <= INSTANCES * MESSAGES
    assert reported_conflicts() - conflicts == store.tried - store.written > 0
    assert (
        PRICES.handled_max is not None and len(document.handled) <= 2 * PRICES.handled_max
    )  # half changed nothing
    assert broker.dead("order_svc") == []
    assert not [wire_message for wire_message in broker.tapped if "attempt" in wire_message.headers], (
        "no message needed the retry ladder"
    )


async def test_the_document_does_not_grow_with_its_messages() -> None:
    store, sizes = MemoryStore(), []
    for revision in range(1, MESSAGES + 1):
        await message_processor(SERVICE, store).process([pending(SERVICE, price(revision))])
        [document] = await store.find("prices")
        sizes.append(len(document.handled))
    assert max(sizes) == PRICES.handled_max == sizes[-1]


async def test_repeated_version_conflicts_leave_the_delivery_unsettled() -> None:
    """The delivery stays unsettled, and processing starts again after a pause."""

    class Beaten(Slow):
        async def save(self, changes: Any, *, together: bool = False) -> bool:
            await super().save([], together=together)
            return False

    store, hopeless = Beaten(), pending(SERVICE, price(1))
    with pytest.raises(WriteConflicts):
        await message_processor(SERVICE, store).process([hopeless])
    assert store.tried == SAVES_MAX
