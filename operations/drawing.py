"""The map: who says what to whom, from the services' own switchboards, and where each is drawn.

Only the places are chosen here. The lines follow from what is heard, so the map cannot tell of a way that is not there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from contracts.message import Command, Message, Sender
from journey.services import HEARERS

WIDTH, HEIGHT = 1180, 528
BOX_WIDTH, BOX_HEIGHT = 204, 112
GATEWAY = "gateway"
_COLUMNS, _ROWS = (0, 324, 648, 976), (0, 208, 416)
PLACES = {
    "product_svc": (0, 0),
    "inventory_svc": (2, 0),
    GATEWAY: (0, 1),
    "order_svc": (1, 1),
    "notification_svc": (3, 1),
    "user_svc": (0, 2),
    "payment_svc": (2, 2),
}
_OFFSET = 14  # half the distance between the two lines of a pair that talk with each other


@dataclass(frozen=True)
class Way:
    """`said_by` says these messages, and `heard_by` hears them."""

    said_by: str
    heard_by: str
    types: tuple[str, ...]


@cache
def ways() -> tuple[Way, ...]:
    """Every way between two services. What a service commands itself is no way; the staff's commands come from here."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, make in HEARERS.items():
        for heard in make().by_type:
            for sayer in _sayers(heard):
                if sayer != name:
                    found.setdefault((sayer, name), []).append(heard.__name__)
    return tuple(Way(said_by, heard_by, tuple(types)) for (said_by, heard_by), types in sorted(found.items()))


def _sayers(heard: type[Message]) -> Iterator[str]:
    if not issubclass(heard, Command):
        yield heard.OWNER
    elif heard.SENDER is Sender.CLIENT:
        yield from (name for name, make in HEARERS.items() if heard in make().asks)


@dataclass(frozen=True)
class Box:
    """Where a service is drawn."""

    name: str
    x: int
    y: int

    @property
    def middle(self) -> tuple[float, float]:
        return self.x + BOX_WIDTH / 2, self.y + BOX_HEIGHT / 2


@dataclass(frozen=True)
class Line:
    """A way, drawn from the edge of one box to the edge of another."""

    way: Way
    start: tuple[float, float]
    end: tuple[float, float]

    @property
    def path(self) -> str:
        (x1, y1), (x2, y2) = self.start, self.end
        return f"M{x1:.0f} {y1:.0f}L{x2:.0f} {y2:.0f}"


def boxes() -> list[Box]:
    """A service that nobody has given a place yet stands in the last row."""
    spare = iter(range(1, len(_COLUMNS)))
    places = {name: PLACES.get(name) or (next(spare, 3), 2) for name in HEARERS}
    return [Box(name, _COLUMNS[column] + 1, _ROWS[row] + 1) for name, (column, row) in places.items()]


def lines() -> list[Line]:
    """All ways but those to the gateway, which hears of every order from everybody: that would hide the rest."""
    at = {box.name: box for box in boxes()}
    return [_line(way, at[way.said_by], at[way.heard_by]) for way in ways() if way.heard_by != GATEWAY]


def _line(way: Way, start: Box, end: Box) -> Line:
    (x1, y1), (x2, y2) = start.middle, end.middle
    length = max(1.0, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
    aside = (-(y2 - y1) / length * _OFFSET, (x2 - x1) / length * _OFFSET)
    x1, y1, x2, y2 = x1 + aside[0], y1 + aside[1], x2 + aside[0], y2 + aside[1]
    return Line(way, _edge(start, x1, y1, x2, y2), _edge(end, x2, y2, x1, y1))


def _edge(box: Box, x: float, y: float, to_x: float, to_y: float) -> tuple[float, float]:
    """Where a line from inside a box leaves it."""
    dx, dy = to_x - x, to_y - y
    reach = [((box.x + (BOX_WIDTH if dx > 0 else 0)) - x) / dx] if dx else []
    reach += [((box.y + (BOX_HEIGHT if dy > 0 else 0)) - y) / dy] if dy else []
    share = min(reach)
    return x + dx * share, y + dy * share
