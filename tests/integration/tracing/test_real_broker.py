"""An order over RabbitMQ and MongoDB, in a process for each service, is one trace as well."""

from pathlib import Path
from uuid import UUID

import pytest

from chassis.messaging.identity import new_id
from chassis.telemetry import span_ids
from contracts import orders
from contracts.catalog import NAMES
from contracts.values import OrderLine
from journey.admin.diagnosis.pending_messages import CONSUMERS_BY_TYPE
from journey.devenv.infra.model import Infrastructure
from journey.devenv.shop import register, seed
from tests.support.eventually import until
from tests.support.infrastructure import fresh_system
from tests.support.otlp_receiver import ReceivedSpan, ReceivedSpans, http_receiver
from tests.support.traced_shop import created, handlers, is_connected, parent_of, roots

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(300)]

SERVICES = {"order_svc", "inventory_svc", "payment_svc", "notification_svc"}


async def test_processes_export_one_trace(real_infrastructure: Infrastructure, tmp_path: Path) -> None:
    with http_receiver() as (url, received):
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        async with fresh_system(real_infrastructure, tmp_path, 1.0, settings) as system:
            await system.up(lambda text: None)
            await seed(system)
            [customer] = await register(system, ["Ada"])
            order = new_id()
            await system.send(NAMES.client, _command(order, customer))
            trace = span_ids.trace_id(str(order))
            spans = await until(lambda: received.of_trace(trace), is_complete)
            assert await until(lambda: databases(received, spans)) == {"mongodb"}
        assert {span.service for span in spans} >= SERVICES
        messages = created(spans)
        [first] = roots(spans)
        assert (first.service, first.name) == ("order_svc", "process order.place.v1")
        for span in spans:
            if span.parent_id:
                parent = parent_of(span, spans)
                assert span.kind != "consumer" or parent == messages[span.attributes["messaging.message.id"]]
        assert len({span.resource["service.instance.id"] for span in spans}) >= len(SERVICES)


def is_complete(spans: list[ReceivedSpan]) -> bool:
    """Whether each message up to the mail is processed by all its consumers.

    Each process exports its spans at another time.
    """
    types = {span.name.removeprefix("create ") for span in spans if span.kind == "producer"}
    consumers = {type_: {name for name, _ in CONSUMERS_BY_TYPE.get(type_, ())} & SERVICES for type_ in types}
    return (
        "notification.mail_sent.v1" in types
        and all(consumers[type_] <= handlers(spans, type_) for type_ in types)
        and is_connected(spans)
    )


def databases(received: ReceivedSpans, spans: list[ReceivedSpan]) -> set[str]:
    """The kinds of databases in which the batches of these spans were stored."""
    batches = [received.of_trace(linked) for span in spans for linked, _ in span.links]
    stored = [span for batch in batches for span in batch if span.name == "save" and span.kind == "client"]
    return {span.attributes["db.system.name"] for span in stored}


def _command(order: UUID, customer: UUID) -> orders.PlaceOrder:
    line = OrderLine(sku="KETTLE-BLUE", quantity=1)
    return orders.PlaceOrder(order_id=order, customer_id=customer, lines=(line,), card_token="tok_visa")
