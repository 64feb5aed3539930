"""The list of an order's messages in pages, with long pauses marked."""

from dataclasses import dataclass
from datetime import timedelta

from journey.admin.diagnosis.timeline import TimelineMessage
from journey.admin.durations import rough_duration

PAGE = 100
GAP_MIN = timedelta(seconds=10)


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
    return f"{rough_duration(message.at - before.at)} later"
