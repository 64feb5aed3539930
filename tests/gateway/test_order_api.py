"""Orders at the door: one for one key, whatever goes wrong in between."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx

from chassis.direct import decide_directly
from contracts import orders
from contracts.envelope import Parcel
from contracts.identity import new_id
from contracts.problem import MEDIA_TYPE
from contracts.roles import Role
from gateway.service import JOURNEYS
from tests.gateway.house import ORDER, GatewayHouse, gateway_settings, place


async def test_an_order_is_taken_and_shown_to_its_owner_at_once() -> None:
    house = GatewayHouse()
    ada = house.program()
    taken = await place(ada, "k1")
    assert taken.status_code == 202, taken.text
    assert taken.headers["Retry-After"] == "1" and "Idempotent-Replayed" not in taken.headers
    shown = await ada.get(taken.headers["Location"])
    assert shown.status_code == 200
    assert shown.json()["state"] == "received"
    [parcel] = house.sent(orders.PlaceOrder)
    assert json.loads(parcel.body)["customer_id"] == str(house.user_id())
    assert parcel.user_id == "gateway"


async def test_fifty_at_once_with_one_key_make_one_order() -> None:
    house = GatewayHouse()
    ada = house.program()
    publish, under_way, not_alone = house.bus.publish, 0, asyncio.Event()

    async def slowly(parcels: Sequence[Parcel]) -> list[Exception | None]:
        nonlocal under_way
        under_way += 1
        if under_way > 1:
            not_alone.set()
        await not_alone.wait()  # so that others come while the first one waits for its confirm
        return await publish(parcels)

    house.bus.publish = slowly  # type: ignore[method-assign]
    answers = await asyncio.gather(*(place(ada, "one-intent") for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(house.sent(orders.PlaceOrder)) > 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert len({(parcel.message_id, parcel.body) for parcel in house.sent(orders.PlaceOrder)}) == 1
    listed = (await ada.get("/api/v1/orders")).json()["items"]
    assert [item["id"] for item in listed] == [answers[0].json()["id"]]
    assert [told["type"] for told in listed[0]["journey"]] == ["received"]


async def test_two_instances_agree_on_the_order_of_a_key() -> None:
    one = GatewayHouse()
    other = GatewayHouse(broker=one.broker, store=one.store, users=one.users)
    clients = [one.program(), other.program()]
    answers = await asyncio.gather(*(place(clients[n % 2], "one-intent") for n in range(20)))
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len({parcel.message_id for parcel in one.sent(orders.PlaceOrder)}) == 1


async def test_a_repeated_key_gets_the_same_answer_and_sends_nothing() -> None:
    house = GatewayHouse()
    ada = house.program()
    first = await place(ada, '"k 1"')
    again = await place(ada, '"k 1"')
    assert again.status_code == 202
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(house.sent(orders.PlaceOrder)) == 1
    bare = await place(ada, "k1")
    assert (await place(ada, '"k1"')).json() == bare.json()  # the quotes are spelling


async def test_a_key_that_was_used_for_something_else_is_refused() -> None:
    house = GatewayHouse()
    ada = house.program()
    await place(ada, "k1")
    for changed in (
        {"card_token": "tok_other"},
        {"lines": [{"sku": "KETTLE-BLUE", "quantity": 2}]},
        {"total_seen": {"amount_minor": 1, "currency": "EUR"}},
    ):
        answer = await place(ada, "k1", **changed)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/key-reused")
    assert len(house.sent(orders.PlaceOrder)) == 1


async def test_a_key_belongs_to_its_user() -> None:
    house = GatewayHouse()
    adas, bobs = await place(house.program(), "k1"), await place(house.program("bob@example.org"), "k1", card_token="t")
    assert adas.status_code == bobs.status_code == 202
    assert adas.json()["id"] != bobs.json()["id"]


async def test_without_a_proper_key_nothing_is_ordered() -> None:
    house = GatewayHouse()
    ada = house.program()
    for headers in ({}, {"Idempotency-Key": ""}, {"Idempotency-Key": "x" * 300}, {"Idempotency-Key": "two words"}):
        answer = await ada.post("/api/v1/orders", json=ORDER, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (400, "/problems/key-missing")
        assert answer.headers["Content-Type"] == MEDIA_TYPE
    assert not house.sent(orders.PlaceOrder)


async def test_nobody_sets_a_price_a_status_or_an_owner() -> None:
    house = GatewayHouse()
    ada = house.program()
    priced = {"sku": "KETTLE-BLUE", "quantity": 1, "price": {"amount_minor": 1, "currency": "EUR"}}
    for changed, pointer in (
        ({"total": {"amount_minor": 1, "currency": "EUR"}}, "#/total"),
        ({"status": "confirmed"}, "#/status"),
        ({"customer_id": str(new_id())}, "#/customer_id"),
        ({"order_id": str(new_id())}, "#/order_id"),
        ({"lines": [priced]}, "#/lines/0/price"),
    ):
        answer = await place(ada, **changed)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["pointer"] == pointer
    for quantity in (0, 101, 1.0, "1", True, None):
        assert (await place(ada, lines=[{"sku": "A", "quantity": quantity}])).status_code == 422
    assert (await place(ada, lines=[])).status_code == 422
    assert (await place(ada, lines=[{"sku": {"$ne": ""}, "quantity": 1}])).status_code == 422
    assert (await place(ada, lines=[{"sku": f"A{n}", "quantity": 1} for n in range(51)])).status_code == 422
    assert not house.sent(orders.PlaceOrder)


async def test_somebody_elses_order_is_not_there() -> None:
    house = GatewayHouse()
    where = (await place(house.program())).headers["Location"]
    bob = house.program("bob@example.org")
    nowhere = await bob.get(f"/api/v1/orders/{new_id()}")
    for answer in (
        await bob.get(where),
        await bob.post(f"{where}/cancellation", headers={"Idempotency-Key": "k"}),
    ):
        assert answer.status_code == nowhere.status_code == 404
        assert {**answer.json(), "instance": ""} == {**nowhere.json(), "instance": ""}
    assert (await bob.get("/api/v1/orders")).json() == {"items": [], "next": None}
    assert not house.sent(orders.CancelOrder)
    assert (await house.program("ops@example.org", Role.STAFF).get(where)).status_code == 200
    assert (await house.client().get(where)).status_code == 401


async def test_a_silent_broker_is_said_quickly_and_the_same_key_makes_one_order_later() -> None:
    house, now = GatewayHouse(publish_s_max=0.05, publish_pause_s=2), 1000.0
    house.house.orders._clock = lambda: now
    ada = house.program()
    listens, arrived = house.bus.publish, 0

    async def silent(parcels: Sequence[Parcel]) -> list[Exception | None]:
        nonlocal arrived
        arrived += 1
        await listens(parcels)  # it has the order, and its confirm is lost
        await asyncio.sleep(60)
        raise AssertionError

    house.bus.publish = silent  # type: ignore[method-assign]
    first = await place(ada, "k1")
    assert first.status_code == 503 and int(first.headers["Retry-After"]) >= 1
    assert first.json()["type"].endswith("#temporary-reduced-capacity")
    refused = await place(ada, "k1")  # now nobody waits for it in vain
    assert refused.status_code == 503 and arrived == 1
    [shown] = (await ada.get("/api/v1/orders")).json()["items"]
    assert shown["state"] == "sending"

    house.bus.publish = listens  # type: ignore[method-assign]
    house.house.orders._settings = gateway_settings()  # an answer that does come may take its time
    now += 2
    again = await place(ada, "k1")
    assert again.status_code == 202
    assert again.json()["id"] == shown["id"]
    assert len({parcel.message_id for parcel in house.sent(orders.PlaceOrder)}) == 1


async def test_a_broker_that_is_away_is_said_too() -> None:
    house = GatewayHouse()
    house.broker.away = True
    assert (await place(house.program())).status_code == 503


async def test_no_crowd_gathers_before_a_slow_broker() -> None:
    house = GatewayHouse(publishing_max=3)
    ada = house.program()
    listens, go_on = house.bus.publish, asyncio.Event()

    async def slow(parcels: Sequence[Parcel]) -> list[Exception | None]:
        await go_on.wait()
        return await listens(parcels)

    house.bus.publish = slow  # type: ignore[method-assign]
    waiting = [asyncio.create_task(place(ada)) for _ in range(10)]
    done, _ = await asyncio.wait(waiting, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 7:
        more, _ = await asyncio.wait(set(waiting) - done, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        assert more
        done |= more
    assert {task.result().status_code for task in done} == {503}
    go_on.set()
    rest = await asyncio.gather(*(set(waiting) - done))
    assert [answer.status_code for answer in rest] == [202] * 3


async def test_an_order_is_not_read_again_unless_there_is_news() -> None:
    house = GatewayHouse()
    ada = house.program()
    where = (await place(ada)).headers["Location"]
    seen = await ada.get(where)
    known = {"If-None-Match": seen.headers["ETag"]}
    assert (await ada.get(where, headers=known)).status_code == 304
    waiting = asyncio.create_task(ada.get(where, headers=known | {"Prefer": "wait=10"}))
    await ada.post(f"{where}/cancellation", headers={"Idempotency-Key": "c1"})
    news = await waiting
    assert news.status_code == 200
    assert [told["type"] for told in news.json()["journey"]] == ["received", "cancellation_requested"]


async def test_a_cancellation_is_asked_for_once_for_each_key() -> None:
    house = GatewayHouse()
    ada = house.program()
    where = (await place(ada)).headers["Location"]

    async def cancel(key: str) -> httpx.Response:
        return await ada.post(f"{where}/cancellation", headers={"Idempotency-Key": key})

    first, again = await cancel("c1"), await cancel("c1")
    assert first.status_code == again.status_code == 202
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(house.sent(orders.CancelOrder)) == 1
    assert (await cancel("c2")).status_code == 202
    assert len(house.sent(orders.CancelOrder)) == 2
    assert (await ada.post(f"{where}/cancellation")).status_code == 400


async def test_what_has_ended_cannot_be_cancelled() -> None:
    house = GatewayHouse()
    ada = house.program()
    placed = await place(ada)
    cancelled = await ada.post(f"{placed.headers['Location']}/cancellation", headers={"Idempotency-Key": "c1"})
    await _told(house, orders.OrderDispatched(order_id=placed.json()["id"], customer_id=house.user_id()))
    late = await ada.post(f"{placed.headers['Location']}/cancellation", headers={"Idempotency-Key": "c2"})
    assert (late.status_code, late.json()["type"]) == (409, "/problems/too-late")
    replayed = await ada.post(f"{placed.headers['Location']}/cancellation", headers={"Idempotency-Key": "c1"})
    assert replayed.status_code == cancelled.status_code == 202


async def test_orders_come_page_by_page_the_newest_first() -> None:
    house = GatewayHouse()
    ada = house.program()
    placed = [(await place(ada)).json()["id"] for _ in range(5)]
    listed: list[str] = []
    where: str | None = "/api/v1/orders?limit=2"
    while where is not None:
        page = await ada.get(where)
        listed += [item["id"] for item in page.json()["items"]]
        where = page.links["next"]["url"] if "next" in page.links else None
    assert listed == placed[::-1]


async def _told(house: GatewayHouse, event: Any) -> None:
    await decide_directly(house.runtime, JOURNEYS, event.subject, event)


async def test_what_could_be_read_in_two_ways_is_not_read() -> None:
    house = GatewayHouse()
    ada = house.program()
    line = '"lines": [{"sku": "KETTLE-BLUE", "quantity": 1}]'
    for body in (
        f'{{{line}, "card_token": "tok_visa", "card_token": "tok_other"}}',
        '{"lines": [{"sku": "KETTLE-BLUE", "quantity": 1, "quantity": 100}], "card_token": "tok_visa"}',
        f'{{{line}, "card_token": NaN}}',
        f'{{{line}, "card_token": "tok_visa"',
        "[" * 30_000,
        "1" * 10_000,
    ):
        answer = await ada.post(
            "/api/v1/orders", content=body, headers={"Idempotency-Key": "k", "Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["type"]) == (400, "/problems/malformed"), body[:80]
    assert not house.sent(orders.PlaceOrder)
