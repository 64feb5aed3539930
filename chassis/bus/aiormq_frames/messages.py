"""Parses the frames of a message from the broker's bytes."""

import struct
from dataclasses import dataclass, field, replace

from pamqp.commands import Basic
from pamqp.header import ContentHeader

from chassis.bus.amqp_properties import Undecodable, decode
from chassis.messaging.envelope import BODY_BYTES_MAX, BODY_SIZE, WireMessage, unreadable

_SHORT_STRING_BYTES_MAX = 255


@dataclass(frozen=True, slots=True)
class RawDelivery:
    """A message with its channel's delivery tag, its consumer tag, and the number of earlier deliveries."""

    tag: int
    wire_message: WireMessage
    consumer: str = ""
    returned: int = 0


Method = Basic.Deliver | Basic.GetOk | Basic.Return
"""The methods that carry a message."""


@dataclass(slots=True)
class PartialMessage:
    """A message whose frames are still arriving.

    Of an oversized body only the first BODY_BYTES_MAX bytes are kept.
    """

    method: Method
    why_unreadable: str = ""
    properties: bytes | None = None
    size: int = 0
    received: int = 0
    pieces: list[bytes] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return self.properties is not None and self.received >= self.size

    def add_header(self, payload: bytes) -> None:
        self.size = int.from_bytes(payload[4:12])
        self.properties = payload[12:]

    def add_body(self, piece: bytes) -> None:
        if room := max(0, BODY_BYTES_MAX - self.received):
            self.pieces.append(piece[:room])
        self.received += len(piece)

    def wire_message(self) -> WireMessage:
        """The complete message.

        Never raises: content that cannot be decoded becomes an unreadable message.
        """
        assert self.properties is not None
        exchange = self.method.exchange or ""
        key = self.method.routing_key or ""
        body = b"".join(self.pieces)
        try:
            wire_message = _wire_message(exchange, key, properties=decode(self.properties), body=body)
        except Undecodable as error:
            bare = WireMessage(
                exchange,
                key,
                body,
                message_id=None,
                type=None,
                app_id=None,
                correlation_id=None,
                content_type=None,
            )
            wire_message = unreadable(bare, str(error), self.properties)
        if self.why_unreadable:
            wire_message = unreadable(wire_message, self.why_unreadable, self.properties)
        if self.size > BODY_BYTES_MAX:
            why = f"body of {self.size} bytes, at most {BODY_BYTES_MAX} are allowed"
            wire_message = unreadable(wire_message, why)
            wire_message = replace(wire_message, headers={**wire_message.headers, BODY_SIZE: self.size})
        return wire_message


def _deliver(payload: bytes) -> PartialMessage:
    tag, at = short_string(payload, 4)
    number, redelivered = struct.unpack_from(">Q?", payload, at)
    (exchange, key), why = _address(payload, at + 9)
    return PartialMessage(
        Basic.Deliver(tag.decode(), number, redelivered, exchange=exchange, routing_key=key), why
    )


def _get_ok(payload: bytes) -> PartialMessage:
    number, redelivered = struct.unpack_from(">Q?", payload, 4)
    (exchange, key), why = _address(payload, 13)
    left = int.from_bytes(payload[-4:])
    return PartialMessage(
        Basic.GetOk(number, redelivered, exchange, routing_key=key, message_count=left), why
    )


def _return(payload: bytes) -> PartialMessage:
    text, at = short_string(payload, 6)
    (exchange, key), why = _address(payload, at)
    code = int.from_bytes(payload[4:6])
    return PartialMessage(Basic.Return(code, text.decode(errors="replace"), exchange, routing_key=key), why)


METHODS = {
    struct.pack(">HH", 60, 60): _deliver,
    struct.pack(">HH", 60, 71): _get_ok,
    struct.pack(">HH", 60, 50): _return,
}
"""The first four bytes of a method frame, its class id and its method id -> the parser of the frame."""


def _address(payload: bytes, at: int) -> tuple[tuple[str, str], str]:
    """Exchange and routing key, and why they are unreadable, if they are: the sender chooses the key,
    in any bytes.
    """
    exchange, at = short_string(payload, at)
    key, _ = short_string(payload, at)
    try:
        return (exchange.decode(), key.decode()), ""
    except UnicodeDecodeError:
        shown = (_escaped(exchange), _escaped(key))
        return shown, "the routing key is not UTF-8"


def _escaped(raw: bytes) -> str:
    """Text that fits into an AMQP short string."""
    text = raw.decode(errors="backslashreplace").encode()[:_SHORT_STRING_BYTES_MAX]
    return text.decode(errors="ignore")


def short_string(payload: bytes, at: int) -> tuple[bytes, int]:
    """The string's bytes, and the offset of the next field."""
    end = at + 1 + payload[at]
    return payload[at + 1 : end], end


def decoded_wire_message(method: Method, header: ContentHeader, body: bytes) -> WireMessage:
    """The message that aiormq has decoded."""
    exchange = method.exchange or ""
    key = method.routing_key or ""
    return _wire_message(exchange, key, properties=header.properties, body=body)


def _wire_message(
    exchange: str, routing_key: str, *, properties: Basic.Properties, body: bytes
) -> WireMessage:
    return WireMessage(
        exchange,
        routing_key,
        body,
        message_id=properties.message_id,
        type=properties.message_type,
        app_id=properties.app_id,
        correlation_id=properties.correlation_id,
        headers=properties.headers or {},
        content_type=properties.content_type,
        user_id=properties.user_id,
    )


def properties_of(
    wire_message: WireMessage, *, user_id: str | None = None, delivery_mode: int | None = None
) -> Basic.Properties:
    """The AMQP properties of a message, for publishing. `user_id` replaces the message's own."""
    return Basic.Properties(
        content_type=wire_message.content_type,
        headers=dict(wire_message.headers) or None,
        delivery_mode=delivery_mode,
        correlation_id=wire_message.correlation_id,
        message_id=wire_message.message_id,
        message_type=wire_message.type,
        user_id=wire_message.user_id if user_id is None else user_id,
        app_id=wire_message.app_id,
    )
