"""The publisher confirms of one channel."""

import asyncio
import struct
from itertools import count

from chassis.bus.protocol import BusUnavailable, Unroutable
from chassis.messaging.envelope import WireMessage

_ACK = struct.pack(">HH", 60, 80)
_NACK = struct.pack(">HH", 60, 120)
CONFIRM_METHODS = frozenset({_ACK, _NACK})

Confirm = asyncio.Future[Exception | None]
"""The result of one publish: None if the broker has confirmed and routed the message."""


class Confirms:
    """The publishes that the broker has not answered yet, by their delivery tag.

    The broker counts the messages on a channel from 1. Therefore every publish on the channel must be
    expected here, in the order in which it is written.
    """

    def __init__(self) -> None:
        self._tags = count(1)
        self._pending: dict[int, tuple[str | None, Confirm]] = {}  # in the order of the tags

    def expect(self, message_id: str | None) -> Confirm:
        confirm: Confirm = asyncio.get_running_loop().create_future()
        self._pending[next(self._tags)] = (message_id, confirm)
        return confirm

    def settle(self, payload: bytes) -> None:
        """Handle the payload of a Basic.Ack or Basic.Nack: its method, the tag,
        and whether it means all tags up to this one.
        """
        tag, bits = struct.unpack_from(">QB", payload, 4)
        nacked = BusUnavailable("the broker rejected the message for now (nack)")
        result = nacked if payload[:4] == _NACK else None
        if not bits & 1:
            self._end(tag, result)
            return
        while self._pending and (first := next(iter(self._pending))) <= tag:
            self._end(first, result)

    def returned(self, wire_message: WireMessage) -> None:
        """The broker returns a message that no queue takes, and confirms it afterwards.

        It does not repeat the tag.
        """
        for tag, (message_id, _) in self._pending.items():
            if message_id == wire_message.message_id:
                key = wire_message.routing_key
                exchange = wire_message.exchange
                self._end(tag, Unroutable(f"no queue takes {key!r} from exchange {exchange!r}"))
                return

    def fail(self, error: Exception) -> None:
        """Give every pending publish this result."""
        for tag in list(self._pending):
            self._end(tag, error)

    def _end(self, tag: int, result: Exception | None) -> None:
        """Ignores a tag that is not pending: the message was returned,
        or its publish failed over an alarm.
        """
        _, confirm = self._pending.pop(tag, (None, None))
        if confirm is not None and not confirm.done():
            confirm.set_result(result)
