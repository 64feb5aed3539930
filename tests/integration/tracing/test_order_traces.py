"""An order placed over HTTP is one trace with every hop, as OTLP receivers see it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings

from chassis.messaging.envelope import OPERATOR, WireMessage
from chassis.telemetry import span_ids
from journey.admin.dead_letters.dead_letter import dead_letter_of
from journey.devenv.infra.ports import free_ports
from tests.support.eventually import until
from tests.support.otlp_receiver import ReceivedSpan, ReceivedSpans, grpc_receiver, http_receiver
from tests.support.traced_shop import SKU, TracedShop, created, handlers, parent_of, roots, traced_shop

PLACED = "POST /api/v1/orders"
CONTACT = "GET /internal/contacts/{user_id}"
MAILED = "process notification.mail_sent.v1"
GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
FAULT = {"JOURNEY_ALLOW_FAULTS": "1", "INVENTORY_FAULT_SKU": SKU}


@pytest.fixture
async def shop() -> AsyncIterator[TracedShop]:
    with http_receiver() as (url, received):
        async with traced_shop(url, received) as running:
            yield running


def check_hops(order: str, spans: list[ReceivedSpan], published: list[WireMessage]) -> None:
    """Every published message of the order was created in a span, and processed in a child of it."""
    messages = created(spans)
    of_order = {each.message_id for each in published if each.correlation_id == order}
    assert of_order == set(messages)
    for span in spans:
        if span.kind == "consumer":
            parent = messages[span.attributes["messaging.message.id"]]
            assert span.parent_id == parent.span_id
            assert span.parent_id == span_ids.create_span_id(span.attributes["messaging.message.id"])
        elif span.parent_id:
            parent_of(span, spans)
    [root] = roots(spans)
    assert (root.kind, root.service) == ("server", "gateway")


def check_batches(order: str, spans: list[ReceivedSpan], received: ReceivedSpans) -> None:
    """Each processed message is linked to a trace of the work that its batch shared."""
    for span in (each for each in spans if each.kind == "consumer"):
        batches = [received.of_trace(trace) for trace, _ in span.links]
        assert batches and span_ids.trace_id(order) not in {trace for trace, _ in span.links}
        for batch in batches:
            assert {"handle batch", "load"} <= {each.name for each in batch}


async def test_an_order_is_one_trace(shop: TracedShop) -> None:
    order = await shop.place()
    spans = await shop.trace(order, MAILED)
    await shop.settled()
    spans = await shop.trace(order, MAILED, CONTACT)
    check_hops(order, spans, shop.published)
    check_batches(order, spans, shop.received)
    everyone = {"gateway", "order_svc", "inventory_svc", "payment_svc", "notification_svc", "user_svc"}
    assert {span.service for span in spans} == everyone
    assert handlers(spans, "order.placed.v1") == {"inventory_svc", "payment_svc", "gateway"}
    names = {span.name for span in spans if span.kind == "client"}
    assert {"card provider AuthorizeCard", "card provider CaptureAmount", "SMTP", "GET"} <= names
    [root] = roots(spans)
    assert root.name == PLACED and root.attributes["http.response.status_code"] == 202
    assert root.span_id == span_ids.journey_span_id(order)


async def test_an_order_without_decision_to_sample_has_no_span() -> None:
    with http_receiver() as (url, received):
        variables = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
        async with traced_shop(url, received, variables=variables) as shop:
            order = await shop.place()
            await shop.reaches(order, "confirmed")
            await shop.settled()
            placed = [each for each in shop.published if each.correlation_id == order]
        assert placed and not received.spans
        contexts = [each.headers["traceparent"] for each in placed]
        assert {span_ids.trace_of(context) for context in contexts} == {span_ids.trace_id(order)}


async def test_a_cancelled_order_stays_one_trace(shop: TracedShop) -> None:
    order = await shop.place()
    await shop.reaches(order, "confirmed")
    await shop.cancel(order)
    spans = await shop.trace(
        order,
        "process payment.refunded.v1",
        "process inventory.stock_released.v1",
        handled={"order.cancelled.v1": {"inventory_svc", "payment_svc", "notification_svc"}},
    )
    [cancel] = [span for span in roots(spans) if span.name.endswith("/cancellation")]
    [command] = [span for span in spans if span.name == "send order.cancel.v1"]
    assert parent_of(command, spans) == cancel
    [decided] = [span for span in spans if span.name == "process order.cancel.v1"]
    assert parent_of(decided, spans) == command


async def test_a_declined_order_stays_one_trace(shop: TracedShop) -> None:
    order = await shop.place(card_token="tok_declined")
    spans = await shop.trace(
        order, "process inventory.stock_released.v1", handled={"payment.declined.v1": {"order_svc"}}
    )
    [root] = roots(spans)
    assert root.name == PLACED


async def test_a_deadline_is_a_trace_linked_to_its_order() -> None:
    with http_receiver() as (url, received):
        async with traced_shop(url, received, deadline_s=2.0) as shop:
            await shop.shop.stop("payment_svc")
            order = await shop.place()
            late = await shop.linked_to(
                order, "process order.deadline_passed.v1", "process order.cancelled.v1"
            )
            [reminder] = [span for span in late if span.name == "process order.deadline_passed.v1"]
            assert not reminder.parent_id
            assert reminder.links[0] == (span_ids.trace_id(order), span_ids.journey_span_id(order))
            [root] = roots(await shop.trace(order, PLACED))
            assert root.span_id == span_ids.journey_span_id(order)


async def test_only_the_first_retry_continues_the_trace() -> None:
    with http_receiver() as (url, received):
        async with traced_shop(url, received, ladder_scale=0.001, variables=FAULT) as shop:
            order = await shop.place()
            late = await shop.linked_to(order, "process order.placed.v1", count=2)
            spans = await shop.trace(order, PLACED, "create order.placed.v1")
            tries = [span for span in spans + late if span.name == "process order.placed.v1"]
            tries = [span for span in tries if span.service == "inventory_svc"]
            by_attempt = {span.attributes["journey.attempt"]: span for span in tries}
            assert sorted(by_attempt) == [1, 2, 3, 4] and len(tries) == 4
            assert all(span.failed for span in tries)
            assert by_attempt[1].parent_id == by_attempt[2].parent_id
            [event] = [span for span in spans if span.name == "create order.placed.v1"]
            for late_try in (by_attempt[3], by_attempt[4]):
                assert not late_try.parent_id
                assert (event.trace_id, event.span_id) in late_try.links
            assert by_attempt[3].trace_id != by_attempt[4].trace_id
            assert by_attempt[4].attributes["journey.next_stop"] == "dead"


async def test_a_redriven_message_begins_a_linked_trace() -> None:
    with http_receiver() as (url, received):
        async with traced_shop(url, received, ladder_scale=0.001, variables=FAULT) as shop:
            order = await shop.place()
            await until(lambda: shop.broker.dead("inventory_svc"))
            await shop.restart("inventory_svc", INVENTORY_FAULT_SKU="")
            [dead] = shop.broker.dead("inventory_svc")
            dead_letter = dead_letter_of("inventory_svc", dead)
            original = replace(dead_letter.original_message, user_id=OPERATOR)
            shop.broker.give_back(dead_letter.origin_queue, [original])
            await shop.reaches(order, "confirmed")
            reserved_by = {"inventory.stock_reserved.v1": {"order_svc"}}
            late = await shop.linked_to(order, "process order.confirmed.v1", handled=reserved_by)
            [redriven] = [span for span in late if span.name == "process order.placed.v1" and not span.failed]
            assert not redriven.parent_id and redriven.service == "inventory_svc"
            [reserved] = [span for span in late if span.name == "create inventory.stock_reserved.v1"]
            assert parent_of(reserved, late) == redriven


async def test_a_third_party_collector_receives_the_trace() -> None:
    [port] = free_ports(1)
    async with OtelTapHttpProtobufReceiver(OtelTapHttpProtobufReceiverSettings(http_port=port)) as receiver:
        names = (PLACED, "process order.placed.v1", "process order.confirmed.v1")

        async def first(name: str) -> Any:
            return await receiver.await_trace(lambda span: span.name == name, timeout=60)

        waiting = [asyncio.create_task(first(name)) for name in names]
        async with traced_shop(f"http://127.0.0.1:{port}", ReceivedSpans()) as shop:
            order = await shop.place()
            await until(lambda: shop.flushed() and all(each.done() for each in waiting))
        spans = [await each for each in waiting]
        assert {span.trace_id.hex() for span in spans} == {span_ids.trace_id(order)}


async def test_the_grpc_exporter_exports_the_trace() -> None:
    with grpc_receiver() as (url, received):
        async with traced_shop(url, received, variables=GRPC) as shop:
            order = await shop.place()
            spans = await shop.trace(order, MAILED)
            await shop.settled()
            check_hops(order, await shop.trace(order, MAILED), shop.published)
            [root] = roots(spans)
            assert {"service.version", "service.instance.id"} <= set(root.resource)
