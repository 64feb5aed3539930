"""Ids of traces and spans: derived, valid, and evenly sampled."""

import re
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from chassis.messaging.identity import new_id
from chassis.messaging.untrusted import traceparent
from chassis.telemetry import span_ids


def test_the_trace_id_of_a_journey_is_its_uuid() -> None:
    order = uuid4()
    assert span_ids.trace_id(str(order)) == span_ids.trace_id(str(order).upper()) == order.hex


@given(st.text())
def test_every_name_has_a_valid_trace_id(name: str) -> None:
    context = span_ids.traceparent(span_ids.trace_id(name), span_ids.create_span_id(name), sampled=True)
    assert traceparent(context) == context


def test_the_nil_uuid_gives_no_invalid_trace_id() -> None:
    assert int(span_ids.trace_id(str(UUID(int=0))), 16)


def test_every_role_of_a_message_has_its_own_span() -> None:
    id_ = str(new_id())
    spans = {
        span_ids.create_span_id(id_),
        span_ids.journey_span_id(id_),
        span_ids.process_span_id(id_, "order_svc", 0),
        span_ids.process_span_id(id_, "payment_svc", 0),
        span_ids.process_span_id(id_, "order_svc", 1),
    }
    assert len(spans) == 5
    assert all(re.fullmatch("[0-9a-f]{16}", span) for span in spans)


def test_a_created_message_keeps_trace_and_decision_of_its_cause() -> None:
    for sampled in (True, False):
        cause = span_ids.traceparent("a" * 32, "b" * 16, sampled=sampled)
        context = span_ids.created_in(cause, "m1")
        assert context == span_ids.traceparent("a" * 32, span_ids.create_span_id("m1"), sampled=sampled)
        assert span_ids.is_sampled(context) is sampled


def test_an_empty_context_is_not_sampled() -> None:
    assert not span_ids.is_sampled("")


def test_uuidv7_messages_are_sampled_in_proportion() -> None:
    ids = [str(new_id()) for _ in range(20_000)]
    share = sum(span_ids.chosen(id_, 0.1) for id_ in ids) / len(ids)
    assert 0.08 < share < 0.12
    assert all(span_ids.chosen(id_, 1.0) for id_ in ids) and not any(span_ids.chosen(id_, 0.0) for id_ in ids)
