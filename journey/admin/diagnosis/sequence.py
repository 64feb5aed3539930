"""The sequence diagram of an order: who sent each message to whom, in the order of handling."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from journey.admin.diagnosis.waterfall import Waterfall, WaterfallRow

_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class SequenceDiagram:
    """`participants`: OUTSIDE (journey_history.py) or services, in the order in which they take part.

    One arrow per message and consumer: from `sender` to `service` of its row.
    """

    participants: tuple[str, ...]
    arrows: tuple[WaterfallRow, ...]


def build_sequence(waterfall: Waterfall) -> SequenceDiagram:
    arrows = _ordered(waterfall.rows)
    taking_part = (name for arrow in arrows for name in (arrow.sender, arrow.service))
    return SequenceDiagram(tuple(dict.fromkeys(taking_part)), arrows)


def _ordered(rows: Iterable[WaterfallRow]) -> tuple[WaterfallRow, ...]:
    """By the time of handling, but no message before its cause was handled: clocks differ."""
    handled_at: dict[tuple[str, str], datetime] = {}
    ordered = []
    for row in rows:  # a cause has a lower number
        cause_at = handled_at.get((row.caused_by, row.sender), _EARLIEST)
        at = max(row.ended_at or row.sent_at or _EARLIEST, cause_at)
        handled_at[row.message_id, row.service] = at
        ordered.append((at, row.number, row))
    return tuple(row for _, _, row in sorted(ordered, key=lambda each: each[:2]))
