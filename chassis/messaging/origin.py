"""The origin of a message: how it reached its consumer, and who sent it first.

The broker vouches for three facts of a delivery: its exchange, its routing key and, if set, its `user_id`. It
also routes by the headers CC and BCC without checking them, so none of the three alone is enough for a
consumer.

A message that the consumer's own service (retry ladder) or the operator (redrive, backfill) republishes
arrives through the default exchange. Its ORIGIN_HEADERS record how it first arrived, and are checked again.
Every sender can set these headers, so they count only on a message that one of those two has republished.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chassis.messaging.identity import may_be_derived
from chassis.messaging.message import Command, Message, Sender
from chassis.messaging.partitions import input_queue_of
from chassis.messaging.senders import OPERATOR, may_send, senders
from chassis.messaging.topology_names import TopologyNames, input_queue
from chassis.messaging.untrusted import shortened

if TYPE_CHECKING:
    from chassis.messaging.envelope import WireMessage

HANDED_BACK = ""  # the default exchange
ORIGIN_HEADERS = frozenset(("origin_user", "origin_exchange", "origin_key", "origin_detour"))
# Headers that a service sets while it retries a message. From other senders they are ignored.
HOP_HEADERS = frozenset(("attempt", "postponed")) | ORIGIN_HEADERS
# With these headers the broker routes a message to further queues.
COPYING_HEADERS = frozenset(("cc", "bcc"))
# The broker adds these when a queue dead-letters a message to another exchange, and plugins when they move
# it.
_DETOURS = ("x-death", "x-first-death-", "x-last-death-", "x-received-from", "x-shovelled")
_SHOWN_BYTES_MAX = 60


def _quoted(text: object) -> str:
    return repr(shortened(text, _SHOWN_BYTES_MAX))


@dataclass(frozen=True, slots=True)
class Origin:
    """How a message first arrived. `detour`: a header that shows another route than its routing key."""

    user: str
    exchange: str
    key: str
    detour: str = ""

    @classmethod
    def of(cls, wire_message: "WireMessage", reader: str) -> "Origin":
        """The origin of a message that `reader` received; for a republished one,
        that of its first arrival.
        """
        if not handed_back(wire_message, reader):
            return cls(
                wire_message.user_id or "",
                wire_message.exchange,
                wire_message.routing_key,
                detour=_detour(wire_message.headers),
            )
        recorded = {name: str(wire_message.headers.get(name, "")) for name in ORIGIN_HEADERS}
        return cls(
            recorded["origin_user"],
            recorded["origin_exchange"],
            recorded["origin_key"],
            detour=recorded["origin_detour"],
        )

    def headers(self) -> dict[str, str]:
        """The headers that carry the origin to the next hop."""
        recorded = {
            "origin_user": self.user,
            "origin_exchange": self.exchange,
            "origin_key": self.key,
            "origin_detour": self.detour,
        }
        return {name: value for name, value in recorded.items() if value}

    def why_forged(self, contract: type[Message], names: TopologyNames, message_id: str | None = None) -> str:
        """Why a message of this type is rejected as forged; empty if it is accepted.

        If a client could choose the id of a message that a service will send, that message would be taken for
        a duplicate.
        """
        exchange = names.exchange_of(contract)
        if not self.user:
            return f"{contract.TYPE} has no user_id; set the user_id property to your broker user"
        if not may_send(self.user, contract, names):
            return (
                f"{contract.TYPE} must come from {' or '.join(senders(contract))}, the broker says "
                f"{self.user!r}"
            )
        if self.exchange != exchange:
            return (
                f"{contract.TYPE} arrived through exchange {_quoted(self.exchange)}; publish it to "
                f"{exchange!r}"
            )
        if self.key != contract.TYPE:
            return f"{contract.TYPE} has the routing key {_quoted(self.key)}; the two must be equal"
        if names.is_client(self.user) and may_be_derived(message_id or ""):
            return (
                f"{contract.TYPE} has a version 5 UUID as message_id; those are reserved for services, use "
                "another id"
            )
        if self.detour:
            return (
                f"{contract.TYPE} carries the header {self.detour}; publish it once, under its own routing "
                "key"
            )
        return ""


def handed_back(wire_message: "WireMessage", reader: str) -> bool:
    """Whether `reader` itself or the operator published it directly to the queue:
    then its origin headers count.
    """
    return wire_message.exchange == HANDED_BACK and wire_message.user_id in (reader, OPERATOR)


def why_forged(
    wire_message: "WireMessage", contract: type[Message], reader: str, *, names: TopologyNames
) -> str:
    """Why `reader` rejects a received message as forged; empty if it accepts it."""
    if wire_message.exchange != HANDED_BACK:
        return Origin.of(wire_message, reader).why_forged(contract, names, wire_message.message_id)
    queue = input_queue(reader, contract)
    if not handed_back(wire_message, reader):
        user = wire_message.user_id
        return (
            f"{contract.TYPE} was published straight into the queue by {user!r}; only {OPERATOR!r} may do "
            "that"
        )
    if input_queue_of(wire_message.routing_key) != queue:
        return f"{contract.TYPE} was handed back under {_quoted(wire_message.routing_key)}, not to {queue!r}"
    if wire_message.user_id == reader and not (wire_message.attempt or wire_message.postponed):
        return (
            f"{contract.TYPE} was published straight into the queue by {reader!r}, and not through its retry "
            "ladder"
        )
    if copying := _copying(wire_message.headers):
        return f"{contract.TYPE} was handed back with the header {copying}"
    origin = Origin.of(wire_message, reader)
    if origin.user:
        return origin.why_forged(contract, names, wire_message.message_id)
    if wire_message.user_id == reader:
        return origin_before(contract, names).why_forged(contract, names)
    return f"{contract.TYPE} was handed back by {wire_message.user_id!r} without the user who sent it first"


def origin_before(contract: type[Message], names: TopologyNames) -> Origin:
    """The assumed origin of a message that a service put on its retry ladder before origins were recorded.

    At that time a service checked the sender of events and of its own commands. Other commands are assumed to
    come from clients, except those of the staff: they were not checked, so the staff must send them again.
    """
    checked = not issubclass(contract, Command) or contract.SENDER is Sender.SELF
    user = contract.OWNER if checked else names.client
    return Origin(user, names.exchange_of(contract), contract.TYPE)


def _detour(headers: Mapping[str, Any]) -> str:
    """A header that shows another route; of those that the broker adds, only the ones about another queue."""
    return _copying(headers) or next((name for name in headers if name.lower().startswith(_DETOURS)), "")


def _copying(headers: Mapping[str, Any]) -> str:
    return next((name for name in headers if name.lower() in COPYING_HEADERS), "")
