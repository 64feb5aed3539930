"""An order's journey as a picture: its stops, what is undone, and one sentence about it all.

Drawn from what the gateway has written down, and from the time; the page and the live stream show the same picture.
Pure: the same journey at the same time gives the same picture.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from contracts import orders
from contracts.orders import CancelReason, RefuseReason, RejectReason
from gateway import stops
from gateway.journey import Journey, Status
from gateway.stops import Facts, State, Stop
from gateway.undoing import is_undone, way_back
from gateway.wording import REASONS

DEADLINE = timedelta(minutes=15)
MAIL_PATIENCE = timedelta(minutes=1)  # a mail that takes longer is worth no open stream; its news is there on reload
_GIVEN_UP = timedelta(minutes=15)  # an order that its owner never managed to send
_REFUSED = orders.CancellationRefused.TYPE
_PROMISE = "You can close this page; we will write to you."

_REJECTIONS = {
    RejectReason.TOTAL_CHANGED: "A price has changed meanwhile",
    RejectReason.UNKNOWN_SKU: "There is something in it that we do not sell",
    RejectReason.WITHDRAWN: "There is something in it that we do not sell any more",
    RejectReason.QUANTITY_TOO_LARGE: "It is more than one order may have",
    RejectReason.MIXED_CURRENCY: "Its prices are in several currencies",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """`line`: the way forward, `back`: what is undone. `current`: the name of the stop where the order is now.

    `resting`: nothing more is expected soon. `note`: about a cancellation that was asked for.
    """

    order: str
    heading: str
    sentence: str
    tone: State
    line: tuple[Stop, ...]
    back: tuple[Stop, ...]
    current: str
    resting: bool
    cancellable: bool
    note: str = ""


def number(order_id: UUID) -> str:
    """What a person calls an order: the end of its id, which is its random part."""
    return order_id.hex[-6:].upper()


def begun_at(order_id: UUID, journey: Journey) -> datetime | None:
    """When it was asked for: its first news says so, or its id if that is a UUIDv7 (RFC 9562)."""
    if journey.told and journey.told[0].at:
        return journey.told[0].at
    return datetime.fromtimestamp((order_id.int >> 80) / 1000, UTC) if order_id.version == 7 else None


def draw(order_id: UUID, journey: Journey, now: datetime, deadline: timedelta = DEADLINE) -> Picture:
    """`deadline`: how long order_svc waits before it ends an order."""
    facts = Facts(journey, begun_at(order_id, journey), now, deadline)
    left = (stops.dispatched(facts),) if facts.dispatched else ()
    line = (
        stops.received(facts),
        stops.stock(facts),
        stops.payment(facts),
        stops.confirmed(facts),
        *left,
        stops.mail(facts),
    )
    back = way_back(facts)
    current = _current(line, back)
    asked = _cancellation_asked(journey)
    return Picture(
        order=number(order_id),
        heading=_heading(number(order_id), journey, current),
        sentence=_sentence(facts, line, current),
        tone=_tone(journey, current),
        line=tuple(_with_gaps(line)),
        back=tuple(_with_gaps(back)),
        current=current.name,
        resting=_resting(facts, asked=asked),
        cancellable=_cancellable(facts, asked=asked),
        note=_note(journey, asked=asked),
    )


def _current(line: tuple[Stop, ...], back: tuple[Stop, ...]) -> Stop:
    """Where something goes on; else the last thing that happened to the order itself."""
    along = (*line[:-1], *back)  # without the mail
    reached = [stop for stop in along if stop.state not in (State.NEXT, State.SKIPPED)]
    return next((stop for stop in along if stop.state.going_on), reached[-1])


def _tone(journey: Journey, current: Stop) -> State:
    match journey.status:
        case Status.CONFIRMED | Status.DISPATCHED if not current.state.going_on:
            return State.DONE
        case Status.CANCELLED:
            return State.UNDONE if journey.cancel_reason is CancelReason.CUSTOMER else State.FAILED
        case Status.REJECTED:
            return State.FAILED
        case Status.NEEDS_ATTENTION:
            return State.WAITING
        case _:
            return State.WAITING if current.state is State.WAITING else State.WORKING


def _heading(order: str, journey: Journey, current: Stop) -> str:
    match journey.status:
        case Status.CONFIRMED:
            return f"Order {order} is confirmed"
        case Status.DISPATCHED:
            return f"Order {order} is on its way to you"
        case Status.NEEDS_ATTENTION:
            return f"Somebody at the shop looks at order {order}"
        case Status.CANCELLED:
            return f"Order {order} is cancelled"
        case Status.REJECTED:
            return f"Order {order} was not taken"
        case _ if current.state is State.WAITING:
            return f"Order {order} is {_lower(current.title)}"
        case Status.NEW | Status.SENDING:
            return f"Order {order} is being sent"
        case _:
            return f"Order {order} is being prepared"


def _sentence(facts: Facts, line: tuple[Stop, ...], current: Stop) -> str:
    journey = facts.journey
    match journey.status:
        case Status.CONFIRMED:
            return f"We pack it now. {_PROMISE}"
        case Status.DISPATCHED:
            return "The parcel has left."
        case Status.NEEDS_ATTENTION:
            return "The payment is held up. You need not do anything."
        case Status.REJECTED:
            return _rejection(facts)
        case Status.CANCELLED:
            why = REASONS[journey.cancel_reason] if journey.cancel_reason else ""
            return f"{why} {_about_money(facts)}".strip()
        case _ if current.name == "received" and current.state is State.WAITING:
            return current.sentence
        case _:
            step = line.index(current) + 1
            return f"Step {step} of {len(line)}: {_lower(current.title).rstrip('…')}. {_PROMISE}"


def _rejection(facts: Facts) -> str:
    rejected, reason = facts.said(orders.OrderRejected), facts.journey.reject_reason
    why = _REJECTIONS[reason] if reason else "We could not take it"
    detail = rejected.detail.rstrip(".") if rejected else ""
    return f"{why}{': ' if detail else ''}{detail}. Nothing is charged."


def _about_money(facts: Facts) -> str:
    money = next((stop for stop in way_back(facts) if stop.name == "money"), None)
    if money is None:
        return "Nothing was charged."
    return money.sentence if money.state is State.UNDONE else f"{money.title.rstrip('…')}."


def _resting(facts: Facts, *, asked: bool) -> bool:
    """Whether an open stream would only wait. The order may still move later: a parcel leaves, its owner cancels."""
    told, status = facts.journey.told, facts.journey.status
    if asked:
        return False
    match status:
        case Status.NEW | Status.SENDING | Status.RECEIVED | Status.PLACED:
            return not told and facts.begun_at is not None and facts.now - facts.begun_at > _GIVEN_UP
        case Status.CONFIRMED | Status.DISPATCHED if not stops.is_paid(facts):
            return False
        case Status.CANCELLED if not is_undone(facts):
            return False
        case _:
            return facts.mails_due <= facts.mails_settled or _long_quiet(facts)


def _long_quiet(facts: Facts) -> bool:
    last = max((told.at for told in facts.journey.told if told.at), default=None)
    return last is None or facts.now - last > MAIL_PATIENCE


def _cancellation_asked(journey: Journey) -> bool:
    """Whether the owner waits for the answer to a cancellation."""
    if journey.status in (Status.CANCELLED, Status.REJECTED):
        return False
    words = [told.type for told in journey.told if told.type in ("cancellation_requested", _REFUSED)]
    return bool(words) and words[-1] != _REFUSED


def _cancellable(facts: Facts, *, asked: bool) -> bool:
    able = (Status.RECEIVED, Status.PLACED, Status.CONFIRMED, Status.NEEDS_ATTENTION)
    return facts.journey.status in able and not facts.dispatched and not asked


def _note(journey: Journey, *, asked: bool) -> str:
    if asked:
        return "Cancellation requested. We find out whether the order can still be stopped."
    refused = [told.detail for told in journey.told if told.type == _REFUSED]
    if RefuseReason.ALREADY_DISPATCHED in refused:
        return "It was too late to cancel: the parcel has left."
    return ""


def _with_gaps(line: Iterable[Stop]) -> Iterator[Stop]:
    before: datetime | None = None
    for stop in line:
        gap = stop.at - before if stop.at and before and not stop.state.going_on else timedelta()
        yield replace(stop, later=_duration(gap) if gap > stops.LONG else "")
        before = stop.at or before


def _duration(gap: timedelta) -> str:
    minutes = round(gap.total_seconds() / 60)
    if minutes < 1:
        return f"{round(gap.total_seconds())} s later"
    if minutes < 120:
        return f"{minutes} min later"
    hours = round(minutes / 60)
    return f"{hours} h later" if hours < 48 else f"{round(hours / 24)} days later"


def _lower(title: str) -> str:
    return title[:1].lower() + title[1:]
