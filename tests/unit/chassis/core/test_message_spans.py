"""The spans of messages that are late, republished or forged: their traces, links and sampling decisions."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from chassis.core.sweeper import SWEEP_AFTER
from chassis.messaging.envelope import OPERATOR, Envelope, wrap
from chassis.messaging.origin import HANDED_BACK, Origin
from chassis.store.protocol import Change, Handled, Loaded
from chassis.telemetry import span_ids, tracing
from chassis.telemetry.tracing import Span
from contracts.catalog import CATALOG
from contracts.orders import PlaceOrder
from order_svc.service import order_service
from tests.support.eventually import until
from tests.support.messages import CANCELLED, LISTED, ORDER, PLACE_OTHER_GOODS, RESERVED
from tests.support.metric_changes import MetricChanges
from tests.support.observed_service import ObservedService, observed
from tests.support.pending_message_factory import NOW

LATE_S = 3_600
REMINDER = "process order.deadline_passed.v1"


def context(*, sampled: bool) -> str:
    """Of the request that placed ORDER."""
    return span_ids.traceparent(
        span_ids.trace_id(str(ORDER)), span_ids.journey_span_id(str(ORDER)), sampled=sampled
    )


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Span]]:
    """All recorded spans; every trace that begins without a context is sampled."""
    recorded: list[Span] = []
    monkeypatch.setattr(tracing.STATE, "record", recorded.append)
    monkeypatch.setattr(tracing.STATE, "ratio", 1.0)
    yield recorded


@pytest.fixture
async def orders(spans: list[Span]) -> AsyncIterator[ObservedService]:
    async with observed(order_service()) as service:
        await service.receive(LISTED)
        spans.clear()
        yield service


def only(spans: list[Span], name: str) -> Span:
    [found] = [span for span in spans if span.name == name]
    return found


def emitted(*, sampled: bool) -> Envelope:
    id_ = str(uuid4())
    in_trace = span_ids.created_in(context(sampled=sampled), id_)
    return wrap(CANCELLED, id=id_, source="order_svc", now=NOW, traceparent=in_trace)


async def save_unpublished(service: ObservedService, envelope: Envelope) -> None:
    """As after a crash between the write and the publishing."""
    at = service.now - SWEEP_AFTER - timedelta(seconds=1)
    handled = Handled("m", PlaceOrder.TYPE, at, ("", "cancelled"), (envelope,))
    state = {"status": "cancelled"}
    assert await service.store.save(
        [Change(Loaded("orders", str(ORDER)), state, [handled], unpublished=True)]
    )


async def test_what_the_sweeper_publishes_is_a_linked_trace(
    orders: ObservedService, spans: list[Span]
) -> None:
    metrics = MetricChanges()
    envelope = emitted(sampled=True)
    await save_unpublished(orders, envelope)
    await until(lambda: metrics["journey_swept_total"] == 1)
    sweep = only(spans, "sweep")
    assert not sweep.parent_id and sweep.links == [envelope.traceparent]
    assert sweep.trace_id != span_ids.trace_id(str(ORDER))
    assert sweep.attributes["messaging.batch.message_count"] == 1
    [published] = [each for each in orders.broker.tapped if each.message_id == envelope.id]
    assert published.headers["traceparent"] == envelope.traceparent


async def test_the_sweeper_records_nothing_of_an_unsampled_order(
    orders: ObservedService, spans: list[Span]
) -> None:
    metrics = MetricChanges()
    await save_unpublished(orders, emitted(sampled=False))
    await until(lambda: metrics["journey_swept_total"] == 1)
    assert spans == []


async def test_a_backfilled_event_begins_a_linked_trace(orders: ObservedService, spans: list[Span]) -> None:
    await orders.receive(PLACE_OTHER_GOODS, user="gateway", traceparent=context(sampled=True))
    spans.clear()
    id_ = str(uuid4())
    created = span_ids.created_in(context(sampled=True), id_)
    event = wrap(RESERVED, id=id_, source="inventory_svc", now=NOW, traceparent=created)
    journaled = replace(event.wire_message(CATALOG), user_id="inventory_svc")
    origin = Origin.of(journaled, "order_svc")
    queue = "order_svc.events"
    again = journaled.with_route(HANDED_BACK, queue, **origin.headers())
    orders.broker.give_back(queue, [replace(again, user_id=OPERATOR)])
    await orders.settled()
    process = only(spans, f"process {RESERVED.TYPE}")
    assert not process.parent_id and process.links[0] == created
    assert process.trace_id != span_ids.trace_id(str(ORDER))


@pytest.mark.parametrize("ratio", [0.0, 1.0])
@pytest.mark.parametrize("order_is_sampled", [True, False])
async def test_a_reminder_follows_the_sampling_of_its_order(
    orders: ObservedService,
    spans: list[Span],
    monkeypatch: pytest.MonkeyPatch,
    order_is_sampled: bool,
    ratio: float,
) -> None:
    monkeypatch.setattr(tracing.STATE, "ratio", ratio)
    await orders.receive(PLACE_OTHER_GOODS, user="gateway", traceparent=context(sampled=order_is_sampled))
    spans.clear()
    orders.passes(LATE_S)
    await until(lambda: [each for each in orders.broker.tapped if each.type == CANCELLED.TYPE])
    await orders.settled()
    reminders = [span for span in spans if span.name == REMINDER]
    assert len(reminders) == order_is_sampled
    for reminder in reminders:
        assert not reminder.parent_id and reminder.trace_id != span_ids.trace_id(str(ORDER))
        assert reminder.links[0] == context(sampled=True)
        cancelled = only(spans, f"create {CANCELLED.TYPE}")
        assert (cancelled.trace_id, cancelled.parent_id) == (reminder.trace_id, reminder.span_id)


async def test_a_setting_keeps_reminders_in_their_orders_trace(
    orders: ObservedService, spans: list[Span], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing.STATE, "delayed_continue", True)
    await orders.receive(PLACE_OTHER_GOODS, user="gateway", traceparent=context(sampled=True))
    orders.passes(LATE_S)
    await until(lambda: [span for span in spans if span.name == REMINDER])
    assert only(spans, REMINDER).trace_id == span_ids.trace_id(str(ORDER))


async def test_a_forged_message_has_no_span(orders: ObservedService, spans: list[Span]) -> None:
    """Its sender would otherwise decide what is recorded, and in which trace."""
    metrics = MetricChanges()
    await orders.receive(RESERVED, user="intruder", traceparent=context(sampled=True))
    await until(lambda: metrics["journey_forged_messages_total"] == 1)
    assert spans == []
