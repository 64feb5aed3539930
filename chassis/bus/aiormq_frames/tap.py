"""Takes messages, confirms and alarms out of the broker's byte stream; the rest is for aiormq."""

import asyncio
import struct
from collections.abc import Callable

from aiormq.exceptions import ProtocolSyntaxError
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from chassis import telemetry
from chassis.bus.aiormq_frames.confirms import CONFIRM_METHODS, Confirms
from chassis.bus.aiormq_frames.messages import (
    METHODS,
    PartialMessage,
    RawDelivery,
    properties_of,
    short_string,
)
from chassis.bus.protocol import PublishingBlocked
from chassis.messaging.untrusted import count

# A frame of AMQP 0-9-1: kind, channel, size of the payload; the payload; FRAME_END.
_FRAME_HEADER = struct.Struct(">BHI")
_METHOD = 1
_HEADER = 2
_BODY = 3
_FRAME_END = 0xCE
_BLOCKED = struct.pack(">HH", 10, 60)
_UNBLOCKED = struct.pack(">HH", 10, 61)
_SIGN_OF_LIFE_S = 1.0

Take = Callable[[RawDelivery], None]
"""Receives each message of a channel."""


class FrameTap:
    """The frames of one connection.

    `take`: channel number -> receiver of its deliveries. `confirms`: channel number -> its publisher
    confirms. Messages and confirms of other channels are for aiormq. A message that aiormq gets is decoded
    here and encoded again, because aiormq closes the connection over one that it cannot decode.
    """

    def __init__(self) -> None:
        self.take: dict[int, Take] = {}
        self.confirms: dict[int, Confirms] = {}
        self.alarm = ""  # why the broker blocks publishing; empty if it does not
        self._partial: dict[int, PartialMessage] = {}
        self._rest = b""
        self._last_sign_at = 0.0

    def feed(self, received: bytes) -> bytes:
        """Handle the broker's bytes and return those that are for aiormq: whole frames.

        Raises ProtocolSyntaxError only if the bytes are not AMQP frames; the connection cannot continue then.
        """
        data = self._rest + received
        others: list[bytes] = []
        kept = False
        at = 0
        while len(data) >= at + _FRAME_HEADER.size:
            kind, channel, size = _FRAME_HEADER.unpack_from(data, at)
            start = at + _FRAME_HEADER.size
            if len(data) < (end := start + size + 1):
                break
            if data[end - 1] != _FRAME_END:
                raise ProtocolSyntaxError("the broker sent a frame without its end")
            left = self._handle(kind, channel, data[start : end - 1])
            if left is None:
                others.append(data[at:end])
            else:
                others.append(left)
                kept = True
            at = end
        self._rest = data[at:]
        if kept:
            others.append(self._sign_of_life())
        return b"".join(others)

    def _sign_of_life(self) -> bytes:
        """A heartbeat for aiormq, at most one a second.

        A broker that sends messages sends no heartbeats, so aiormq would consider the connection dead.
        """
        now = asyncio.get_running_loop().time()
        if now <= self._last_sign_at + _SIGN_OF_LIFE_S:
            return b""
        self._last_sign_at = now
        return bytes(Heartbeat().marshal())

    def _handle(self, kind: int, channel: int, payload: bytes) -> bytes | None:
        """None if the frame is for aiormq as it is; otherwise what aiormq gets in its place."""
        if kind == _METHOD:
            return self._handle_method(channel, payload)
        partial = self._partial.get(channel)
        if partial is None or kind not in (_HEADER, _BODY):
            return None
        if kind == _HEADER:
            partial.add_header(payload)
        else:
            partial.add_body(payload)
        if not partial.complete:
            return b""
        del self._partial[channel]
        return self._handle_message(channel, partial)

    def _handle_method(self, channel: int, payload: bytes) -> bytes | None:
        method = payload[:4]
        if begin := METHODS.get(method):
            self._partial[channel] = begin(payload)
            return b""
        if method in CONFIRM_METHODS and (confirms := self.confirms.get(channel)):
            confirms.settle(payload)
            return b""
        if channel == 0 and method in (_BLOCKED, _UNBLOCKED):
            self._handle_alarm(payload)
        return None

    def _handle_message(self, channel: int, partial: PartialMessage) -> bytes:
        method = partial.method
        wire_message = partial.wire_message()
        if isinstance(method, Basic.Deliver) and (take := self.take.get(channel)):
            # The sender can forge this header, but not the broker's redelivered flag.
            returned = count(wire_message.headers.get("x-delivery-count")) if method.redelivered else 0
            tag = method.delivery_tag or 0
            consumer = method.consumer_tag or ""
            take(RawDelivery(tag, wire_message, consumer, returned=returned))
            return b""
        if isinstance(method, Basic.Return) and (confirms := self.confirms.get(channel)):
            confirms.returned(wire_message)
            return b""
        header = ContentHeader(0, len(wire_message.body), properties_of(wire_message))
        frames = [method, header, *([ContentBody(wire_message.body)] if wire_message.body else [])]
        return b"".join(marshal(frame, channel) for frame in frames)

    def _handle_alarm(self, payload: bytes) -> None:
        """A broker that blocks publishing sends no confirms, so pending publishes fail at once."""
        if payload[:4] == _UNBLOCKED:
            self.alarm = ""
            telemetry.log.info("the broker takes messages again")
            return
        self.alarm = short_string(payload, 4)[0].decode(errors="replace") or "a resource alarm"
        telemetry.log.warning("the broker takes no messages", reason=self.alarm)
        for confirms in self.confirms.values():
            confirms.fail(PublishingBlocked(self.alarm))

    def forget(self, channel: int, confirms: Confirms) -> None:
        """A channel has closed. Its number may already belong to the next one, which has other confirms."""
        if self.confirms.get(channel) is confirms:
            del self.confirms[channel]
            self.take.pop(channel, None)
