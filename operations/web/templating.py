"""Renders pages from templates, and formats numbers, times and money. All external text is escaped."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from chassis.clock import Clock
from contracts.values import Money, format_money
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.dead_letters.groups import group_id
from journey.admin.diagnosis.timeline import message_name
from journey.admin.durations import rough_duration
from journey.admin.text_sanitizer import plain, pretty
from operations.settings import OperationsSettings

HERE = Path(__file__).parent
THEMES = ("light", "dark")
_PAYLOAD_CHARS_MAX = 100_000
_CODE = re.compile("`([^`]+)`")
_NAVIGATION = (
    ("/ops", "Map"),
    ("/ops/dead-letters", "Dead letters"),
    ("/ops/stuck", "Stuck"),
    ("/ops/orders", "Orders"),
    ("/ops/stock", "Stock"),
    ("/ops/catalogue", "Catalogue"),
)


@dataclass(frozen=True)
class NavigationCounts:
    """Functions that return the counts in the navigation; None is unknown.

    `refresh` updates them in the background.
    """

    dead: Callable[[], float | None]
    stuck: Callable[[], float | None]
    refresh: Callable[[], None]


class PageRenderer:
    """Renders pages and fragments with the filters and globals that all templates share."""

    def __init__(self, settings: OperationsSettings, clock: Clock, counts: NavigationCounts) -> None:
        self._clock = clock
        self._counts = counts
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "count": count,
            "rate": rate,
            "flow_text": flow_text,
            "flow_class": flow_class,
            "time": self.time,
            "ago": self.ago,
            "until": self.until,
            "money": money,
            "plain": plain,
            "pretty": partial(pretty, chars_max=_PAYLOAD_CHARS_MAX),
            "short": short,
            "with_code": with_code,
            "without": without,
            "message_name": message_name,
            "dead_letter_path": dead_letter_path,
        }
        self._templates.globals |= {"queue_page": settings.queue_page, "rabbitmq": settings.rabbitmq_pages}

    def render_page(self, request: Request, name: str, status: int = 200, /, **context: Any) -> HTMLResponse:
        """A whole page. `theme`: the viewer's choice, sent by the gateway, which keeps the cookie."""
        self._counts.refresh()
        theme = request.headers.get("X-Theme", "")
        base_context = {
            "here": request.url.path,
            "navigation": _NAVIGATION,
            "theme": theme if theme in THEMES else "",
            "stream": "",
            **self.counts(),
        }
        html = self.render_fragment(name, **(base_context | context))
        return HTMLResponse(html, status, headers={"Cache-Control": "no-store"})

    def render_fragment(self, name: str, **context: Any) -> str:
        return self._templates.get_template(name).render(**context)

    def counts(self) -> dict[str, float | None]:
        """The counts in the navigation; None is unknown and shows no number."""
        return {"dead_count": self._counts.dead(), "stuck_count": self._counts.stuck()}

    def time(self, at: datetime | None) -> str:
        """The time of day in UTC, with the date if it is not today."""
        if at is None:
            return "at an unknown time"
        is_today = at.date() == self._clock().date()
        text = f"{at:%H:%M:%S}" if is_today else f"{at.day} {at:%b %Y, %H:%M:%S}"
        return Markup('<time datetime="{}">{}</time>').format(at.isoformat(timespec="milliseconds"), text)

    def ago(self, at: datetime | None) -> str:
        return "at an unknown time" if at is None else f"{rough_duration(self._clock() - at)} ago"

    def until(self, at: datetime) -> str:
        left = at - self._clock()
        return f"in {rough_duration(left)}" if left.total_seconds() > 0 else "any moment"


def count(number: float | None) -> str:
    return "unknown" if number is None else f"{number:,.0f}"


def rate(number: float | None) -> str:
    return "unknown" if number is None else f"{number:,.1f}"


def flow_text(per_second: float | None) -> str:
    """The rate of a message flow; one that is not 0 is never shown as 0."""
    if per_second is None:
        return "? /s"
    return "under 0.1/s" if 0 < per_second < 0.1 else f"{per_second:,.1f}/s"


def flow_class(per_second: float | None) -> str:
    """The class that determines the width of an arrow on the map."""
    if per_second is None:
        return "flow-unknown"
    return "flow-none" if not per_second else "flow-some" if per_second < 10 else "flow-many"


def money(amount: Money | dict[str, Any]) -> str:
    """Formats an amount, e.g. 1,234.50 EUR."""
    known = amount if isinstance(amount, Money) else Money.model_validate(amount)
    return format_money(known, symbols=False)


def short(id_: str | UUID) -> str:
    """The end of an id: the beginnings of ids of one hour look alike."""
    return str(id_)[-8:].upper()


def with_code(text: str) -> Markup:
    """Escaped text. What errors put between backticks, such as a command, becomes code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


def without(error: str, type_: str) -> str:
    """The error text without the type, which is shown beside it."""
    return error.removeprefix(f"{type_}: ")


def dead_letter_path(dead_letter: DeadLetter) -> str:
    """The page of one dead letter. The sender of the message chose its id, so it may be any text."""
    return f"/ops/dead-letters/{group_id(dead_letter)}/letter?{urlencode({'id': dead_letter.id})}"
