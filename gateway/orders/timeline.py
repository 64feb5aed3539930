"""The timeline of an order, the gateway's read model: its customer, its status,
and its events in order of arrival.

`seq` numbers the entries from 1. It is also the id of the server-sent event, so it is the same on every
instance.

Only the newest entries of each type are kept, so that repeated cancellation requests cannot grow an order's
document without bound. `seq` keeps counting.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from contracts.orders import CancelReason, OrderDispatched, RejectReason, TrackingRecorded
from contracts.values import NIL_UUID, Money, PricedLine, RequestedLine

# How many entries of one type are kept. Only cancellation requests and refusals can occur more often.
SAME_TYPE_MAX = 10


class TimelineStatus(StrEnum):
    """Ordered: a status may only be followed by a later one, so a late event does not reset it.
    After a review, an order is confirmed or dispatched again.

    `sending`: the broker has not confirmed the PlaceOrder command yet. `received`: it has.
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


_RANK = {status: rank for rank, status in enumerate(TimelineStatus)}


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One entry. `type`: an event's wire type, or the name of the customer's action.

    `at`: when the event was published; None if unknown. `detail`: a fact for its customer message, such as a
    reason. `items`: the goods that it is about, such as `2 × Kettle, blue`.
    """

    seq: int
    type: str
    at: datetime | None
    detail: str = ""
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderTimeline:
    """`customer_id` is NIL_UUID until an event or the customer's request names the customer.

    `told`: the entries.

    `requested`: the lines of a rejected order, if the gateway did not know its prices and titles.

    `sampled`: whether the order's trace is sampled; None if the gateway did not place the order.

    `refunded`: the sum of the parts that are refunded after the dispatch.

    `resolved`: the attempt of the payment up to which what needed attention is resolved; -1: none.

    `sealed_address`: the delivery address, encrypted; see gateway.delivery. Empty if the gateway did not
    place the order.
    """

    status: TimelineStatus = TimelineStatus.NEW
    customer_id: UUID = NIL_UUID
    lines: tuple[PricedLine, ...] = ()
    requested: tuple[RequestedLine, ...] = ()
    total: Money | None = None
    cancel_reason: CancelReason | None = None
    reject_reason: RejectReason | None = None
    after_confirmation: bool = False
    told: tuple[TimelineEntry, ...] = ()
    sampled: bool | None = None
    resolved: int = -1
    refunded: Money | None = None
    sealed_address: str = field(default="", repr=False)

    def unanswered_since(self, at: datetime) -> bool:
        """Whether the order is not submitted, or was submitted before this time and has no event yet."""
        if self.status is TimelineStatus.RECEIVED:
            return all(entry.at is not None and entry.at < at for entry in self.told)
        return self.status is TimelineStatus.SENDING

    @property
    def seq(self) -> int:
        return self.told[-1].seq if self.told else 0

    @property
    def is_free(self) -> bool:
        """Whether there is nothing to pay; False while the total is unknown."""
        return self.total is not None and self.total.is_zero

    @property
    def tracking(self) -> str:
        """The latest tracking reference, whatever the order of arrival; empty if there is none."""
        recorded = [entry for entry in self.told if entry.type == TrackingRecorded.TYPE]
        return max(recorded, key=_sent_at).detail if recorded else ""

    @property
    def shown_lines(self) -> Sequence[PricedLine | RequestedLine]:
        """The items to display."""
        return self.lines or self.requested

    def with_requested(self, requested: Sequence[RequestedLine]) -> "OrderTimeline":
        """Adds the lines of a rejected order.

        Keeps the prices that the customer saw, and adds missing titles.
        """
        if not self.lines:
            return replace(self, requested=tuple(requested))
        titles = {line.sku: line.title for line in requested}
        lines = (line.model_copy(update={"title": line.title or titles.get(line.sku)}) for line in self.lines)
        return replace(self, lines=tuple(lines))

    def with_entry(
        self, type: str, at: datetime | None, detail: str = "", items: tuple[str, ...] = ()
    ) -> "OrderTimeline":
        same = [entry for entry in self.told if entry.type == type]
        new = TimelineEntry(self.seq + 1, type, at, detail, items)
        if any(replace(entry, seq=new.seq) == new for entry in same) or _is_older(at, same):
            return self
        gone = same[: max(0, len(same) + 1 - SAME_TYPE_MAX)]
        kept = (entry for entry in self.told if entry not in gone)
        return replace(self, told=(*kept, new))

    def since(self, seq: int) -> tuple[TimelineEntry, ...]:
        return tuple(entry for entry in self.told if entry.seq > seq)

    def of_customer(self, customer_id: UUID) -> "OrderTimeline":
        return replace(self, customer_id=customer_id)

    def with_refund(self, refunded: Money) -> "OrderTimeline":
        """The sum only grows, so the largest one is the latest."""
        known = self.refunded.amount_minor if self.refunded else 0
        return replace(self, refunded=refunded) if refunded.amount_minor > known else self

    def needing_attention(self, attempt: int) -> "OrderTimeline":
        """Under review, unless what needed it is resolved already."""
        return self if attempt <= self.resolved else self.advance(TimelineStatus.NEEDS_ATTENTION)

    def after_review(self, attempt: int) -> "OrderTimeline":
        """The one step back: what needed attention up to this attempt is resolved."""
        resolved = replace(self, resolved=max(self.resolved, attempt))
        if self.status is not TimelineStatus.NEEDS_ATTENTION:
            return resolved.advance(TimelineStatus.CONFIRMED)
        dispatched = any(entry.type == OrderDispatched.TYPE for entry in self.told)
        status = TimelineStatus.DISPATCHED if dispatched else TimelineStatus.CONFIRMED
        return replace(resolved, status=status)

    def advance(self, status: TimelineStatus) -> "OrderTimeline":
        """Sets the status, unless the current one is the same or a later one."""
        return self if _RANK[self.status] >= _RANK[status] else replace(self, status=status)


def _sent_at(entry: TimelineEntry) -> tuple[datetime, int]:
    return entry.at or datetime.min.replace(tzinfo=UTC), entry.seq


def _is_older(at: datetime | None, same: Sequence[TimelineEntry]) -> bool:
    """Whether an entry of this time may have been recorded and dropped before."""
    times = [entry.at for entry in same if entry.at]
    return at is not None and len(times) >= SAME_TYPE_MAX and at < min(times)


# Actions of the customer. `at`: their time.


@dataclass(frozen=True, slots=True)
class SubmitOrder:
    """The command is about to be published.

    `lines` and `total`: as the customer saw them. `sampled`: whether the order's trace is. `sealed_address`:
    the delivery address, encrypted.
    """

    customer_id: UUID
    lines: tuple[PricedLine, ...]
    total: Money | None
    at: datetime
    sampled: bool | None = None
    sealed_address: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class OrderSubmitted:
    """The broker has confirmed the PlaceOrder command."""

    at: datetime


@dataclass(frozen=True, slots=True)
class CancellationSubmitted:
    """The broker has confirmed the CancelOrder command."""

    at: datetime


UserAction = SubmitOrder | OrderSubmitted | CancellationSubmitted
