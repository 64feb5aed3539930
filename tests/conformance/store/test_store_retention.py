"""What a store keeps of an aggregate's handled messages: each test runs in memory,
and on MongoDB with both drivers.
"""

from dataclasses import replace
from datetime import timedelta

from chassis.store.protocol import HANDLED_MAX, NO_TIMES, UNCHANGED_MAX, HandlingTimes
from tests.conformance.store.test_store import NOW, emitted_messages, handled, load, put
from tests.support.databases import Database


async def test_only_the_newest_handled_ids_are_kept(database: Database) -> None:
    store = await database.store()
    await put(store, "a", handled=[handled(f"0{each}") for each in range(7)], handled_max=5)
    assert (await load(store, "a")).handled == {"02", "03", "04", "05", "06"}
    for each in range(7):
        await put(store, "a", handled=[handled(f"1{each}", emitted_messages())], handled_max=5)
    assert (await load(store, "a")).handled == {"12", "13", "14", "15", "16"}
    assert set(await store.emitted("orders", {"a": ["00", "11", "12", "16"]})) == {"12", "16"}


async def test_unchanging_messages_do_not_evict_changing_ones_from_handled_ids(database: Database) -> None:
    store = await database.store()
    emitted = emitted_messages()
    await put(store, "a", handled=[handled("first", emitted)], handled_max=5)
    for each in range(7):
        await put(
            store,
            "a",
            handled=[replace(handled(f"no {each}", emitted_messages()), changed=False)],
            handled_max=5,
        )
    assert (await load(store, "a")).handled == {"first", *(f"no {each}" for each in range(2, 7))}
    assert await store.emitted("orders", {"a": ["first", "no 1"]}) == {"first": emitted}
    assert "no 6" in await store.emitted("orders", {"a": ["no 6"]})


async def test_the_default_limit_suffices_for_ending_aggregates(database: Database) -> None:
    store = await database.store()
    await put(store, "a", handled=[handled(f"{each:03}") for each in range(HANDLED_MAX + 1)])
    nothing = [replace(handled(f"no {each:03}"), changed=False) for each in range(UNCHANGED_MAX + 1)]
    await put(store, "a", handled=nothing)
    kept = (await load(store, "a")).handled
    assert len(kept) == HANDLED_MAX + UNCHANGED_MAX and not kept & {"000", "no 000"}


async def test_a_journey_is_found_with_all_emitted_messages(database: Database) -> None:
    store = await database.store()
    first = replace(handled("1", emitted_messages(2)), journey="j")
    copy = replace(handled("2"), journey="j", changed=False)
    other, alone = replace(handled("3", emitted_messages()), journey="k"), replace(handled("4"), journey="k")
    await put(store, "a", handled=[first, copy])
    await put(store, "a", handled=[other])
    await put(store, "b", handled=[alone])
    [(loaded, history)] = await store.journey("orders", "j")
    assert (loaded.key, loaded.version) == ("a", 2)
    assert history == [first, copy], "what it did in another journey is not in this one"
    by_key = {loaded.key: history for loaded, history in await store.journey("orders", "k")}
    assert by_key == {"a": [other], "b": [alone]}
    [(_, history)] = await store.journey("orders", "a")
    assert {each.message_id for each in history} == {"1", "2", "3"}, (
        "the aggregate's own key names all of its journeys"
    )
    assert await store.journey("orders", "nobody's") == []


async def test_the_times_of_a_handled_message_are_read_back(database: Database) -> None:
    store = await database.store()
    times = HandlingTimes(
        sent_at=NOW,
        received_at=NOW + timedelta(seconds=1),
        effect_began_at=NOW + timedelta(seconds=2),
        effect_ended_at=NOW + timedelta(seconds=3),
        failed_attempts=2,
        postponed=3,
    )
    full = replace(handled("1"), journey="j", times=times)
    some = replace(handled("2"), journey="j", times=HandlingTimes(received_at=NOW), changed=False)
    await put(store, "a", handled=[full, some, replace(handled("3"), journey="j")])
    [(_, history)] = await store.journey("orders", "j")
    assert {each.message_id: each.times for each in history} == {"1": times, "2": some.times, "3": NO_TIMES}
