"""Finding aggregates that are open, recent or named: each test runs in memory,
and on MongoDB with both drivers.
"""

from datetime import timedelta

from tests.conformance.store.test_store import NOW, put
from tests.support.databases import Database


async def test_aggregates_are_found_by_one_of_several_statuses(database: Database) -> None:
    store = await database.store()
    for number, status in enumerate(["placed", "confirmed", "held", "placed", "cancelled"]):
        await put(store, str(number), {"status": status})
    where = {"status": frozenset({"placed", "held"})}
    assert [loaded.key for loaded in await store.find("orders", where, limit=2)] == ["0", "2"]
    assert [loaded.key for loaded in await store.find("orders", where, after="2")] == ["3"]


async def test_pages_of_changes_are_ordered_by_time_and_key(database: Database) -> None:
    store = await database.store()
    times = {"late": 3, "b": 1, "a": 1, "c": 1, "early": 0}
    for key, seconds in times.items():
        await put(store, key, changed_at=NOW + timedelta(seconds=seconds))
    await put(store, "of an older version")
    await put(store, "early", changed_at=NOW + timedelta(seconds=2))
    read: list[str] = []
    since, after = NOW, ""
    while page := await store.changed("orders", since, after=after, limit=2):
        read += [loaded.key for loaded in page]
        assert page[-1].changed_at is not None
        since, after = page[-1].changed_at, page[-1].key
    assert read == ["a", "b", "c", "early", "late"]


async def test_aggregates_of_a_subject_are_found_with_all_kinds(database: Database) -> None:
    store = await database.store()
    for key in ("a", "a:mail", "a:mail:again", "ab", "ab:mail", ".:mail", "c"):
        await put(store, key)
    found = await store.about("orders", ["a", ".", "missing"])
    assert [loaded.key for loaded in found] == [".:mail", "a", "a:mail", "a:mail:again"]
    assert await store.about("orders", []) == []
