"""A shop in memory whose spans arrive at a receiver, and what its customers do."""

from collections.abc import AsyncIterator, Callable, Mapping, Set
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from chassis.bus.memory import MemoryBroker
from chassis.messaging.envelope import WireMessage
from chassis.telemetry import span_ids, tracing
from chassis.telemetry.otlp import OtlpRecorder
from tests.support.eventually import until
from tests.support.otlp_receiver import ReceivedSpan, ReceivedSpans
from tests.support.settled import settled
from tests.support.shops.gateway import DELIVERY
from tests.support.shops.in_memory import InMemoryShop, run_in_memory_shop

SKU = "KETTLE-BLUE"
Handled = Mapping[str, Set[str]]
"""Services that process a message, by its type."""
NOTHING: Handled = {}


class TracedShop:
    """`received`: the spans that have arrived at the receiver. `http`: a client of a logged-in customer."""

    def __init__(
        self,
        shop: InMemoryShop,
        received: ReceivedSpans,
        http: httpx.AsyncClient,
        *,
        patch: pytest.MonkeyPatch,
    ) -> None:
        self.shop = shop
        self.received = received
        self.http = http
        self._patch = patch

    @property
    def broker(self) -> MemoryBroker:
        return self.shop._broker

    @property
    def published(self) -> list[WireMessage]:
        return [each for each in self.broker.tapped if each.exchange in ("commands", "events")]

    async def place(self, card_token: str = "tok_visa") -> str:
        """Place an order over HTTP. Returns its id."""
        lines = [{"sku": SKU, "quantity": 1}]
        order = {"lines": lines, "card_token": card_token, "delivery_address": DELIVERY}
        headers = {"Idempotency-Key": str(uuid4())}
        response = await self.http.post("/api/v1/orders", json=order, headers=headers)
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    async def cancel(self, order: str) -> None:
        headers = {"Idempotency-Key": str(uuid4())}
        response = await self.http.post(f"/api/v1/orders/{order}/cancellation", headers=headers)
        assert response.status_code == 202, response.text

    async def reaches(self, order: str, state: str) -> None:
        async def current() -> Any:
            return (await self.http.get(f"/api/v1/orders/{order}")).json().get("state")

        await until(current, lambda now: now == state)

    async def restart(self, service: str, **variables: str) -> None:
        for name, value in variables.items():
            self._patch.setenv(name, value)
        await self.shop.stop(service)
        self.shop.start(service)
        await self.shop.ready([service])

    async def settled(self) -> None:
        """Wait until no message is in progress."""
        await settled(self.broker)

    def flushed(self) -> bool:
        """Export what waits in this process."""
        assert isinstance(tracing.STATE.record, OtlpRecorder)
        tracing.STATE.record.flush()
        return True

    async def trace(self, order: str, *names: str, handled: Handled = NOTHING) -> list[ReceivedSpan]:
        """The spans of an order's trace, as soon as it is complete.

        It has spans of these names, these services have processed these messages, and no parent is missing.
        """
        return await self._spans(
            lambda: self.received.of_trace(span_ids.trace_id(order)), *names, handled=handled
        )

    async def linked_to(
        self, order: str, *names: str, count: int = 1, handled: Handled = NOTHING
    ) -> list[ReceivedSpan]:
        """The spans of the other traces with a message that is linked to the order's trace.

        Waits as `trace` does, and until there are `count` of each name.
        """
        trace = span_ids.trace_id(order)

        def others() -> list[ReceivedSpan]:
            found = {
                span.trace_id
                for span in self.received.spans
                if span.kind == "consumer"
                and span.trace_id != trace
                and trace in {linked for linked, _ in span.links}
            }
            return [span for span in self.received.spans if span.trace_id in found]

        return await self._spans(others, *names, count=count, handled=handled)

    async def _spans(
        self, found: Callable[[], list[ReceivedSpan]], *names: str, count: int = 1, handled: Handled
    ) -> list[ReceivedSpan]:
        def look() -> list[ReceivedSpan]:
            self.flushed()
            return found()

        def complete(spans: list[ReceivedSpan]) -> bool:
            return (
                all(len([1 for span in spans if span.name == name]) >= count for name in names)
                and all(services <= handlers(spans, type_) for type_, services in handled.items())
                and is_connected(spans)
            )

        return await until(look, complete)


@asynccontextmanager
async def traced_shop(
    endpoint: str,
    received: ReceivedSpans,
    *,
    deadline_s: float | None = None,
    ladder_scale: float = 1.0,
    variables: Mapping[str, str] | None = None,
) -> AsyncIterator[TracedShop]:
    """A shop that samples every trace, unless the environment `variables` say otherwise.

    `ladder_scale`: shortens the retry ladder.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **(variables or {})}.items():
            patch.setenv(name, value)
        async with run_in_memory_shop(deadline_s) as shop, httpx.AsyncClient(base_url=shop.url) as http:
            shop._broker._delay_scale = ladder_scale
            person = shop.people.customer
            login = {"email": person.email, "password": person.password}
            session = await http.post("/api/v1/sessions", json=login)
            assert session.is_success, session.text
            http.headers["Authorization"] = f"Bearer {session.json()['access_token']}"
            yield TracedShop(shop, received, http, patch=patch)


def roots(spans: list[ReceivedSpan]) -> list[ReceivedSpan]:
    return [span for span in spans if not span.parent_id]


def handlers(spans: list[ReceivedSpan], type_: str) -> set[str]:
    """The services that have processed a message of this type."""
    return {span.service for span in spans if span.name == f"process {type_}"}


def is_connected(spans: list[ReceivedSpan]) -> bool:
    """Whether every span's parent has arrived.

    A message can be processed before its sender knows that the broker has it, and records its creation.
    """
    arrived = {(span.trace_id, span.span_id) for span in spans}
    return all((span.trace_id, span.parent_id) in arrived for span in spans if span.parent_id)


def parent_of(span: ReceivedSpan, spans: list[ReceivedSpan]) -> ReceivedSpan:
    """The span's parent in the same trace; it must be there once."""
    found = [each for each in spans if each.span_id == span.parent_id and each.trace_id == span.trace_id]
    assert len(found) == 1, f"{span.service} {span.name}: {len(found)} parents"
    return found[0]


def created(spans: list[ReceivedSpan]) -> dict[str, ReceivedSpan]:
    """The spans in which messages were created, by message id; there is one for each."""
    kinds = [span for span in spans if span.kind == "producer"]
    by_message = {str(span.attributes["messaging.message.id"]): span for span in kinds}
    assert len(by_message) == len(kinds), "a message was created twice"
    return by_message
