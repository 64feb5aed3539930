"""Dead letters and audit entries, formatted for people and as JSON.

Message content is untrusted: none of it is interpreted as markup or as terminal escape sequences.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.text import Text

from journey.admin.dead_letters.audit_log import AuditEntry
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.dead_letters.groups import DeadLetterGroup
from journey.admin.text_sanitizer import plain, pretty

_BODY_CHARS_MAX = 20_000
_AGES = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def listed(group: DeadLetterGroup, now: datetime) -> Iterator[Text]:
    """A group in a few lines: count, type, queue, age, error, and an id for the next command."""
    head = Text(f"{group.count:>6} × ", style="bold").append(plain(group.type), style="bold")
    head.append(
        f"  {group.oldest.queue}, from {plain(group.oldest.origin_queue) or 'an unknown queue'}", style="cyan"
    )
    yield head.append(f", the oldest died {_age(group.oldest.died_at, now)}", style="dim")
    yield Text(f"         {errors(group)}", style="red")
    for dead_letter in group.dead_letters or [group.oldest]:
        yield Text(
            f"         {plain(dead_letter.id)}  of journey {plain(dead_letter.journey_id) or '–'}",
            style="dim",
        )


def errors(group: DeadLetterGroup) -> str:
    """The newest error, as `--error` accepts it, and how many other error texts the group has."""
    return plain(group.error) + (f" and {group.other_texts}" if group.other_texts else "")


def in_full(dead_letter: DeadLetter) -> Text:
    """Everything about one dead letter."""
    text = Text(f"{plain(dead_letter.type)}  {plain(dead_letter.id)}\n", style="bold")
    facts = {
        "dead-lettered by": dead_letter.service + (" (through the broker)" if dead_letter.by_broker else ""),
        "came from": dead_letter.origin_queue,
        "journey": dead_letter.journey_id,
        "attempts": dead_letter.attempts,
        "died": dead_letter.died_at,
        "source": dead_letter.wire_message.app_id,
        "broker user": dead_letter.origin.user,
    }
    headers = {f"header {name}": value for name, value in dead_letter.headers_shown.items()}
    for name, value in (facts | headers).items():
        text.append(f"  {plain(str(name)):<24}", style="dim").append(f"{plain(str(value))}\n")
    text.append(f"  {plain(dead_letter.error)}\n", style="red")
    if dead_letter.trace:
        text.append("\n" + plain(dead_letter.trace, lines=True), style="dim")
    return text.append(
        "\n" + pretty(dead_letter.wire_message.body, _BODY_CHARS_MAX, "; --json prints all of it")
    )


def entry_line(entry: AuditEntry) -> Text:
    text = Text(f"{entry.at:%Y-%m-%d %H:%M:%S}  ", style="dim")
    text.append(f"{plain(entry.action):<8}", style="bold").append(
        f"{plain(entry.type)} {plain(entry.message_id)}"
    )
    if entry.queue:
        text.append(f"  {'from' if entry.action == 'drop' else 'to'} {plain(entry.queue)}", style="cyan")
    text.append(f"  by {plain(entry.by)}")
    return text.append(f"  because {plain(entry.reason)}") if entry.reason else text


def summary(dead_letter: DeadLetter, *, in_full: bool = False) -> dict[str, Any]:
    """The JSON form. In full: with headers, traceback and body."""
    short = {
        "id": dead_letter.id,
        "type": dead_letter.type,
        "service": dead_letter.service,
        "origin_queue": dead_letter.origin_queue,
        "error": dead_letter.error,
        "error_type": dead_letter.error_type,
        "attempts": dead_letter.attempts,
        "died_at": dead_letter.died_at.isoformat() if dead_letter.died_at else None,
        "journey_id": dead_letter.journey_id,
    }
    if not in_full:
        return short
    headers = {key: _json_value(value) for key, value in dead_letter.wire_message.headers.items()}
    return short | {
        "trace": dead_letter.trace,
        "headers": headers,
        "body": dead_letter.wire_message.body.decode(errors="replace"),
    }


def _json_value(value: Any) -> Any:
    return value if isinstance(value, int | float | bool | None) else str(value)


def _age(then: datetime | None, now: datetime) -> str:
    if then is None:
        return "at an unknown time"
    seconds = max(0, int((now - then).total_seconds()))
    size, unit = next(((size, unit) for size, unit in _AGES if seconds >= size), (1, "s"))
    return f"{seconds // size} {unit} ago"
