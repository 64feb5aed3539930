"""What a store keeps of leases: each test runs in memory, and on MongoDB with both drivers."""

from datetime import timedelta

from chassis.store.lease import Lease
from chassis.store.protocol import Change
from tests.conformance.store.test_store import NOW, load, put
from tests.support.databases import Database


async def test_a_lease_is_stored_until_a_write_ends_it(database: Database) -> None:
    store = await database.store()
    lease, renewed = Lease("holder", NOW), Lease("holder", NOW + timedelta(seconds=10))
    for each in (lease, lease, renewed, None, None, lease):
        await put(store, "a", lease=each)
        assert (await load(await database.store(), "a")).lease == each
    taken = await load(store, "b")
    assert await store.save([Change(taken, {"status": "new"}, lease=lease)])
    assert not await store.save([Change(taken, {"status": "new"}, lease=renewed)])
    assert (await load(store, "b")).lease == lease
