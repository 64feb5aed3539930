"""The timeline of an order: each message with its publisher, its cause, and the services that handled it.

Pure functions. Built from the services' handled messages, the oldest first, with long pauses marked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush

from contracts.catalog import CATALOG
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.diagnosis.journey_history import HistoryEntry, JourneyHistory
from journey.admin.diagnosis.pending_messages import PendingDelivery, span

PAGE = 100
GAP_MIN = timedelta(seconds=10)


@dataclass
class TimelineMessage:
    """A message. `number`: its position in the timeline, from 1. `by` is empty for a message from outside.

    The services keep no copy of messages from outside, so their `body` is None.
    """

    id: str
    type: str
    at: datetime
    by: str
    body: str | None
    caused_by: str = ""
    number: int = 0
    handled_by: list[HistoryEntry] = field(default_factory=list)
    awaited_by: list[PendingDelivery] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)

    @property
    def meaning(self) -> str:
        contract = CATALOG.get(self.type)
        return ((contract.__doc__ if contract else "") or "").partition("\n")[0]

    def latency(self, handled: HistoryEntry) -> str:
        """The time from publishing to handling."""
        seconds = (handled.at - self.at).total_seconds()
        return f"{seconds * 1000:.0f} ms" if seconds < 1 else span(handled.at - self.at)


@dataclass(frozen=True)
class TimelineRow:
    """A message in the timeline. `pause`: the time since the message before, as text, if it is long."""

    message: TimelineMessage
    pause: str


@dataclass(frozen=True)
class TimelinePage:
    """`before` and `after`: the first numbers of the previous and the next page; None if there is none."""

    rows: tuple[TimelineRow, ...]
    total: int
    before: int | None
    after: int | None


def build_timeline(
    trail: JourneyHistory, awaited: Iterable[PendingDelivery] = (), dead_letters: Iterable[DeadLetter] = ()
) -> list[TimelineMessage]:
    """Every message of a journey, the oldest first."""
    messages: dict[str, TimelineMessage] = {}
    for handled in trail.steps:
        for emitted in handled.says:
            at = datetime.fromisoformat(str(emitted["time"]))
            messages[emitted["id"]] = TimelineMessage(
                emitted["id"], emitted["type"], at, handled.service, _body(emitted), handled.message_id
            )
    for handled in trail.steps:
        message = messages.get(handled.message_id)
        if message is None:
            message = messages[handled.message_id] = TimelineMessage(
                handled.message_id, handled.type, handled.at, "", None
            )
        message.handled_by.append(handled)
    for each in awaited:
        if each.message.id in messages:
            messages[each.message.id].awaited_by.append(each)
    for dead_letter in dead_letters:
        messages.setdefault(dead_letter.id, _from_dead_letter(dead_letter)).dead.append(dead_letter)
    ordered = _causally_ordered(messages)
    for number, message in enumerate(ordered, start=1):
        message.number = number
    return ordered


def _causally_ordered(messages: Mapping[str, TimelineMessage]) -> list[TimelineMessage]:
    """By time, but no message before its cause: clocks differ, and two messages may have the same time."""
    effects: dict[str, list[TimelineMessage]] = {}
    for message in messages.values():
        effects.setdefault(message.caused_by if message.caused_by in messages else "", []).append(message)
    ready = [(message.at, message.id) for message in effects.get("", ())]
    heapify(ready)
    ordered = []
    while ready:
        _, id_ = heappop(ready)
        ordered.append(messages[id_])
        for effect in effects.get(id_, ()):
            heappush(ready, (effect.at, effect.id))
    return ordered


def _from_dead_letter(dead_letter: DeadLetter) -> TimelineMessage:
    """A message that no service has handled: only its dead letter is available."""
    at = dead_letter.sent_at or dead_letter.died_at or datetime.max.replace(tzinfo=UTC)
    return TimelineMessage(
        dead_letter.id, dead_letter.type, at, "", dead_letter.wire_message.body.decode(errors="replace")
    )


def timeline_page(messages: list[TimelineMessage], begin: int = 1, message_id: str = "") -> TimelinePage:
    """The page that begins with this number, or the one that contains this message."""
    if found := next((message for message in messages if message.id == message_id), None):
        begin = (found.number - 1) // PAGE * PAGE + 1
    begin = max(1, min(begin, max(1, len(messages))))
    shown = messages[begin - 1 : begin - 1 + PAGE]
    earlier = [messages[begin - 2] if begin > 1 else None, *shown]
    rows = tuple(
        TimelineRow(message, _pause(before, message)) for before, message in zip(earlier, shown, strict=False)
    )
    after = begin + PAGE
    return TimelinePage(
        rows,
        len(messages),
        max(1, begin - PAGE) if begin > 1 else None,
        after if after <= len(messages) else None,
    )


def _pause(before: TimelineMessage | None, message: TimelineMessage) -> str:
    if before is None or message.at - before.at <= GAP_MIN:
        return ""
    return f"{span(message.at - before.at)} later"


def _body(emitted: Mapping[str, object]) -> str:
    return str(emitted["body"])
