"""Intercepted deliveries equal what aiormq would have read, and all other bytes reach aiormq unchanged."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import aiormq
import pytest
from aiormq.exceptions import ProtocolSyntaxError
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import FrameTypes, marshal
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from chassis.bus.aiormq_frames.messages import RawDelivery
from chassis.bus.aiormq_frames.tap import FrameTap
from chassis.bus.protocol import Delivery
from chassis.bus.rabbitmq_subscription import RabbitSubscription
from chassis.messaging.envelope import WireMessage

TAKEN, OTHER = 1, 2
METHOD = Basic.ConsumeOk("us")
HEARTBEAT = Heartbeat().marshal()

names = st.text(min_size=1, max_size=30)  # pamqp omits empty strings
tables = st.dictionaries(names, st.one_of(names, st.integers(0, 2**31 - 1), st.booleans()))
properties = st.builds(
    Basic.Properties,
    content_type=st.none() | names,
    headers=st.none() | tables,
    delivery_mode=st.sampled_from([None, 1, 2]),
    correlation_id=st.none() | names,
    message_id=st.none() | names,
    message_type=st.none() | names,
    user_id=st.none() | names,
    app_id=st.none() | names,
)
bodies = st.lists(st.binary(min_size=1, max_size=40), max_size=3)


def delivered(
    tag: int, body: Sequence[bytes], with_: Basic.Properties | None = None, channel: int = TAKEN
) -> list[bytes]:
    """The frames of one message, with its body in these pieces."""
    frames: list[FrameTypes] = [
        Basic.Deliver("us", tag, False, "events", "order.placed.v1"),
        ContentHeader(0, sum(map(len, body)), with_ or Basic.Properties()),
        *map(ContentBody, body),
    ]
    return [marshal(frame, channel) for frame in frames]


class Read:
    """A tap with one channel of ours: its messages, and the bytes that are left for aiormq."""

    def __init__(self) -> None:
        self.tap = FrameTap()
        self.taken: list[tuple[int, WireMessage]] = []
        self.tap.take[TAKEN] = lambda taken: self.taken.append((taken.tag, taken.wire_message))
        self._left = b""

    @property
    def bodies(self) -> list[bytes]:
        return [wire_message.body for _, wire_message in self.taken]

    def feed(self, received: bytes) -> None:
        self._left += self.tap.feed(received)

    @property
    def left(self) -> bytes:
        """The bytes for aiormq, without heartbeats."""
        return self._left.replace(HEARTBEAT, b"")

    @property
    def heartbeats(self) -> int:
        return self._left.count(HEARTBEAT)


@given(st.lists(st.tuples(properties, bodies), min_size=1, max_size=4), st.sets(st.integers(1, 1_500)))
def test_messages_are_complete_however_their_bytes_are_split(
    messages: list[tuple[Basic.Properties, list[bytes]]], cuts: set[int]
) -> None:
    async def read() -> tuple[Read, bytes]:
        what = Read()
        between = marshal(METHOD, TAKEN)
        sent = between.join(
            b"".join(delivered(tag, body, with_)) for tag, (with_, body) in enumerate(messages)
        )
        ends = sorted({0, *(cut for cut in cuts if cut < len(sent)), len(sent)})
        for start, end in pairwise(ends):
            what.feed(sent[start:end])
        return what, what.left

    what, left = asyncio.run(read())
    assert left == marshal(METHOD, TAKEN) * (len(messages) - 1)
    assert what.taken == [
        (
            tag,
            WireMessage(
                "events",
                "order.placed.v1",
                b"".join(body),
                with_.message_id,
                with_.message_type,
                with_.app_id,
                with_.correlation_id,
                with_.headers or {},
                with_.content_type,
                with_.user_id,
            ),
        )
        for tag, (with_, body) in enumerate(messages)
    ]


async def test_messages_of_two_channels_may_be_interleaved() -> None:
    what = Read()
    what.tap.take[OTHER] = what.tap.take[TAKEN]
    for one, other in zip(delivered(1, [b"a", b"b"]), delivered(2, [b"c", b"d"], channel=OTHER), strict=True):
        what.feed(one + other)
    assert what.bodies == [b"ab", b"cd"] and what.left == b""


async def test_only_deliveries_of_the_own_channel_are_received() -> None:
    what = Read()
    got: list[FrameTypes] = [
        Basic.GetOk(7, False, "", "order_svc.dead", 0),
        ContentHeader(0, 1, Basic.Properties()),
        ContentBody(b"x"),
    ]
    sent = b"".join([*delivered(1, [b"a"], channel=OTHER), *(marshal(frame, TAKEN) for frame in got)])
    what.feed(sent + HEARTBEAT)
    assert not what.taken and what.left == sent


async def test_deliveries_count_as_heartbeats(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A broker that sends messages sends no heartbeats."""
    what, now = Read(), 100.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    for tag in range(50):
        what.feed(b"".join(delivered(tag, [b"a"])))
        now += 0.5
    assert len(what.taken) == 50 and what.left == b""
    assert 10 < what.heartbeats < 26


async def test_a_frame_without_its_end_breaks_the_connection() -> None:
    what = Read()
    with pytest.raises(ProtocolSyntaxError):
        what.feed(delivered(1, [b"a"])[0][:-1] + b"\0")


async def test_deliveries_on_an_abandoned_channel_are_discarded() -> None:
    """Its delivery tag denotes another message on the next channel, or none:
    an acknowledgement would be wrong.
    """

    class Channel:
        is_closed = False

    def channel() -> aiormq.Channel:
        return Channel()  # type: ignore[return-value]

    received: list[Delivery] = []
    unused: Any = None
    # A larger prefetch would be set on the channel after a second, by a task that outlives the test.
    subscription = RabbitSubscription(unused, "inventory_svc.events", 1, received.append)
    before, now = channel(), channel()
    subscription._channel = now
    wire_message = WireMessage("events", "order.placed.v1", b"", None, None, None, None)
    subscription._take(before, RawDelivery(1, wire_message))
    assert not received
    subscription._take(now, RawDelivery(1, wire_message))
    assert len(received) == 1
