"""Finding aggregates that are open, recent or named: each test runs in memory,
and on MongoDB with both drivers.
"""

from datetime import timedelta
from typing import Any

import pytest

from chassis.store.conditions import Between
from chassis.store.protocol import Change, Handled, Loaded, StatusCount
from tests.conformance.store.test_store import NOW, put
from tests.support.databases import Database


async def test_aggregates_are_found_by_one_of_several_statuses(database: Database) -> None:
    store = await database.store()
    for number, status in enumerate(["placed", "confirmed", "held", "placed", "cancelled"]):
        await put(store, str(number), {"status": status})
    where = {"status": frozenset({"placed", "held"})}
    assert [loaded.key for loaded in await store.find("orders", where, limit=2)] == ["0", "2"]
    assert [loaded.key for loaded in await store.find("orders", where, after="2")] == ["3"]


LINES = [{"sku": "TEA", "tags": ["hot", "green"]}, {"sku": "CUP"}]


@pytest.mark.parametrize(
    ("where", "is_found"),
    [
        ({"lines.sku": "CUP"}, True),
        ({"lines.sku": frozenset({"CUP", "POT"})}, True),
        ({"lines.sku": ["CUP", "TEA"]}, True),
        ({"lines.sku": ["CUP", "POT"]}, False),
        ({"lines.tags": "green"}, True),
        ({"lines": {"sku": "CUP"}}, True),
        ({"lines.price": None}, True),
        ({"no.such": None}, True),
        ({"at": Between("2031-05", "2031-06")}, True),
        ({"at": Between("2031-05-06T07")}, True),
        ({"at": Between("2031-05", "2031-05-06")}, False),
        ({"at": Between("2032")}, False),
        ({"number": Between("0")}, False),
        ({"no.such": Between("")}, False),
        ({"tags": (["hot"], frozenset({"green", "black"}), frozenset({"tea"}))}, True),
        ({"tags": (["hot"], frozenset({"green", "black"}), frozenset({"pot"}))}, False),
        ({"tags": (["hot", "cold"], frozenset({"green"}))}, False),
    ],
)
async def test_conditions_hold_for_items_of_lists(
    database: Database, where: dict[str, Any], is_found: bool
) -> None:
    store = await database.store()
    state = {"lines": LINES, "at": "2031-05-06T07:08", "number": 7, "tags": ["hot", "green", "tea"]}
    await put(store, "a", state)
    assert [each.key for each in await store.find("orders", where)] == (["a"] if is_found else [])


async def test_aggregates_are_ordered_by_a_field_page_by_page(database: Database) -> None:
    store = await database.store()
    for key, rank in (("a", "3"), ("b", "1"), ("c", "2"), ("d", "4")):
        await put(store, key, {"rank": rank})
    await put(store, "without")
    where = {"rank": Between("1", "4")}
    pages = [await store.find("orders", where, by="rank", after=after, limit=2) for after in ("", "2")]
    assert [[each.key for each in page] for page in pages] == [["b", "c"], ["a"]]
    newest = await store.find("orders", where, by="rank", after="3", newest_first=True)
    assert [each.key for each in newest] == ["c", "b"]


async def test_aggregates_are_counted_by_a_field(database: Database) -> None:
    store = await database.store()
    for number, (status, category) in enumerate(
        [("on", "tea"), ("off", "tea"), ("on", "tea"), ("on", "cups")]
    ):
        await put(store, str(number), {"status": status, "category": category})
    assert await store.count_by("orders", "category", {"status": "on"}) == {"tea": 2, "cups": 1}
    assert await store.count_by("orders", "category", {"status": "lost"}) == {}


async def test_derived_fields_are_added_to_the_version_that_was_read(database: Database) -> None:
    store = await database.store()
    await put(store, "a", {"status": "new"}, changed_at=NOW)
    await put(store, "b")
    await put(store, "b", {"status": "newer"})
    values = {"a": (1, {"number": "7F"}), "b": (1, {"number": "8F"}), "missing": (1, {"number": "9F"})}
    assert await store.set_derived("orders", values) == 1
    found = {key: (await store.load("orders", [key]))[key] for key in values}
    assert (found["a"].version, found["a"].state) == (1, {"status": "new", "number": "7F"})
    assert found["a"].changed_at == NOW
    assert (found["b"].state, found["missing"].version) == ({"status": "newer"}, 0)


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


async def test_aggregates_in_a_status_are_counted_up_to_a_limit(database: Database) -> None:
    store = await database.store()
    for number, status in enumerate(["placed", "confirmed", "placed", "placed"]):
        await put(store, str(number), {"status": status}, changed_at=NOW + timedelta(seconds=9 - number))
    assert await store.count_in_status("orders", "placed", 10) == StatusCount(3, NOW + timedelta(seconds=6))
    assert await store.count_in_status("orders", "held", 10) == StatusCount(0, None)


async def test_unpublished_aggregates_are_counted_until_they_are_published(database: Database) -> None:
    store = await database.store()
    for key in ("a", "b", "c"):
        handled = Handled("m", "t", at=NOW, status=("", ""), emits=())
        change = Change(Loaded("orders", key), {}, handled=[handled], unpublished=key != "c")
        assert await store.save([change])
    assert await store.count_unpublished("orders", 10) == 2
    assert await store.count_unpublished("orders", 1) == 1
    await store.published("orders", "a", version=1)
    assert await store.count_unpublished("orders", 10) == 1
