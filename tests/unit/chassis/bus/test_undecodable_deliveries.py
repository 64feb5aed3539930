"""No message breaks the reader: an undecodable one arrives marked as unreadable, the others unchanged."""

import asyncio
import struct
from base64 import b64decode
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.constants import FRAME_END_CHAR
from pamqp.frame import FrameTypes, frame_parts, unmarshal
from pamqp.header import ContentHeader

from chassis.bus.aiormq_frames.messages import decoded_wire_message
from chassis.bus.aiormq_frames.tap import FrameTap
from chassis.messaging.envelope import (
    BODY_BYTES_MAX,
    BODY_SIZE,
    RAW_PROPERTIES,
    UNREADABLE,
    Unreadable,
    WireMessage,
    parse,
)
from contracts.catalog import CATALOG
from tests.support.raw_amqp_client import DECODABLE, UNDECODABLE, delivered_frames, properties, short
from tests.unit.chassis.bus.test_amqp_properties import property_bytes

TAKEN, OTHER = 1, 2
HEALTHY = properties(message_id=short(b"healthy"))


class Read:
    """A reader with one intercepted channel; messages on the other one are parsed as aiormq does."""

    def __init__(self) -> None:
        self.tap = FrameTap()
        self.taken: list[WireMessage] = []
        self.bytes_left = b""
        self.tap.take[TAKEN] = lambda taken: self.taken.append(taken.wire_message)

    def feed(self, received: bytes) -> None:
        self.bytes_left += self.tap.feed(received)

    def left(self) -> list[WireMessage]:
        data, frames = self.bytes_left, []
        while data:
            size = (frame_parts(data[:7])[2] or 0) + 8
            frames.append(unmarshal(data[:size])[2])
            data = data[size:]
        return [
            _wire_message(method, frames[at + 1 : at + 3])
            for at, method in enumerate(frames)
            if isinstance(method, Basic.Deliver)
        ]


def _wire_message(method: Basic.Deliver, frames: Sequence[FrameTypes | None]) -> WireMessage:
    header, *rest = frames
    body = b"".join(frame.value for frame in rest if isinstance(frame, ContentBody))
    assert isinstance(header, ContentHeader) and header.body_size == len(body)
    return decoded_wire_message(method, header, body)


async def read(
    *messages: bytes, channel: int = TAKEN, key: bytes = b"order.place.v1", body: bytes = b"{}"
) -> list[WireMessage]:
    what = Read()
    for tag, raw in enumerate(messages):
        what.feed(delivered_frames(tag, raw, [body], channel, key))
    return what.taken if channel == TAKEN else what.left()


@pytest.mark.parametrize("channel", [TAKEN, OTHER], ids=["taken", "left to aiormq"])
@pytest.mark.parametrize("raw", UNDECODABLE.values(), ids=UNDECODABLE)
async def test_an_undecodable_message_keeps_reason_and_bytes(raw: bytes, channel: int) -> None:
    before, strange, after = await read(HEALTHY, raw, HEALTHY, channel=channel)
    assert before.message_id == after.message_id == "healthy"
    assert strange.body == b"{}" and strange.headers[UNREADABLE] and strange.user_id is None
    assert b64decode(strange.headers[RAW_PROPERTIES]) == raw[: 32 * 1024]
    with pytest.raises(Unreadable):
        parse(strange, CATALOG, reader="order_svc")


@pytest.mark.parametrize("channel", [TAKEN, OTHER], ids=["taken", "left to aiormq"])
@pytest.mark.parametrize("raw", DECODABLE.values(), ids=DECODABLE)
async def test_a_message_with_unusual_properties_arrives(raw: bytes, channel: int) -> None:
    wire_messages = await read(HEALTHY, raw, HEALTHY, channel=channel)
    assert [wire_message.body for wire_message in wire_messages] == [b"{}"] * 3


@given(st.lists(property_bytes | st.binary(max_size=60), min_size=1, max_size=3), st.binary(max_size=255))
def test_messages_before_and_after_an_undecodable_one_arrive(strange: list[bytes], key: bytes) -> None:
    for channel in (TAKEN, OTHER):
        wire_messages = asyncio.run(read(HEALTHY, *strange, HEALTHY, channel=channel, key=key))
        assert len(wire_messages) == len(strange) + 2
        assert wire_messages[0].message_id == wire_messages[-1].message_id == "healthy"


async def test_a_non_text_routing_key_makes_the_message_unreadable() -> None:
    for channel in (TAKEN, OTHER):
        [wire_message] = await read(HEALTHY, channel=channel, key=b"order.place.\xff")
        assert (
            wire_message.routing_key == "order.place.\\xff"
            and "routing key" in wire_message.headers[UNREADABLE]
        )


async def test_a_body_over_the_limit_is_truncated_and_rejected() -> None:
    size = BODY_BYTES_MAX + 1000
    for channel in (TAKEN, OTHER):
        wire_message, after = await read(HEALTHY, HEALTHY, channel=channel, body=b"x" * size)
        assert (
            len(wire_message.body) == len(after.body) == BODY_BYTES_MAX
            and wire_message.headers[BODY_SIZE] == size
        )
        with pytest.raises(Unreadable, match=f"{size} bytes, at most"):
            parse(wire_message, CATALOG, reader="order_svc")


async def test_a_fetched_message_is_read_like_a_delivered_one() -> None:
    what = Read()
    frames = delivered_frames(7, UNDECODABLE["latin-1 app_id"], [b"{}"], TAKEN)
    got = (
        struct.pack(">IQ?", Basic.GetOk.index, 7, False)
        + short(b"")
        + short(b"order_svc.dead")
        + struct.pack(">I", 3)
    )
    _, _, size = frame_parts(frames[:7])
    what.feed(struct.pack(">BHI", 1, TAKEN, len(got)) + got + FRAME_END_CHAR + frames[(size or 0) + 8 :])
    data = what.bytes_left
    _, _, size = frame_parts(data[:7])
    method, header = unmarshal(data[: (size or 0) + 8])[2], unmarshal(data[(size or 0) + 8 :])[2]
    assert isinstance(method, Basic.GetOk) and isinstance(header, ContentHeader)
    assert (method.delivery_tag, method.routing_key, method.message_count) == (7, "order_svc.dead", 3)
    assert UNREADABLE in (header.properties.headers or {}) and not what.taken
