"""Draws time lines as SVG paths on the server. Pure functions.

A drawing has one unit of width for each slot of the window, and is 40 units high. A gap in a line means that
the value was unknown.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from operations.monitoring.history import Value

HEIGHT = 40
_MARGIN = 1.5  # so that a line at the top or the bottom is not cut in half
_STEPS = (1, 2, 5, 10)
_MIN, _H, _DAY = 60.0, 3600.0, 86_400.0
# Seconds that are a round number in the unit that people read.
_DURATIONS = (
    *(each * _MIN for each in (0.5, 1, 2, 5, 10, 20, 30)),
    *(each * _H for each in (1, 2, 5, 10, 24)),
)

Format = Callable[[float], str]


@dataclass(frozen=True)
class Unit:
    """How the values of a chart are shown, and where its scale ends.

    `top`: from the highest value, which is positive, to the value at the upper edge. `shown` must be exact
    for it, or the drawing lies.
    """

    shown: Format
    top: Callable[[float], float]


@dataclass(frozen=True)
class ChartLine:
    """One line of a chart. `now`: its current value as text.

    `path`: the SVG path data; `points`: that of the isolated values, which are drawn as dots.
    """

    name: str
    now: str
    highest: str
    path: str
    points: str


@dataclass(frozen=True)
class Chart:
    """`top`: the value at the upper edge, as text. `gaps`: left edge and width of each unknown period."""

    title: str
    width: int
    lines: tuple[ChartLine, ...]
    top: str
    gaps: tuple[tuple[float, float], ...]

    @property
    def summary(self) -> str:
        """The drawing in words, for readers who do not see it."""
        lines = [f"{line.name}: now {line.now}, at most {line.highest}" for line in self.lines]
        unknown = f"{len(self.gaps)} gap{'' if len(self.gaps) == 1 else 's'}" if self.gaps else "no gap"
        return f"{self.title}. {'; '.join(lines)}; {unknown}."


def chart(title: str, series: Sequence[tuple[str, Sequence[Value]]], unit: Unit) -> Chart:
    """Lines that share one scale."""
    shown = unit.shown
    top = scale_top((value for _, values in series for value in values), unit)
    lines = tuple(
        ChartLine(
            name, _current(values, shown), _highest(values, shown), path(values, top), points(values, top)
        )
        for name, values in series
    )
    is_blank = not any(line.path or line.points for line in lines)
    unknown = gaps([values for _, values in series])
    return Chart(title, len(series[0][1]), lines, "–" if is_blank else shown(top), unknown)


def path(values: Sequence[Value], top: float) -> str:
    """SVG path data of the values before or after which another one is known."""
    parts: list[str] = []
    for index in range(len(values)):
        if not _is_known_at(values, index) or _is_isolated(values, index):
            continue
        command = "L" if _is_known_at(values, index - 1) else "M"
        parts.append(f"{command}{_point(values, index, top)}")
    return "".join(parts)


def points(values: Sequence[Value], top: float) -> str:
    """SVG path data of the values before and after which none is known: lines of no length.

    A round line cap makes each a dot as large as the line is wide.
    """
    return "".join(
        f"M{_point(values, index, top)}h.01" for index in range(len(values)) if _is_isolated(values, index)
    )


def gaps(series: Sequence[Sequence[Value]]) -> tuple[tuple[float, float], ...]:
    """The periods in which at least one of the lines is unknown."""
    unknown = [any(value is None for value in values) for values in zip(*series, strict=True)]
    found: list[tuple[float, float]] = []
    for index, is_unknown in enumerate(unknown):
        if not is_unknown:
            continue
        if found and sum(found[-1]) == index:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((index, 1))
    return tuple(found)


def scale_top(values: Iterable[Value], unit: Unit) -> float:
    """The value at the upper edge, which no value exceeds; 1 without a positive value."""
    known = [value for value in values if value is not None and value > 0]
    return unit.top(max(known)) if known else 1.0


def decimal_top(highest: float, *, least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not lower, and at least `least`."""
    power = 10.0 ** math.floor(math.log10(highest))
    return max(least, next(step * power for step in _STEPS if step * power >= highest or step == _STEPS[-1]))


def duration_top(highest_s: float) -> float:
    """A round number of milliseconds, seconds, minutes, hours or days, in seconds, that is not lower."""
    if highest_s <= 20:
        return decimal_top(highest_s, least=0.001)
    if highest_s > _DURATIONS[-1]:
        return decimal_top(highest_s / _DAY, least=1) * _DAY
    return next(top for top in _DURATIONS if top >= highest_s)


def _point(values: Sequence[Value], index: int, top: float) -> str:
    share = min(values[index] or 0.0, top) / top
    return f"{index + 0.5:g} {HEIGHT - _MARGIN - (HEIGHT - 2 * _MARGIN) * share:.1f}"


def _is_known_at(values: Sequence[Value], index: int) -> bool:
    """False beyond both ends."""
    if not 0 <= index < len(values):
        return False
    value = values[index]
    return value is not None and not math.isnan(value)


def _is_isolated(values: Sequence[Value], index: int) -> bool:
    before_and_after = (index - 1, index + 1)
    return _is_known_at(values, index) and not any(_is_known_at(values, each) for each in before_and_after)


def _current(values: Sequence[Value], shown: Format) -> str:
    """The last value; the one before while the last slot has no sample yet."""
    for value in reversed(values[-2:]):
        if value is None:
            return "unknown"
        if not math.isnan(value):
            return shown(value)
    return "–"


def _highest(values: Sequence[Value], shown: Format) -> str:
    known = [value for value in values if value is not None and not math.isnan(value)]
    return shown(max(known)) if known else "–"
