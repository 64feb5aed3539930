"""A dead letter can always be published,
and a message that cannot be published is not redelivered forever.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.header import ContentHeader

from chassis.bus.aiormq_frames.messages import properties_of
from chassis.bus.amqp_properties import Undecodable, decode
from chassis.bus.memory import MemoryBus, MemoryStore
from chassis.bus.protocol import Delivery, MessageNotEncodable, Unroutable
from chassis.core import retry
from chassis.core.dispatcher import Dispatcher
from chassis.core.effects import EffectRunner
from chassis.messaging.envelope import BODY_SIZE, WireMessage, unreadable
from chassis.messaging.untrusted import NAME_BYTES_MAX, shortened
from chassis.store.cached import CachedStore
from order_svc.service import order_service
from tests.support.pending_message_factory import NOW
from tests.support.raw_amqp_client import DECODABLE, UNDECODABLE
from tests.unit.chassis.bus.test_amqp_properties import property_bytes

QUEUE, SERVICE = "order_svc.commands", "order_svc"
FRAME_MAX = 131_072
SMALLEST_FRAME_MAX = 4_096
ADDRESS_MAX = 600  # the Basic.Publish frame
LONG_ERROR = RuntimeError("\ud800 \x1b[2J " + "€" * 10_000)


def wire_message_of(raw: bytes) -> WireMessage:
    bare = WireMessage("commands", "order.place.v1", b"{}", None, None, None, None, content_type=None)
    try:
        decoded = decode(raw)
    except Undecodable as why:
        return unreadable(bare, str(why), raw)
    return replace(
        bare,
        message_id=decoded.message_id,
        type=decoded.message_type,
        app_id=decoded.app_id,
        correlation_id=decoded.correlation_id,
        headers=decoded.headers or {},
    )


def size(wire_message: WireMessage) -> int:
    return len(ContentHeader(0, 0, properties_of(wire_message)).marshal()) + ADDRESS_MAX


def _fits(raw: bytes) -> None:
    wire_message = wire_message_of(raw)
    dead_letter = retry.dead_letter(
        wire_message, LONG_ERROR, queue=QUEUE, service=order_service(), now=NOW, attempt=10**6
    )
    assert size(dead_letter) < FRAME_MAX and dead_letter.body == wire_message.body
    assert {"error", "trace", "origin_queue", "died_at"} <= dead_letter.headers.keys()
    *_, least = retry.smaller_dead_letters(
        wire_message, LONG_ERROR, queue=QUEUE, service=order_service(), now=NOW
    )
    assert size(least) < SMALLEST_FRAME_MAX


@pytest.mark.parametrize("raw", [*UNDECODABLE.values(), *DECODABLE.values()], ids=[*UNDECODABLE, *DECODABLE])
def test_every_dead_letter_fits_into_a_frame(raw: bytes) -> None:
    _fits(raw)


@given(property_bytes)
def test_a_dead_letter_of_arbitrary_properties_fits(raw: bytes) -> None:
    _fits(raw)


def test_the_largest_headers_are_omitted_first() -> None:
    headers = {"small": "x", "large": "y" * 90_000, "larger": "z" * 99_000}
    wire_message = replace(wire_message_of(b"\0\0"), headers=headers)
    dead_letter = retry.dead_letter(wire_message, LONG_ERROR, queue=QUEUE, service=order_service(), now=NOW)
    assert dead_letter.headers["small"] == "x" and "larger" not in dead_letter.headers
    assert dead_letter.headers[retry.LEFT_OUT] == len(headers.keys() - dead_letter.headers.keys())


class Bus(MemoryBus):
    """Rejects the first messages with `refusals`, one error each, and records all messages."""

    def __init__(self, errors: list[Exception]) -> None:
        self.errors = errors
        self.given = list[WireMessage]()

    async def publish(self, wire_messages: Sequence[WireMessage]) -> list[Exception | None]:
        self.given += wire_messages
        return [self.errors.pop(0) if self.errors else None for _ in wire_messages]


async def handed_over(bus: Bus, wire_message: WireMessage) -> list[bool]:
    """Dispatch one message. Returns how its delivery was settled."""
    settled: list[bool] = []

    async def settle(done: bool) -> None:
        settled.append(done)

    service = order_service()
    effects = EffectRunner(service, None)
    batcher = Dispatcher(service, CachedStore(MemoryStore(), ()), bus, clock=lambda: NOW, effects=effects)
    batcher.receive(Delivery(wire_message, QUEUE, settle))
    async with asyncio.timeout(20):
        await batcher.drain()
    return settled


async def test_an_unpublishable_message_becomes_a_smaller_dead_letter() -> None:
    bus = Bus([MessageNotEncodable("its headers have 140000 bytes")] * 3)
    assert await handed_over(bus, replace(wire_message_of(b"\0\0"), body=b"x" * 5_000)) == [True]
    *_, least = bus.given
    assert len(bus.given) == 4 and (least.exchange, least.routing_key) == ("dead", f"{SERVICE}.rejected")
    assert least.headers[BODY_SIZE] == 5_000 and len(least.body) < 5_000


async def test_a_message_without_its_retry_queue_is_redelivered() -> None:
    assert await handed_over(Bus([Unroutable("no queue")]), wire_message_of(b"\0\0")) == [False]


@given(st.text() | st.binary().map(lambda raw: raw.decode(errors="surrogateescape")) | st.integers())
def test_shortened_text_is_one_printable_line_for_a_property(value: object) -> None:
    for limit in (5, 40, NAME_BYTES_MAX):
        shown = shortened(value, limit)
        assert shown.isprintable() and len(shown.encode()) <= limit
    if isinstance(value, str) and value.isprintable() and len(value.encode()) <= NAME_BYTES_MAX:
        assert shortened(value) == value
