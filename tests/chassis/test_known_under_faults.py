"""The aggregate cache after lost responses and conflicts: an instance that may be stale reads."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from chassis.core import aggregate_cache as known_
from chassis.core.aggregate_cache import AggregateCache
from chassis.core.decision import RunEffect
from chassis.store.protocol import StoreUnavailable
from contracts import inventory, orders, payments
from payment_svc.payment import Authorized
from payment_svc.service import payment_service
from tests.chassis.test_known import CONFIRMED, CUSTOMER, KEY, ORDER, PLACED
from tests.chassis.two_instances import Counted, two


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the caches see, in seconds; a test advances it by changing the list's element."""
    now = [1_000.0]
    loop = SimpleNamespace(time=lambda: now[0])
    monkeypatch.setattr(known_, "asyncio", SimpleNamespace(get_running_loop=lambda: loop))
    return now


async def test_whoever_meets_another_instances_version_reads_for_a_while(clock: list[float]) -> None:
    here, there = two(payment_service())
    await here.hear(PLACED)
    await there.hear(inventory.StockReserved(order_id=ORDER))
    await here.hear(payments.Authorize(order_id=ORDER), id_="a", answer=Authorized("r", PLACED.total))
    tried, _ = here.store.tried, here.reads
    await there.hear(CONFIRMED)
    await here.hear(
        orders.OrderCancelled(
            order_id=ORDER, customer_id=CUSTOMER, reason="customer", after_confirmation=True
        )
    )
    assert here.store.tried - tried == 2, "no write met a newer version"
    clock[0] += known_.BYPASS_S
    await here.hear(PLACED.model_copy(update={"order_id": UUID(int=9)}))
    _ = here.reads
    await here.hear(inventory.StockReserved(order_id=UUID(int=9)))
    assert here.reads == [], "the cache is used again"


async def test_what_was_written_although_others_in_its_group_were_not_is_no_sign_of_another_instance() -> (
    None
):
    here, _ = two(payment_service())
    other = UUID(int=9)
    await here.hear(PLACED.model_copy(update={"order_id": other}), id_="other")
    here.known = AggregateCache()
    await here.hear(PLACED)
    said = await here.hear(
        inventory.StockReserved(order_id=ORDER), PLACED.model_copy(update={"order_id": other}), id_="again"
    )
    assert said == [[payments.Authorize.TYPE], []]
    _ = here.reads
    assert isinstance((await here.hear(payments.Authorize(order_id=ORDER)))[0], RunEffect)
    assert here.reads == []


async def test_after_a_write_whose_answer_was_lost_it_is_read_what_became_of_it() -> None:
    class Lost(Counted):
        async def save(self, changes: Any, *, together: bool = False) -> bool:
            await super().save(changes, together=together)
            raise StoreUnavailable("no answer")

    here, _ = two(payment_service())
    await here.hear(PLACED)
    here.store.__class__ = Lost
    with pytest.raises(StoreUnavailable):
        await here.hear(inventory.StockReserved(order_id=ORDER), id_="reserved")
    here.store.__class__ = Counted
    assert await here.hear(inventory.StockReserved(order_id=ORDER), id_="reserved") == [
        [payments.Authorize.TYPE]
    ]
    assert here.reads == [KEY]
    assert (await here.store.load("payments", [KEY]))[KEY].version == 2


async def test_after_a_write_without_an_answer_also_what_is_only_just_begun_is_read(
    clock: list[float],
) -> None:
    """A store that cannot report a version conflict, only a failure, would otherwise be tried forever."""

    class Mute(Counted):
        async def save(self, changes: Any, *, together: bool = False) -> bool:
            if not await super().save(changes, together=together):
                raise StoreUnavailable("it did not work")
            return True

    here, there = two(payment_service())
    here.store.__class__ = Mute
    await there.hear(PLACED, id_="placed")
    with pytest.raises(StoreUnavailable):
        await here.hear(PLACED, id_="placed")
    clock[0] += known_.BYPASS_S / 2
    assert await here.hear(PLACED, id_="placed") == [[]]
    clock[0] += known_.BYPASS_S
    _ = here.reads
    await here.hear(PLACED.model_copy(update={"order_id": UUID(int=9)}))
    assert here.reads == [], "the cache is used again"
