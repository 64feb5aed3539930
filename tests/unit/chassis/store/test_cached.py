"""When CachedStore reads although it has a version, and what it keeps."""

import asyncio
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from chassis.bus.memory import MemoryStore
from chassis.core.decision import RunEffect
from chassis.store import cached
from chassis.store.cached import CachedStore, SaveResult
from chassis.store.protocol import UNCHANGED_MAX, Change, Handled, Loaded, StoreUnavailable
from contracts import inventory, orders, payments
from inventory_svc.service import inventory_service
from notification_svc.service import notification_service
from order_svc.service import order_service
from payment_svc.payment import Authorized
from payment_svc.service import payment_service
from tests.support.pending_message_factory import NOW
from tests.support.two_instances import CONFIRMED, CUSTOMER, KEY, ORDER, PLACED, Counted, two


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the caches see, in seconds; a test advances it by changing the list's element."""
    now = [1_000.0]
    loop = SimpleNamespace(time=lambda: now[0])
    monkeypatch.setattr(cached, "asyncio", SimpleNamespace(get_running_loop=lambda: loop))
    return now


async def test_a_version_conflict_bypasses_the_cache_for_a_while(clock: list[float]) -> None:
    here, there = two(payment_service())
    await here.deliver(PLACED)
    await there.deliver(inventory.StockReserved(order_id=ORDER))
    await here.deliver(payments.Authorize(order_id=ORDER), id_="a", response=Authorized("r", PLACED.total))
    tried, _ = here.store.tried, here.reads
    await there.deliver(CONFIRMED)
    await here.deliver(
        orders.OrderCancelled(
            order_id=ORDER, customer_id=CUSTOMER, reason="customer", after_confirmation=True
        )
    )
    assert here.store.tried - tried == 3, "no write met a newer version"
    clock[0] += cached.BYPASS_S
    await here.deliver(PLACED.model_copy(update={"order_id": UUID(int=9)}))
    _ = here.reads
    await here.deliver(inventory.StockReserved(order_id=UUID(int=9)))
    assert here.reads == [], "the cache is used again"


async def test_a_redelivery_does_not_bypass_the_cache() -> None:
    here, _ = two(payment_service())
    await here.deliver(PLACED, id_="placed")
    here.empty_cache()
    await here.deliver(PLACED, id_="placed")
    _ = here.reads
    await here.deliver(inventory.StockReserved(order_id=ORDER))
    assert here.reads == []


async def test_a_later_message_for_a_new_key_keeps_the_cache() -> None:
    here, _ = two(payment_service())
    await here.deliver(inventory.StockReserved(order_id=ORDER))
    here.empty_cache()
    assert await here.deliver(PLACED) == [[payments.Authorize.TYPE]]
    _ = here.reads
    assert isinstance((await here.deliver(payments.Authorize(order_id=ORDER)))[0], RunEffect)
    assert here.reads == []


async def test_a_partly_failed_batch_keeps_the_cache() -> None:
    here, _ = two(payment_service())
    other = UUID(int=9)
    await here.deliver(PLACED.model_copy(update={"order_id": other}), id_="other")
    here.empty_cache()
    await here.deliver(PLACED)
    emitted = await here.deliver(
        inventory.StockReserved(order_id=ORDER), PLACED.model_copy(update={"order_id": other}), id_="again"
    )
    assert emitted == [[payments.Authorize.TYPE], []]
    _ = here.reads
    assert isinstance((await here.deliver(payments.Authorize(order_id=ORDER)))[0], RunEffect)
    assert here.reads == []


async def test_after_an_unanswered_write_the_aggregate_is_read() -> None:
    class Lost(Counted):
        async def save(self, changes: Any, *, together: bool = False) -> bool:
            await super().save(changes, together=together)
            raise StoreUnavailable("no answer")

    here, _ = two(payment_service())
    await here.deliver(PLACED)
    here.store.__class__ = Lost
    with pytest.raises(StoreUnavailable):
        await here.deliver(inventory.StockReserved(order_id=ORDER), id_="reserved")
    here.store.__class__ = Counted
    assert await here.deliver(inventory.StockReserved(order_id=ORDER), id_="reserved") == [
        [payments.Authorize.TYPE]
    ]
    assert here.reads == [KEY]
    assert (await here.store.load("payments", [KEY]))[KEY].version == 2


async def test_after_an_unanswered_write_new_aggregates_are_read(
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
    await there.deliver(PLACED, id_="placed")
    with pytest.raises(StoreUnavailable):
        await here.deliver(PLACED, id_="placed")
    clock[0] += cached.BYPASS_S / 2
    assert await here.deliver(PLACED, id_="placed") == [[]]
    clock[0] += cached.BYPASS_S
    _ = here.reads
    await here.deliver(PLACED.model_copy(update={"order_id": UUID(int=9)}))
    assert here.reads == [], "the cache is used again"


async def test_the_cache_holds_the_newest_aggregates_up_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached, "AGGREGATES_MAX", 3)
    store = Counted()
    keys = [str(number) for number in range(5)]
    await store.save([Change(Loaded("payments", key), {}) for key in keys])
    here = CachedStore(store, {"payments"})
    for key in keys:
        await here.load("payments", [key])
    found = await here.load("payments", keys)
    assert [key for key, loaded in found.items() if loaded.from_cache] == ["2", "3", "4"]


async def test_an_unanswered_write_bypasses_the_cache_of_its_kind(clock: list[float]) -> None:
    """While a database fails over, more than one write is unanswered, and may still arrive."""

    class Unanswered(Counted):
        async def save(self, changes: Any, *, together: bool = False) -> bool:
            raise StoreUnavailable("no answer")

    here, _ = two(payment_service())
    await here.deliver(PLACED)
    here.store.__class__ = Unanswered
    with pytest.raises(StoreUnavailable):
        await here.deliver(PLACED.model_copy(update={"order_id": UUID(int=9)}))
    here.store.__class__ = Counted
    await here.deliver(inventory.StockReserved(order_id=ORDER))
    assert here.reads == [KEY]
    clock[0] += cached.BYPASS_S
    await here.deliver(payments.Authorize(order_id=ORDER), id_="a", response=Authorized("r", PLACED.total))
    _ = here.reads
    await here.deliver(CONFIRMED)
    assert here.reads == [], "the cache is used again"


async def test_a_redelivered_message_is_looked_up_in_the_database() -> None:
    here, _ = two(payment_service())
    await here.deliver(PLACED, id_="placed")
    await here.deliver(inventory.StockReserved(order_id=ORDER), id_="reserved")
    assert here.reads == []
    assert await here.deliver(inventory.StockReserved(order_id=ORDER), id_="reserved") == [
        [payments.Authorize.TYPE]
    ]
    assert here.reads == [KEY]


async def test_a_cancelled_write_leaves_no_cached_version() -> None:
    class Stuck(Counted):
        async def save(self, changes: Any, *, together: bool = False) -> bool:
            await super().save(changes, together=together)
            await asyncio.get_running_loop().create_future()
            return True

    here, _ = two(payment_service())
    await here.deliver(PLACED)
    here.store.__class__ = Stuck
    handling = asyncio.ensure_future(here.deliver(inventory.StockReserved(order_id=ORDER), id_="reserved"))
    await asyncio.wait([handling], timeout=0.05)
    handling.cancel()
    await asyncio.wait([handling])
    here.store.__class__ = Counted
    tried = here.store.tried
    assert await here.deliver(inventory.StockReserved(order_id=ORDER), id_="reserved") == [
        [payments.Authorize.TYPE]
    ]
    assert here.reads == [KEY] and here.store.tried == tried, "it was read at once, and not written again"


async def test_a_late_read_does_not_displace_a_later_write() -> None:
    class Slow(Counted):
        release = asyncio.Event()

        async def load(self, kind: str, keys: Collection[str]) -> dict[str, Loaded]:
            found = await super().load(kind, keys)
            await self.release.wait()
            return found

    here, _ = two(payment_service())
    await here.deliver(PLACED)
    here.store.__class__ = Slow
    here.cached = CachedStore(here.store, here.service.cached_kinds)
    reading = asyncio.ensure_future(here.cached.load("payments", [KEY]))
    await asyncio.sleep(0.01)
    [before] = (await MemoryStore.load(here.store, "payments", [KEY])).values()
    assert await here.cached.save([Change(before, {"status": "new"})]) is SaveResult.WRITTEN
    Slow.release.set()
    assert (await reading)[KEY].version == 1
    assert (await here.cached.load("payments", [KEY]))[KEY].version == 2


async def test_a_bypassed_kind_is_neither_cached_nor_assumed_new(clock: list[float]) -> None:
    class Unanswered(Counted):
        async def save(self, changes: Any, *, together: bool = False) -> bool:
            raise StoreUnavailable("no answer")

    here = CachedStore(store := Unanswered(), {"payments"})
    with pytest.raises(StoreUnavailable):
        await here.save([Change(Loaded("payments", KEY), {})])
    for _ in range(2):
        assert not (await here.load("payments", ["9"], probably_new=["9"]))["9"].from_cache
    clock[0] += cached.BYPASS_S
    await here.load("payments", ["9"])
    assert store.read == ["9", "9", "9"]


async def test_an_aggregate_with_possibly_pruned_ids_is_read() -> None:
    here = CachedStore(store := Counted(), {"payments"})
    many = [Handled(str(number), "type", NOW, ("", ""), ()) for number in range(UNCHANGED_MAX + 1)]
    assert await here.save([Change(Loaded("payments", KEY), {})]) is SaveResult.WRITTEN
    [begun] = (await here.load("payments", [KEY])).values()
    assert begun.from_cache and await here.save([Change(begun, {}, many)]) is SaveResult.WRITTEN
    assert (await here.load("payments", [KEY]))[KEY].version == 2 and store.read == [KEY]


async def test_an_unchecked_decision_on_a_cached_version_writes_nothing() -> None:
    here = CachedStore(store := Counted(), {"payments"})
    await here.save([Change(Loaded("payments", KEY), {})])
    [cached_version] = (await here.load("payments", [KEY])).values()
    other = Change(Loaded("payments", "9"), {})
    assert await here.save([other], read_set=[cached_version]) is SaveResult.UNCHECKED
    assert (await store.load("payments", ["9"]))["9"].version == 0
    assert await here.save([], read_set=(await here.load("payments", [KEY])).values()) is SaveResult.WRITTEN
    assert await here.save([other]) is SaveResult.WRITTEN
    assert await here.save([other]) is SaveResult.CONFLICT


async def test_other_kinds_are_read_each_time() -> None:
    here = CachedStore(store := Counted(), {"payments"})
    for _ in range(2):
        await here.load("prices", ["TEA"])
    assert store.read == ["TEA", "TEA"]


async def test_unchecked_and_pruned_kinds_are_not_cached() -> None:
    assert order_service().cached_kinds == {"orders"}
    assert inventory_service().cached_kinds == {"corrections", "reservations", "receipts", "shelves"}
    assert notification_service().cached_kinds == {"mails"}
