"""The orders API: one order per idempotency key, whatever fails in between."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from chassis.core.execute import execute
from chassis.messaging.envelope import WireMessage
from chassis.messaging.identity import new_id
from chassis.telemetry import span_ids
from chassis.telemetry.tracing import TracingState
from chassis.web.problems import MEDIA_TYPE
from contracts import orders
from contracts.roles import Role
from gateway.orders.aggregates import TIMELINES
from tests.support.shops.gateway import ORDER, GatewayFixture, gateway_settings, place_order


async def test_an_order_is_accepted_and_visible_at_once() -> None:
    gateway = GatewayFixture()
    ada = gateway.program()
    open_streams = await place_order(ada, "k1")
    assert open_streams.status_code == 202, open_streams.text
    assert open_streams.headers["Retry-After"] == "1" and "Idempotent-Replayed" not in open_streams.headers
    shown = await ada.get(open_streams.headers["Location"])
    assert shown.status_code == 200
    assert shown.json()["state"] == "received"
    [wire_message] = gateway.sent(orders.PlaceOrder)
    assert json.loads(wire_message.body)["customer_id"] == str(gateway.user_id())
    assert wire_message.user_id == "gateway"


async def test_fifty_at_once_with_one_key_make_one_order() -> None:
    gateway = GatewayFixture()
    ada = gateway.program()
    publish = gateway.bus.publish
    under_way = 0
    not_alone = asyncio.Event()

    async def slowly(wire_messages: Sequence[WireMessage]) -> list[Exception | None]:
        nonlocal under_way
        under_way += 1
        if under_way > 1:
            not_alone.set()
        await not_alone.wait()  # so that other requests arrive while the first one waits for its confirm
        return await publish(wire_messages)

    gateway.bus.publish = slowly  # type: ignore[method-assign]
    responses = await asyncio.gather(*(place_order(ada, "one-intent") for _ in range(50)))
    assert {response.status_code for response in responses} == {202}
    assert len({response.json()["id"] for response in responses}) == 1
    assert len(gateway.sent(orders.PlaceOrder)) > 1
    assert sum("Idempotent-Replayed" not in response.headers for response in responses) == 1
    assert (
        len(
            {(wire_message.message_id, wire_message.body) for wire_message in gateway.sent(orders.PlaceOrder)}
        )
        == 1
    )
    listed = (await ada.get("/api/v1/orders")).json()["items"]
    assert [item["id"] for item in listed] == [responses[0].json()["id"]]
    assert [entry["type"] for entry in listed[0]["journey"]] == ["received"]


async def test_two_instances_agree_on_the_order_of_a_key() -> None:
    one = GatewayFixture()
    other = GatewayFixture(broker=one.broker, store=one.store, users=one.users)
    clients = [one.program(), other.program()]
    responses = await asyncio.gather(*(place_order(clients[n % 2], "one-intent") for n in range(20)))
    assert len({response.json()["id"] for response in responses}) == 1
    assert len({wire_message.message_id for wire_message in one.sent(orders.PlaceOrder)}) == 1


async def test_a_repeated_key_gets_the_same_response_and_sends_nothing() -> None:
    gateway = GatewayFixture()
    ada = gateway.program()
    first = await place_order(ada, '"k 1"')
    again = await place_order(ada, '"k 1"')
    assert again.status_code == 202
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(gateway.sent(orders.PlaceOrder)) == 1
    bare = await place_order(ada, "k1")
    assert (await place_order(ada, '"k1"')).json() == bare.json()  # the quotes are not part of the key


async def test_an_idempotency_key_reused_for_another_order_is_rejected() -> None:
    gateway = GatewayFixture()
    ada = gateway.program()
    await place_order(ada, "k1")
    for changed in (
        {"card_token": "tok_other"},
        {"lines": [{"sku": "KETTLE-BLUE", "quantity": 2}]},
        {"total_seen": {"amount_minor": 1, "currency": "EUR"}},
    ):
        response = await place_order(ada, "k1", **changed)
        assert (response.status_code, response.json()["type"]) == (422, "/problems/key-reused")
    assert len(gateway.sent(orders.PlaceOrder)) == 1


async def test_a_key_belongs_to_its_user() -> None:
    gateway = GatewayFixture()
    adas = await place_order(gateway.program(), "k1")
    bobs = await place_order(gateway.program("bob@example.org"), "k1", card_token="t")
    assert adas.status_code == bobs.status_code == 202
    assert adas.json()["id"] != bobs.json()["id"]


async def test_without_a_proper_key_nothing_is_ordered() -> None:
    gateway = GatewayFixture()
    ada = gateway.program()
    for headers in (
        {},
        {"Idempotency-Key": ""},
        {"Idempotency-Key": "x" * 300},
        {"Idempotency-Key": "two words"},
    ):
        response = await ada.post("/api/v1/orders", json=ORDER, headers=headers)
        assert (response.status_code, response.json()["type"]) == (400, "/problems/key-missing")
        assert response.headers["Content-Type"] == MEDIA_TYPE
    assert not gateway.sent(orders.PlaceOrder)


async def test_price_status_and_customer_cannot_be_set() -> None:
    gateway = GatewayFixture()
    ada = gateway.program()
    priced = {"sku": "KETTLE-BLUE", "quantity": 1, "price": {"amount_minor": 1, "currency": "EUR"}}
    for changed, pointer in (
        ({"total": {"amount_minor": 1, "currency": "EUR"}}, "#/total"),
        ({"status": "confirmed"}, "#/status"),
        ({"customer_id": str(new_id())}, "#/customer_id"),
        ({"order_id": str(new_id())}, "#/order_id"),
        ({"lines": [priced]}, "#/lines/0/price"),
    ):
        response = await place_order(ada, **changed)
        assert response.status_code == 422, response.text
        assert response.json()["errors"][0]["pointer"] == pointer
    for quantity in (0, 101, 1.0, "1", True, None):
        assert (await place_order(ada, lines=[{"sku": "A", "quantity": quantity}])).status_code == 422
    assert (await place_order(ada, lines=[])).status_code == 422
    assert (await place_order(ada, lines=[{"sku": {"$ne": ""}, "quantity": 1}])).status_code == 422
    assert (
        await place_order(ada, lines=[{"sku": f"A{n}", "quantity": 1} for n in range(51)])
    ).status_code == 422
    assert not gateway.sent(orders.PlaceOrder)


async def test_a_foreign_order_is_404() -> None:
    gateway = GatewayFixture()
    where = (await place_order(gateway.program())).headers["Location"]
    bob = gateway.program("bob@example.org")
    nowhere = await bob.get(f"/api/v1/orders/{new_id()}")
    for response in (
        await bob.get(where),
        await bob.post(f"{where}/cancellation", headers={"Idempotency-Key": "k"}),
    ):
        assert response.status_code == nowhere.status_code == 404
        assert {**response.json(), "instance": ""} == {**nowhere.json(), "instance": ""}
    assert (await bob.get("/api/v1/orders")).json() == {"items": [], "next": None}
    assert not gateway.sent(orders.CancelOrder)
    assert (await gateway.program("ops@example.org", Role.STAFF).get(where)).status_code == 200
    assert (await gateway.client().get(where)).status_code == 401


async def test_an_unresponsive_broker_fails_fast_and_keeps_the_key() -> None:
    gateway, now = GatewayFixture(publish_s_max=0.05, publish_pause_s=2), 1000.0
    gateway.deps.orders._clock = lambda: now
    ada = gateway.program()
    listens, arrived = gateway.bus.publish, 0

    async def silent(wire_messages: Sequence[WireMessage]) -> list[Exception | None]:
        nonlocal arrived
        arrived += 1
        await listens(wire_messages)  # the broker has the command, but its confirm is lost
        await asyncio.sleep(60)
        raise AssertionError

    gateway.bus.publish = silent  # type: ignore[method-assign]
    first = await place_order(ada, "k1")
    assert first.status_code == 503 and int(first.headers["Retry-After"]) >= 1
    assert first.json()["type"].endswith("#temporary-reduced-capacity")
    refused = await place_order(ada, "k1")  # fails fast now
    assert refused.status_code == 503 and arrived == 1
    [shown] = (await ada.get("/api/v1/orders")).json()["items"]
    assert shown["state"] == "sending"

    gateway.bus.publish = listens  # type: ignore[method-assign]
    gateway.deps.orders._settings = gateway_settings()  # the usual timeouts again
    now += 2
    again = await place_order(ada, "k1")
    assert again.status_code == 202
    assert again.json()["id"] == shown["id"]
    assert len({wire_message.message_id for wire_message in gateway.sent(orders.PlaceOrder)}) == 1


async def test_an_unavailable_broker_is_reported() -> None:
    gateway = GatewayFixture()
    gateway.broker.away = True
    assert (await place_order(gateway.program())).status_code == 503


async def test_requests_beyond_the_publishing_limit_get_503() -> None:
    gateway = GatewayFixture(publishing_max=3)
    ada = gateway.program()
    listens, go_on = gateway.bus.publish, asyncio.Event()

    async def slow(wire_messages: Sequence[WireMessage]) -> list[Exception | None]:
        await go_on.wait()
        return await listens(wire_messages)

    gateway.bus.publish = slow  # type: ignore[method-assign]
    waiting = [asyncio.create_task(place_order(ada)) for _ in range(10)]
    done, _ = await asyncio.wait(waiting, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 7:
        more, _ = await asyncio.wait(set(waiting) - done, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        assert more
        done |= more
    assert {task.result().status_code for task in done} == {503}
    go_on.set()
    rest = await asyncio.gather(*(set(waiting) - done))
    assert [response.status_code for response in rest] == [202] * 3


async def test_a_cancellation_is_sent_once_per_key() -> None:
    gateway = GatewayFixture()
    ada = gateway.program()
    where = (await place_order(ada)).headers["Location"]

    async def cancel(key: str) -> httpx.Response:
        return await ada.post(f"{where}/cancellation", headers={"Idempotency-Key": key})

    first, again = await cancel("c1"), await cancel("c1")
    assert first.status_code == again.status_code == 202
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(gateway.sent(orders.CancelOrder)) == 1
    assert (await cancel("c2")).status_code == 202
    assert len(gateway.sent(orders.CancelOrder)) == 2
    assert (await ada.post(f"{where}/cancellation")).status_code == 400


@pytest.mark.parametrize("order_is_sampled", [True, False])
async def test_a_cancellation_follows_the_sampling_of_its_order(
    monkeypatch: pytest.MonkeyPatch, order_is_sampled: bool
) -> None:
    decisions = iter((order_is_sampled, not order_is_sampled))
    monkeypatch.setattr(TracingState, "decide", lambda _: next(decisions))
    gateway = GatewayFixture()
    ada = gateway.program()
    placed = await place_order(ada)
    await ada.post(f"{placed.headers['Location']}/cancellation", headers={"Idempotency-Key": "c1"})
    [place], [cancel] = gateway.sent(orders.PlaceOrder), gateway.sent(orders.CancelOrder)
    contexts = [each.headers["traceparent"] for each in (place, cancel)]
    assert [span_ids.is_sampled(context) for context in contexts] == [order_is_sampled] * 2
    assert {span_ids.trace_of(context) for context in contexts} == {span_ids.trace_id(placed.json()["id"])}


async def test_an_ended_order_cannot_be_cancelled() -> None:
    gateway = GatewayFixture()
    ada = gateway.program()
    placed = await place_order(ada)
    cancelled = await ada.post(
        f"{placed.headers['Location']}/cancellation", headers={"Idempotency-Key": "c1"}
    )
    await _reported(
        gateway, orders.OrderDispatched(order_id=placed.json()["id"], customer_id=gateway.user_id())
    )
    late = await ada.post(f"{placed.headers['Location']}/cancellation", headers={"Idempotency-Key": "c2"})
    assert (late.status_code, late.json()["type"]) == (409, "/problems/too-late")
    replayed = await ada.post(f"{placed.headers['Location']}/cancellation", headers={"Idempotency-Key": "c1"})
    assert replayed.status_code == cancelled.status_code == 202


async def _reported(gateway: GatewayFixture, event: Any) -> None:
    await execute(gateway.runtime, TIMELINES, event.subject, event)


async def test_ambiguous_json_is_rejected() -> None:
    gateway = GatewayFixture()
    ada = gateway.program()
    line = '"lines": [{"sku": "KETTLE-BLUE", "quantity": 1}]'
    for body in (
        f'{{{line}, "card_token": "tok_visa", "card_token": "tok_other"}}',
        '{"lines": [{"sku": "KETTLE-BLUE", "quantity": 1, "quantity": 100}], "card_token": "tok_visa"}',
        f'{{{line}, "card_token": NaN}}',
        f'{{{line}, "card_token": "tok_visa"',
        "[" * 30_000,
        "1" * 10_000,
    ):
        response = await ada.post(
            "/api/v1/orders",
            content=body,
            headers={"Idempotency-Key": "k", "Content-Type": "application/json"},
        )
        assert (response.status_code, response.json()["type"]) == (400, "/problems/malformed"), body[:80]
    assert not gateway.sent(orders.PlaceOrder)
