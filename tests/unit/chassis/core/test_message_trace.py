"""Which trace a message is processed in, and which one its outgoing messages carry on."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from chassis.core.decision import Decision
from chassis.core.message_trace import MessageTrace, trace_of
from chassis.core.working_copy import WorkingCopy, apply_decision
from chassis.messaging.envelope import Envelope, WireMessage, parse, wrap
from chassis.messaging.message import Message
from chassis.store.protocol import Loaded
from chassis.telemetry import span_ids, tracing
from contracts.catalog import CATALOG
from contracts.orders import DeadlinePassed
from contracts.payments import PaymentDeclined
from order_svc.service import order_service
from tests.support import messages

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = messages.ORDER
FROM_GATEWAY = span_ids.traceparent(ORDER.hex, "1" * 16, sampled=True)
READER = "order_svc"


@pytest.fixture(autouse=True)
def all_sampled() -> Iterator[None]:
    tracing.STATE.ratio = 1.0
    yield
    tracing.STATE.ratio, tracing.STATE.delayed_continue = 0.0, False


def received(message: Message, user: str, traceparent: str = "", **properties: Any) -> WireMessage:
    envelope = wrap(message, id=str(uuid4()), source=user, now=NOW, traceparent=traceparent)
    return replace(envelope.wire_message(CATALOG), user_id=user, **properties)


def trace(wire_message: WireMessage) -> MessageTrace:
    envelope, message = parse(wire_message, CATALOG, reader=READER)
    return trace_of(wire_message, envelope, message, reader=READER, catalog=CATALOG)


def declined(traceparent: str = FROM_GATEWAY) -> WireMessage:
    return received(PaymentDeclined(order_id=ORDER, reason="refused"), "payment_svc", traceparent)


def on_rung(wire_message: WireMessage, rung: int) -> WireMessage:
    origin = {
        "origin_user": wire_message.user_id,
        "origin_exchange": wire_message.exchange,
        "origin_key": wire_message.routing_key,
    }
    headers = {**wire_message.headers, **origin, "attempt": rung}
    queue = f"{READER}.events"
    return replace(wire_message, exchange="", routing_key=queue, headers=headers, user_id=READER)


def test_a_services_context_is_continued() -> None:
    assert trace(declined()) == (FROM_GATEWAY, FROM_GATEWAY)


def test_without_context_the_trace_is_the_journeys() -> None:
    base, current = trace(received(messages.PLACE, "client"))
    assert base == current
    assert span_ids.trace_of(current) == ORDER.hex and span_ids.is_sampled(current)


def test_a_client_neither_names_the_trace_nor_samples_it() -> None:
    tracing.STATE.ratio = 0.0
    context = span_ids.traceparent("c" * 32, "d" * 16, sampled=True)
    current = trace(received(messages.PLACE, "client.partner", context)).current
    assert span_ids.trace_of(current) == ORDER.hex and not span_ids.is_sampled(current)
    current = trace(received(messages.PLACE, "gateway", context)).current
    assert current == context


def test_a_redelivery_decides_alike() -> None:
    tracing.STATE.ratio = 0.5
    for _ in range(20):
        command = received(messages.PLACE, "client")
        assert trace(command) == trace(command)


def test_only_the_first_retry_delay_continues_the_trace() -> None:
    assert trace(on_rung(declined(), 1)).current == FROM_GATEWAY
    second = trace(on_rung(declined(), 2))
    assert second.base == FROM_GATEWAY
    assert span_ids.trace_of(second.current) != ORDER.hex and span_ids.is_sampled(second.current)


def test_a_redriven_message_begins_a_trace() -> None:
    redriven = replace(on_rung(declined(), 0), user_id="operator")
    assert span_ids.trace_of(trace(redriven).current) != ORDER.hex


def test_a_reminder_begins_a_trace() -> None:
    current = trace(received(DeadlinePassed(order_id=ORDER), READER)).current
    assert span_ids.trace_of(current) != ORDER.hex and span_ids.is_sampled(current)


def test_one_setting_keeps_delayed_messages_in_the_trace() -> None:
    tracing.STATE.delayed_continue = True
    late = [on_rung(declined(), 2), replace(on_rung(declined(), 0), user_id="operator")]
    late.append(received(DeadlinePassed(order_id=ORDER), READER))
    assert {span_ids.trace_of(trace(each).current) for each in late} == {ORDER.hex}


def emitted(cause: Envelope, at: MessageTrace | None, *, remember: bool = True) -> Envelope:
    [orders] = [each for each in order_service().aggregates if each.kind == "orders"]
    copy = WorkingCopy(orders, Loaded("orders", str(ORDER)), orders.start)
    decision = Decision(orders.start, messages.CANCELLED, remember=remember)
    [envelope] = apply_decision(copy, cause, decision, service=READER, clock=lambda: NOW, trace=at)
    return envelope


def test_outgoing_messages_carry_on_the_trace_of_the_delivery() -> None:
    cause, _ = parse(declined(), CATALOG, reader=READER)
    new = span_ids.traceparent("e" * 32, "f" * 16, sampled=True)
    envelope = emitted(cause, MessageTrace(FROM_GATEWAY, new))
    assert envelope.traceparent == span_ids.created_in(new, envelope.id)
    assert emitted(cause, None).traceparent == span_ids.created_in(FROM_GATEWAY, envelope.id)


def test_an_unstored_rejection_has_one_trace_context() -> None:
    cause, _ = parse(declined(), CATALOG, reader=READER)
    new = span_ids.traceparent("e" * 32, "f" * 16, sampled=True)
    first = emitted(cause, MessageTrace(FROM_GATEWAY, FROM_GATEWAY), remember=False)
    assert emitted(cause, MessageTrace(FROM_GATEWAY, new), remember=False) == first


def test_without_tracing_messages_still_have_a_context() -> None:
    tracing.STATE.ratio = 0.0
    cause, _ = parse(received(messages.PLACE, "client"), CATALOG, reader=READER)
    context = emitted(cause, None).traceparent
    assert span_ids.trace_of(context) == ORDER.hex and not span_ids.is_sampled(context)
