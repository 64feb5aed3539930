"""What the gateway remembers of an order: whose it is, and what was told about it, in the order in which it came.

`seq` numbers what was told, from 1. It is the id of the server-sent event, so it means the same on every instance.

Of repeated events (refused cancellations) only the newest are kept, so that no client can grow an order's page or
document without bound. `seq` keeps counting.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from contracts.orders import CancelReason, RejectReason
from contracts.values import NOBODY, Money, PricedLine, RequestedLine

# How many things of one type are kept. Only refusals and requests ever come more often.
SAME_TYPE_MAX = 10


class Status(StrEnum):
    """In the order in which one may follow another: news that comes late does not turn a status back.

    `sending`: its owner asked for it, and the broker has not confirmed that yet. `received`: it has.
    """

    NEW = "new"
    SENDING = "sending"
    RECEIVED = "received"
    PLACED = "placed"
    CONFIRMED = "confirmed"
    DISPATCHED = "dispatched"
    NEEDS_ATTENTION = "needs_attention"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


_RANK = {status: rank for rank, status in enumerate(Status)}


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that was told. `type`: an event's wire type, or what the owner asked for, in a word.

    `at`: when it was said; None if that is not known. `detail`: a fact that goes with it, for a sentence.
    """

    seq: int
    type: str
    at: datetime | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Journey:
    """`customer_id` is NOBODY until an event, or the owner's own request, has said whose order it is.

    `requested`: what a rejected order asked for, where the door did not know its prices and titles itself.
    """

    status: Status = Status.NEW
    customer_id: UUID = NOBODY
    lines: tuple[PricedLine, ...] = ()
    requested: tuple[RequestedLine, ...] = ()
    total: Money | None = None
    cancel_reason: CancelReason | None = None
    reject_reason: RejectReason | None = None
    after_confirmation: bool = False
    told: tuple[Told, ...] = ()

    @property
    def seq(self) -> int:
        return self.told[-1].seq if self.told else 0

    @property
    def shown_lines(self) -> Sequence[PricedLine | RequestedLine]:
        """What to show as the order's items."""
        return self.lines or self.requested

    def with_requested(self, requested: Sequence[RequestedLine]) -> "Journey":
        """The order as it was asked for. Prices that the customer saw at the door stay; missing titles are added."""
        if not self.lines:
            return replace(self, requested=tuple(requested))
        titles = {line.sku: line.title for line in requested}
        lines = (line.model_copy(update={"title": line.title or titles.get(line.sku)}) for line in self.lines)
        return replace(self, lines=tuple(lines))

    def telling(self, type: str, at: datetime | None, detail: str = "") -> "Journey":
        same = [told for told in self.told if told.type == type]
        if any((told.at, told.detail) == (at, detail) for told in same) or _is_older(at, same):
            return self
        gone = same[: max(0, len(same) + 1 - SAME_TYPE_MAX)]
        kept = (told for told in self.told if told not in gone)
        return replace(self, told=(*kept, Told(self.seq + 1, type, at, detail)))

    def since(self, seq: int) -> tuple[Told, ...]:
        return tuple(told for told in self.told if told.seq > seq)

    def reaching(self, status: Status) -> "Journey":
        """At least as far as this."""
        return self if _RANK[self.status] >= _RANK[status] else replace(self, status=status)


def _is_older(at: datetime | None, same: Sequence[Told]) -> bool:
    """Whether it may have been told and dropped before."""
    times = [told.at for told in same if told.at]
    return at is not None and len(times) >= SAME_TYPE_MAX and at < min(times)


# What its owner asks for at our door. `at`: when they did.


@dataclass(frozen=True, slots=True)
class Send:
    """An order is about to be asked for. `lines` and `total`: as the customer saw them."""

    customer_id: UUID
    lines: tuple[PricedLine, ...]
    total: Money | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Sent:
    """The broker has confirmed the request."""

    at: datetime


@dataclass(frozen=True, slots=True)
class CancellationSent:
    """The broker has confirmed that the owner wants to cancel."""

    at: datetime


Asked = Send | Sent | CancellationSent
