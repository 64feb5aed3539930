"""A command over HTTP is executed once, even if the result of its write is lost while many others write."""

from collections.abc import Sequence
from typing import Any

import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.core.execute import execute, load_state
from chassis.runtime import Runtime
from chassis.store.protocol import HANDLED_MAX, Change, WriteConflicts
from contracts.catalog import CATALOG
from gateway.basket.aggregates import BASKETS
from gateway.basket.basket import AddItem, Basket, BasketCommand, BasketItem, SetQuantity, decide
from gateway.service import gateway_service
from order_svc.service import order_service

KEY = "user/1"
TEA = AddItem(BasketItem("TEA", 1))


class LosesTheResponse(MemoryStore):
    """Writes the first change but reports its outcome as unknown; then `others` change the aggregate too."""

    def __init__(self, aggregate: Aggregate[Any], others: Sequence[BasketCommand]) -> None:
        super().__init__()
        self._aggregate = aggregate
        self._others = others
        self.lost = False

    async def save(self, changes: Sequence[Change], *, together: bool = False) -> bool:
        written = await super().save(changes, together=together)
        if self.lost:
            return written
        self.lost = True
        for each in self._others:
            await execute(runtime_on(self, self._aggregate), self._aggregate, KEY, each)
        return False


def runtime_on(store: MemoryStore, aggregate: Aggregate[Any]) -> Runtime:
    service = ServiceDefinition("gateway", (aggregate,), catalog=CATALOG)
    return Runtime(
        service, MemoryBus(MemoryBroker(build([gateway_service(), order_service()])), "gateway"), store
    )


def with_handled_max(handled_max: int | None) -> Aggregate[Any]:
    return Aggregate("baskets", Basket(), decide, handles=(), handled_max=handled_max)


@pytest.mark.parametrize("others", [4, 5, 6, 60, 300])
@pytest.mark.parametrize("handled_max", [5, 50, None])
async def test_a_lost_response_among_many_changes_duplicates_nothing(
    handled_max: int | None, others: int
) -> None:
    aggregate = with_handled_max(handled_max)
    store = LosesTheResponse(aggregate, [SetQuantity("CUP", 1 + number % 100) for number in range(others)])
    runtime = runtime_on(store, aggregate)
    kept = handled_max or HANDLED_MAX
    if others < kept:
        await execute(runtime, aggregate, KEY, TEA)
    else:  # it cannot tell whether it was written, and says so
        with pytest.raises(WriteConflicts, match="whether this change was written"):
            await execute(runtime, aggregate, KEY, TEA)
    basket: Basket = await load_state(runtime, aggregate, KEY)
    assert next(item.quantity for item in basket.items if item.sku == "TEA") == 1


async def test_basket_changes_are_recognised_among_many_others() -> None:
    store = LosesTheResponse(BASKETS, [SetQuantity("CUP", 1 + number) for number in range(40)])
    decision = await execute(runtime_on(store, BASKETS), BASKETS, KEY, TEA)
    assert [item.quantity for item in decision.state.items if item.sku == "TEA"] == [1]
