"""The waterfall of an order: each message at each service that consumes it, as bars on one time axis.

Pure functions, built from the timeline, that is from what the services have recorded. A message that was
handled by a version that recorded no times has one bar, from its sending to its handling. The time that a
service needs to store and publish is not recorded: it is part of the queue time of the next message.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.diagnosis.journey_history import HistoryEntry, sender_of
from journey.admin.diagnosis.time_axis import TimeAxis, time_axis
from journey.admin.diagnosis.timeline import TimelineMessage
from journey.admin.durations import duration
from journey.admin.registry import SERVICES


class BarKind(StrEnum):
    """What a message did during a bar."""

    QUEUE = "queue"  # sent, and not yet received
    HANDLING = "handling"  # received, waiting for its batch, and decided
    EFFECT = "effect"  # an external system was called
    WAIT = "wait"  # postponed, because an external system was unavailable; or not yet handled
    RETRY = "retry"  # failed attempts, and the pauses of the retry ladder
    ELAPSED = "elapsed"  # sent and handled; an earlier version did not record what was between
    UNKNOWN = "unknown"  # its service does not respond


class RowState(StrEnum):
    HANDLED = "handled"
    PENDING = "pending"
    UNKNOWN = "unknown"
    DEAD = "dead"


@dataclass(frozen=True)
class Bar:
    kind: BarKind
    begin: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return self.end - self.begin


@dataclass(frozen=True)
class WaterfallRow:
    """One message at one service. `sender` is OUTSIDE or a service; `error`: that of its dead letter.

    `sent_at` is None if nothing has recorded it.
    """

    number: int
    message_id: str
    type: str
    service: str
    sender: str
    caused_by: str
    state: RowState
    sent_at: datetime | None
    bars: tuple[Bar, ...]
    status: tuple[str, str] = ("", "")
    failed_attempts: int = 0
    postponed: int = 0
    error: str = ""

    @property
    def ended_at(self) -> datetime | None:
        """When it was handled or dead-lettered; until when it was not."""
        return self.bars[-1].end if self.bars else None

    def took(self, kind: BarKind) -> timedelta:
        return sum((bar.length for bar in self.bars if bar.kind is kind), timedelta())

    @property
    def sentence(self) -> str:
        """What its bars show, in words."""
        return ", ".join(_phrases(self))

    def as_json(self) -> dict[str, Any]:
        status_from, status_to = self.status
        return {
            "number": self.number,
            "message_id": self.message_id,
            "type": self.type,
            "sent_by": self.sender or None,
            "caused_by": self.caused_by or None,
            "state": self.state.value,
            "status_from": status_from,
            "status_to": status_to,
            "failed_attempts": self.failed_attempts,
            "postponed": self.postponed,
            "error": self.error or None,
            "bars": [
                {"kind": bar.kind.value, "begin": bar.begin.isoformat(), "end": bar.end.isoformat()}
                for bar in self.bars
            ],
        }


@dataclass(frozen=True)
class ServiceLane:
    """The rows of one service, in the order of the timeline."""

    service: str
    responds: bool
    rows: tuple[WaterfallRow, ...]


@dataclass(frozen=True)
class Waterfall:
    lanes: tuple[ServiceLane, ...]
    axis: TimeAxis

    @property
    def rows(self) -> list[WaterfallRow]:
        """All rows, in the order of the timeline."""
        return sorted((row for lane in self.lanes for row in lane.rows), key=lambda row: row.number)

    def part(self, first: int, last: int) -> "Waterfall":
        """Only the messages with these numbers, on an axis of their own."""
        lanes = (
            replace(lane, rows=tuple(row for row in lane.rows if first <= row.number <= last))
            for lane in self.lanes
        )
        return _on_axis([lane for lane in lanes if lane.rows or not lane.responds])

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                "service": lane.service,
                "responds": lane.responds,
                "messages": [row.as_json() for row in lane.rows],
            }
            for lane in self.lanes
        ]


def build_waterfall(
    messages: Iterable[TimelineMessage], silent: Collection[str] = (), *, now: datetime
) -> Waterfall:
    """`silent`: services that did not respond. Messages that are not handled yet are drawn until `now`."""
    rows: dict[str, list[WaterfallRow]] = {name: [] for name in (*SERVICES, *silent)}
    for message in messages:
        for row in _rows(message, now):
            rows.setdefault(row.service, []).append(row)
    return _on_axis(
        [
            ServiceLane(name, name not in silent, tuple(found))
            for name, found in rows.items()
            if found or name in silent
        ]
    )


def _on_axis(lanes: Sequence[ServiceLane]) -> Waterfall:
    bars = [bar for lane in lanes for row in lane.rows for bar in row.bars]
    busy = [(bar.begin, bar.end) for bar in bars if bar.kind in (BarKind.HANDLING, BarKind.EFFECT)]
    return Waterfall(tuple(lanes), time_axis((time for bar in bars for time in (bar.begin, bar.end)), busy))


def _rows(message: TimelineMessage, now: datetime) -> Iterator[WaterfallRow]:
    for handled in message.handled_by:
        yield replace(
            _row(message, handled.service, RowState.HANDLED, _handled_bars(message, handled)),
            status=(handled.status_from, handled.status_to),
            failed_attempts=handled.times.failed_attempts,
            postponed=handled.times.postponed,
        )
    for dead_letter in message.dead:
        bars = _dead_bars(message, dead_letter)
        row = _row(message, dead_letter.service, RowState.DEAD, bars)
        yield replace(row, failed_attempts=dead_letter.attempts, error=dead_letter.error)
    dead = {dead_letter.service for dead_letter in message.dead}
    for each in message.awaited_by:
        if each.service not in dead:
            state, kind = (
                (RowState.PENDING, BarKind.WAIT) if each.certain else (RowState.UNKNOWN, BarKind.UNKNOWN)
            )
            yield _row(message, each.service, state, _bars((kind, message.at, max(now, message.at))))


def _row(message: TimelineMessage, service: str, state: RowState, bars: tuple[Bar, ...]) -> WaterfallRow:
    return WaterfallRow(
        number=message.number,
        message_id=message.id,
        type=message.type,
        service=service,
        sender=message.by or sender_of(message.type, service),
        caused_by=message.caused_by,
        state=state,
        sent_at=message.at if message.sent_known else None,
        bars=bars,
    )


def _handled_bars(message: TimelineMessage, handled: HistoryEntry) -> tuple[Bar, ...]:
    """Clocks differ between machines: a bar never ends before it begins."""
    times, end = handled.times, handled.at
    sent = message.at if message.sent_known else None
    if times.received_at is None:
        return _bars((BarKind.ELAPSED, min(sent or end, end), end))
    received = min(times.received_at, end)
    before = BarKind.RETRY if times.failed_attempts else BarKind.WAIT if times.postponed else BarKind.QUEUE
    began = min(max(times.effect_began_at or end, received), end)
    ended = min(max(times.effect_ended_at or end, began), end)
    bars = [(BarKind.HANDLING, received, end)]
    if times.effect_began_at is not None:
        effect = (BarKind.EFFECT, began, ended)
        bars = [(BarKind.HANDLING, received, began), effect, (BarKind.HANDLING, ended, end)]
    queued = [(before, min(sent, received), received)] if sent is not None else []
    return _bars(*queued, *bars)


def _dead_bars(message: TimelineMessage, dead_letter: DeadLetter) -> tuple[Bar, ...]:
    if not message.sent_known or dead_letter.died_at is None:
        return ()
    kind = BarKind.RETRY if dead_letter.attempts > 1 else BarKind.QUEUE
    return _bars((kind, min(message.at, dead_letter.died_at), dead_letter.died_at))


def _bars(*bars: tuple[BarKind, datetime, datetime]) -> tuple[Bar, ...]:
    """Without empty bars, except the last, which says when the message was handled."""
    last = len(bars) - 1
    return tuple(Bar(*bar) for index, bar in enumerate(bars) if bar[1] < bar[2] or index == last)


_PHRASES: Mapping[BarKind, str] = {
    BarKind.QUEUE: "{} in queue",
    BarKind.HANDLING: "{} handling",
    BarKind.EFFECT: "{} effect",
    BarKind.ELAPSED: "{} from sent to handled",
}


def _phrases(row: WaterfallRow) -> Iterator[str]:
    took = {kind: duration(row.took(kind)) for kind in {bar.kind: None for bar in row.bars}}
    match row.state:
        case RowState.DEAD:
            within = f" in {'; '.join(took.values())}" if took else ""
            yield f"dead letter after {_counted(row.failed_attempts, 'attempt')}{within}"
        case RowState.PENDING:
            yield f"not handled for {took[BarKind.WAIT]}"
        case RowState.UNKNOWN:
            yield f"unknown: {row.service} does not respond"
        case RowState.HANDLED:
            if BarKind.RETRY in took:
                yield f"{took[BarKind.RETRY]} with {_counted(row.failed_attempts, 'failed attempt')}"
            if BarKind.WAIT in took:
                yield f"{took[BarKind.WAIT]} postponed {_counted(row.postponed, 'time')}"
            for kind, phrase in _PHRASES.items():
                if kind in took:
                    yield phrase.format(took[kind])


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
