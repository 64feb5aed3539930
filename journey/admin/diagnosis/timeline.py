"""The timeline of an order: each message with its publisher, its cause, and the services that handled it.

Pure functions, built from the services' handled messages; the oldest message first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import heapify, heappop, heappush

from contracts.catalog import CATALOG
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.diagnosis.journey_history import HistoryEntry, JourneyHistory
from journey.admin.diagnosis.pending_messages import PendingDelivery
from journey.admin.durations import duration
from journey.admin.text_sanitizer import plain


@dataclass
class TimelineMessage:
    """A message. `number`: its position in the timeline, from 1. `by` is empty for a message from outside.

    The services keep no copy of messages from outside, so their `body` is None. `at`: when it was sent; if
    nothing has recorded that, when it was first handled, and `sent_known` is False.
    """

    id: str
    type: str
    at: datetime
    by: str
    body: str | None
    caused_by: str = ""
    number: int = 0
    sent_known: bool = True
    handled_by: list[HistoryEntry] = field(default_factory=list)
    awaited_by: list[PendingDelivery] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)

    @property
    def meaning(self) -> str:
        contract = CATALOG.get(self.type)
        return ((contract.__doc__ if contract else "") or "").partition("\n")[0]

    def latency(self, handled: HistoryEntry) -> str:
        """The time from publishing to handling."""
        return duration(handled.at - self.at)


def build_timeline(
    history: JourneyHistory, awaited: Iterable[PendingDelivery] = (), dead_letters: Iterable[DeadLetter] = ()
) -> list[TimelineMessage]:
    """Every message of a journey, the oldest first."""
    messages: dict[str, TimelineMessage] = {}
    for handled in history.entries:
        for emitted in handled.says:
            at = datetime.fromisoformat(str(emitted["time"]))
            messages[emitted["id"]] = TimelineMessage(
                emitted["id"], emitted["type"], at, handled.service, _body(emitted), handled.message_id
            )
    for handled in history.entries:
        message = messages.get(handled.message_id)
        if message is None:
            message = messages[handled.message_id] = _from_outside(handled)
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


def _from_outside(handled: HistoryEntry) -> TimelineMessage:
    """A message that no service has emitted: its sender's clock may be wrong, but not its cause's order."""
    sent_at = handled.times.sent_at
    at = min(sent_at, handled.at) if sent_at else handled.at
    return TimelineMessage(handled.message_id, handled.type, at, "", None, sent_known=sent_at is not None)


def _from_dead_letter(dead_letter: DeadLetter) -> TimelineMessage:
    """A message that no service has handled: only its dead letter is available."""
    at = dead_letter.sent_at or dead_letter.died_at or datetime.max.replace(tzinfo=UTC)
    return TimelineMessage(
        dead_letter.id, dead_letter.type, at, "", dead_letter.wire_message.body.decode(errors="replace")
    )


def message_name(type_: str) -> str:
    """OrderPlaced for order.placed.v1; an unknown type is returned unchanged."""
    contract = CATALOG.get(type_)
    return contract.__name__ if contract else plain(type_)


def _body(emitted: Mapping[str, object]) -> str:
    return str(emitted["body"])
