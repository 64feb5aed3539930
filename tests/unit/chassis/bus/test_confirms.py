"""Publisher confirms as the broker's frames: acknowledgements, rejections, returns, alarms."""

import struct

import pytest
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import FrameTypes, marshal
from pamqp.header import ContentHeader

from chassis.bus.aiormq_frames.confirms import Confirm, Confirms
from chassis.bus.aiormq_frames.tap import FrameTap
from chassis.bus.protocol import BusUnavailable, PublishingBlocked, Unroutable

OURS, OTHER = 1, 2
HEARTBEAT = struct.pack(">BHIB", 8, 0, 0, 0xCE)


class Published:
    """A tap with one channel of ours, on which some messages wait for their confirms."""

    def __init__(self, *message_ids: str) -> None:
        self.tap, self.confirms = FrameTap(), Confirms()
        self.tap.confirms[OURS] = self.confirms
        self.pending: list[Confirm] = [self.confirms.expect(message_id) for message_id in message_ids]

    def feed(self, *frames: FrameTypes, channel: int = OURS) -> bytes:
        """The bytes that the tap leaves for aiormq, without heartbeats."""
        left = self.tap.feed(b"".join(marshal(frame, channel) for frame in frames))
        return left.replace(HEARTBEAT, b"")

    @property
    def results(self) -> list[Exception | str | None]:
        return [confirm.result() if confirm.done() else "pending" for confirm in self.pending]


def returned(message_id: str) -> list[FrameTypes]:
    return [
        Basic.Return(312, "NO_ROUTE", "events", "order.placed.v1"),
        ContentHeader(0, 2, Basic.Properties(message_id=message_id)),
        ContentBody(b"{}"),
    ]


async def test_one_acknowledgement_may_confirm_many_messages() -> None:
    published = Published("a", "b", "c", "d")
    published.feed(Basic.Ack(3, multiple=True))
    assert published.results == [None, None, None, "pending"]
    published.feed(Basic.Ack(4))
    assert published.results == [None, None, None, None]


async def test_confirms_may_arrive_in_any_order() -> None:
    published = Published("a", "b", "c")
    published.feed(Basic.Ack(2))
    assert published.results == ["pending", None, "pending"]
    published.feed(Basic.Ack(3, multiple=True))
    assert published.results == [None, None, None]


@pytest.mark.parametrize("multiple", [False, True])
async def test_a_rejected_message_may_be_published_again_later(multiple: bool) -> None:
    published = Published("a")
    published.feed(Basic.Nack(1, multiple=multiple, requeue=False))
    assert isinstance(published.results[0], BusUnavailable)


async def test_a_returned_message_is_unroutable_although_the_broker_confirms_it() -> None:
    published = Published("a", "b")
    published.feed(*returned("b"), Basic.Ack(2, multiple=True))
    assert published.results[0] is None
    assert isinstance(published.results[1], Unroutable) and "order.placed.v1" in str(published.results[1])


async def test_of_two_equal_publishes_the_earlier_is_returned() -> None:
    """The first publish had no confirm in time, so the message was published again."""
    published = Published("a", "a")
    published.feed(*returned("a"), Basic.Ack(1), Basic.Ack(2))
    assert isinstance(published.results[0], Unroutable) and published.results[1] is None


async def test_an_alarm_fails_pending_publishes_and_ignores_later_confirms() -> None:
    published = Published("a")
    blocked = marshal(commands.Connection.Blocked("low on disk"), 0)
    assert published.tap.feed(blocked) == blocked, "aiormq notices it too"
    assert published.tap.alarm == "low on disk"
    assert isinstance(published.results[0], PublishingBlocked)
    published.tap.feed(marshal(commands.Connection.Unblocked(), 0))
    published.pending.append(published.confirms.expect("b"))
    published.feed(Basic.Ack(1))
    assert published.tap.alarm == "" and published.results[1] == "pending"
    published.feed(Basic.Ack(2))
    assert published.results[1] is None


async def test_confirms_and_returns_of_other_channels_are_left_to_aiormq() -> None:
    published = Published("a")
    frames = [*returned("a"), Basic.Ack(1)]
    assert published.feed(*frames, channel=OTHER) == b"".join(marshal(frame, OTHER) for frame in frames)
    assert published.results == ["pending"]


async def test_a_closed_channel_ignores_confirms_of_its_successor() -> None:
    published = Published("a")
    next_confirms = Confirms()
    published.tap.confirms[OURS] = next_confirms
    published.tap.forget(OURS, published.confirms)
    assert published.tap.confirms[OURS] is next_confirms
    published.tap.forget(OURS, next_confirms)
    assert OURS not in published.tap.confirms


async def test_an_acknowledgement_is_a_sign_of_life_for_aiormq() -> None:
    """A broker that sends confirms sends no heartbeats."""
    published = Published("a")
    assert published.tap.feed(marshal(Basic.Ack(1), OURS)) == HEARTBEAT
