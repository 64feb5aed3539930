"""Pages from templates: numbers, times and money as people read them. Whatever comes from outside is inert text."""

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from contracts.message import REGISTRY
from contracts.values import MINOR_UNITS, Money
from journey.awaited import span
from journey.plain import plain, pretty
from operations.desk import Desk
from operations.letters import letter_path

HERE = Path(__file__).parent
THEMES = ("light", "dark")
_PAYLOAD_CHARS_MAX = 100_000
_PLACES = (
    ("/ops", "Map"),
    ("/ops/dead-letters", "Dead letters"),
    ("/ops/stuck", "Stuck"),
    ("/ops/orders", "Orders"),
    ("/ops/stock", "Stock"),
    ("/ops/catalogue", "Catalogue"),
)


class Showing:
    """Renders the pages of one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
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
            "time": self.time,
            "ago": self.ago,
            "until": self.until,
            "money": money,
            "plain": plain,
            "pretty": partial(pretty, chars_max=_PAYLOAD_CHARS_MAX),
            "short": short,
            "without": without,
            "message_name": message_name,
            "letter_path": letter_path,
        }
        self._templates.globals |= {"queue_page": desk.settings.queue_page, "rabbitmq": desk.settings.rabbitmq_pages}

    def page(self, request: Request, name: str, status: int = 200, /, **context: Any) -> HTMLResponse:
        """A whole page. `theme` is what the gateway tells of the viewer's choice; the cookie stays with it."""
        self._desk.waiting.count_soon()
        theme = request.headers.get("X-Theme", "")
        frame = {
            "here": request.url.path,
            "places": _PLACES,
            "theme": theme if theme in THEMES else "",
            "stream": "",
            **self.counts(),
        }
        html = self.fragment(name, **(frame | context))
        return HTMLResponse(html, status, headers={"Cache-Control": "no-store"})

    def fragment(self, name: str, **context: Any) -> str:
        return self._templates.get_template(name).render(**context)

    def counts(self) -> dict[str, float | None]:
        """For the navigation; None is unknown, and then no number is shown."""
        return {"dead_count": self._desk.watch.picture.dead, "stuck_count": self._desk.waiting.count}

    def time(self, at: datetime | None) -> str:
        """A time of day; with the day if that is not today. In UTC, as everything here."""
        if at is None:
            return "at an unknown time"
        is_today = at.date() == self._desk.clock().date()
        words = f"{at:%H:%M:%S}" if is_today else f"{at.day} {at:%b %Y, %H:%M:%S}"
        return Markup('<time datetime="{}">{}</time>').format(at.isoformat(timespec="milliseconds"), words)

    def ago(self, at: datetime | None) -> str:
        return "at an unknown time" if at is None else f"{span(self._desk.clock() - at)} ago"

    def until(self, at: datetime) -> str:
        left = at - self._desk.clock()
        return f"in {span(left)}" if left.total_seconds() > 0 else "any moment"


def count(number: float | None) -> str:
    return "unknown" if number is None else f"{number:,.0f}"


def rate(number: float | None) -> str:
    return "unknown" if number is None else f"{number:,.1f}"


def money(amount: Money | dict[str, Any]) -> str:
    """As 1,234.50 EUR."""
    known = amount if isinstance(amount, Money) else Money.model_validate(amount)
    decimals = MINOR_UNITS[known.currency]
    return f"{known.amount_minor / 10**decimals:,.{decimals}f} {known.currency}"


def short(id_: str | UUID) -> str:
    """The end of an id: the beginnings of ids of one hour look alike."""
    return str(id_)[-8:].upper()


def without(error: str, type_: str) -> str:
    """What an error says; its type stands beside it already."""
    return error.removeprefix(f"{type_}: ")


def message_name(type_: str) -> str:
    """OrderPlaced for order.placed.v1; what we do not know stays as it is."""
    contract = REGISTRY.get(type_)
    return contract.__name__ if contract else plain(type_)
