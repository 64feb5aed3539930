"""The progress of an order as customers see it: its steps, its compensation, and a summary.

A pure function of the timeline and the time, so the page and the live stream show the same progress.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from contracts import orders
from contracts.orders import CancelReason, RefuseReason, RejectReason
from gateway.orders import progress_steps
from gateway.orders.compensation_steps import compensation_steps, is_compensated
from gateway.orders.messages import CANCELLATION_MESSAGES
from gateway.orders.order_facts import OrderFacts
from gateway.orders.step_state import ProgressStep, StepState
from gateway.orders.timeline import OrderTimeline, TimelineStatus

DEADLINE = timedelta(minutes=15)
# streams do not stay open for a mail that takes longer; a reload shows it
MAIL_TIMEOUT = timedelta(minutes=1)
_GIVEN_UP = timedelta(minutes=15)  # after this time an unconfirmed PlaceOrder counts as lost
_REFUSED = orders.CancellationRefused.TYPE
_PROMISE = "You can close this page; we will e-mail you."

_REJECTIONS = {
    RejectReason.TOTAL_CHANGED: "A price has changed since you ordered",
    RejectReason.UNKNOWN_SKU: "It contains an item that we do not sell",
    RejectReason.WITHDRAWN: "It contains an item that is no longer for sale",
    RejectReason.QUANTITY_TOO_LARGE: "It exceeds the limits of an order",
    RejectReason.MIXED_CURRENCY: "Its prices are in different currencies",
}


@dataclass(frozen=True, slots=True)
class OrderProgress:
    """`order`: the short order number.

    `tone`: the state of the whole order. `current`: the name of the current step.

    `settled`: no event is expected soon. `note`: about a requested cancellation; empty if there is none.
    """

    order: str
    heading: str
    sentence: str
    tone: StepState
    steps: tuple[ProgressStep, ...]
    compensation: tuple[ProgressStep, ...]
    current: str
    settled: bool
    cancellable: bool
    note: str = ""


def order_number(order_id: UUID) -> str:
    """The short order number for people: the end of the id, which is its random part."""
    return order_id.hex[-6:].upper()


def ordered_at(order_id: UUID, timeline: OrderTimeline) -> datetime | None:
    """The time of the first entry; without one, the time in the id if it is a UUIDv7 (RFC 9562)."""
    if timeline.told and timeline.told[0].at:
        return timeline.told[0].at
    return datetime.fromtimestamp((order_id.int >> 80) / 1000, UTC) if order_id.version == 7 else None


def build_progress(
    order_id: UUID, timeline: OrderTimeline, now: datetime, deadline: timedelta = DEADLINE
) -> OrderProgress:
    """`deadline`: the time after which order_svc cancels an incomplete order."""
    facts = OrderFacts(timeline, ordered_at(order_id, timeline), now, deadline)
    left = (progress_steps.dispatched(facts),) if facts.dispatched else ()
    steps = (
        progress_steps.received(facts),
        progress_steps.stock(facts),
        progress_steps.payment(facts),
        progress_steps.confirmed(facts),
        *left,
        progress_steps.mail(facts),
    )
    compensation = compensation_steps(facts)
    current = _current(steps, compensation)
    asked = _cancellation_asked(timeline)
    return OrderProgress(
        order=order_number(order_id),
        heading=_heading(order_number(order_id), timeline, current),
        sentence=_sentence(facts, steps, current),
        tone=_tone(timeline, current),
        steps=tuple(_with_gaps(steps)),
        compensation=tuple(_with_gaps(compensation)),
        current=current.name,
        settled=_is_settled(facts, asked=asked),
        cancellable=_cancellable(facts, asked=asked),
        note=_note(timeline, asked=asked),
    )


def _current(steps: tuple[ProgressStep, ...], compensation: tuple[ProgressStep, ...]) -> ProgressStep:
    """The step in progress; if there is none, the last completed one."""
    along = (*steps[:-1], *compensation)  # without the mail
    reached = [step for step in along if step.state not in (StepState.NEXT, StepState.SKIPPED)]
    return next((step for step in along if step.state.in_progress), reached[-1])


def _tone(timeline: OrderTimeline, current: ProgressStep) -> StepState:
    match timeline.status:
        case TimelineStatus.CONFIRMED | TimelineStatus.DISPATCHED if not current.state.in_progress:
            return StepState.DONE
        case TimelineStatus.CANCELLED:
            return StepState.UNDONE if timeline.cancel_reason is CancelReason.CUSTOMER else StepState.FAILED
        case TimelineStatus.REJECTED:
            return StepState.FAILED
        case TimelineStatus.NEEDS_ATTENTION:
            return StepState.WAITING
        case _:
            return StepState.WAITING if current.state is StepState.WAITING else StepState.WORKING


def _heading(order: str, timeline: OrderTimeline, current: ProgressStep) -> str:
    match timeline.status:
        case TimelineStatus.CONFIRMED:
            return f"Order {order} is confirmed"
        case TimelineStatus.DISPATCHED:
            return f"Order {order} is on its way to you"
        case TimelineStatus.NEEDS_ATTENTION:
            return f"Order {order} is under review"
        case TimelineStatus.CANCELLED:
            return f"Order {order} is cancelled"
        case TimelineStatus.REJECTED:
            return f"Order {order} was not accepted"
        case _ if current.state is StepState.WAITING:
            return f"Order {order} is {_lower(current.title)}"
        case TimelineStatus.NEW | TimelineStatus.SENDING:
            return f"Order {order} is being submitted"
        case _:
            return f"Order {order} is being prepared"


def _sentence(facts: OrderFacts, steps: tuple[ProgressStep, ...], current: ProgressStep) -> str:
    timeline = facts.timeline
    match timeline.status:
        case TimelineStatus.CONFIRMED:
            return f"We are packing it. {_PROMISE}"
        case TimelineStatus.DISPATCHED:
            return "The parcel has been dispatched."
        case TimelineStatus.NEEDS_ATTENTION:
            return "We are checking a problem with the payment. You do not need to do anything."
        case TimelineStatus.REJECTED:
            return _rejection(facts)
        case TimelineStatus.CANCELLED:
            why = CANCELLATION_MESSAGES[timeline.cancel_reason] if timeline.cancel_reason else ""
            return f"{why} {_about_money(facts)}".strip()
        case _ if current.name == "received" and current.state is StepState.WAITING:
            return current.sentence
        case _:
            step = steps.index(current) + 1
            return f"Step {step} of {len(steps)}: {_lower(current.title).rstrip('…')}. {_PROMISE}"


def _rejection(facts: OrderFacts) -> str:
    rejected, reason = facts.first_entry(orders.OrderRejected), facts.timeline.reject_reason
    why = _REJECTIONS[reason] if reason else "We could not accept it"
    detail = rejected.detail.rstrip(".") if rejected else ""
    return f"{why}{': ' if detail else ''}{detail}. Nothing is charged."


def _about_money(facts: OrderFacts) -> str:
    money = next((step for step in compensation_steps(facts) if step.name == "money"), None)
    if money is None:
        return "Nothing was charged."
    return money.sentence if money.state is StepState.UNDONE else f"{money.title.rstrip('…')}."


def _is_settled(facts: OrderFacts, *, asked: bool) -> bool:
    """Whether no event is expected soon. A later dispatch or cancellation can still change the order."""
    entries, status = facts.timeline.told, facts.timeline.status
    if asked:
        return False
    match status:
        case TimelineStatus.NEW | TimelineStatus.SENDING | TimelineStatus.RECEIVED | TimelineStatus.PLACED:
            return not entries and facts.ordered_at is not None and facts.now - facts.ordered_at > _GIVEN_UP
        case TimelineStatus.CONFIRMED | TimelineStatus.DISPATCHED if not facts.is_paid:
            return False
        case TimelineStatus.CANCELLED if not is_compensated(facts):
            return False
        case _:
            return facts.mails_due <= facts.mails_settled or _long_quiet(facts)


def _long_quiet(facts: OrderFacts) -> bool:
    last = max((entry.at for entry in facts.timeline.told if entry.at), default=None)
    return last is None or facts.now - last > MAIL_TIMEOUT


def _cancellation_asked(timeline: OrderTimeline) -> bool:
    """Whether a requested cancellation is undecided."""
    if timeline.status in (TimelineStatus.CANCELLED, TimelineStatus.REJECTED):
        return False
    kinds = [entry.type for entry in timeline.told if entry.type in ("cancellation_requested", _REFUSED)]
    return bool(kinds) and kinds[-1] != _REFUSED


def _cancellable(facts: OrderFacts, *, asked: bool) -> bool:
    able = (
        TimelineStatus.RECEIVED,
        TimelineStatus.PLACED,
        TimelineStatus.CONFIRMED,
        TimelineStatus.NEEDS_ATTENTION,
    )
    return facts.timeline.status in able and not facts.dispatched and not asked


def _note(timeline: OrderTimeline, *, asked: bool) -> str:
    if asked:
        return "Cancellation requested. We are checking whether the order can still be cancelled."
    refused = [entry.detail for entry in timeline.told if entry.type == _REFUSED]
    if RefuseReason.ALREADY_DISPATCHED in refused:
        return "It was too late to cancel: the parcel has already been dispatched."
    return ""


def _with_gaps(steps: Iterable[ProgressStep]) -> Iterator[ProgressStep]:
    before: datetime | None = None
    for step in steps:
        gap = step.at - before if step.at and before and not step.state.in_progress else timedelta()
        yield replace(step, later=_duration(gap) if gap > progress_steps.SLOW_AFTER else "")
        before = step.at or before


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
