"""The geometry of an order's waterfall and sequence diagram, for templates that draw them as SVG."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from journey.admin.diagnosis.journey_history import OUTSIDE
from journey.admin.diagnosis.sequence import SequenceDiagram, build_sequence
from journey.admin.diagnosis.waterfall import BarKind, Waterfall, WaterfallRow
from journey.admin.durations import duration

_TICKS = 5
_BAR_PERCENT_MIN = 0.5
_COLUMN, _ROW, _HEAD, _MARGIN = 168, 34, 40, 6
_LOOP = 30  # how far the arrow of a message to the own service reaches
_REPEAT_NAMES_FROM = 16  # arrows; so many do not fit on a screen together with the names above them

BAR_MEANINGS = {
    BarKind.QUEUE: "in queue",
    BarKind.HANDLING: "handling",
    BarKind.EFFECT: "effect: a call to an external system",
    BarKind.WAIT: "postponed, or not handled yet",
    BarKind.RETRY: "failed attempts, with the pauses between them",
    BarKind.ELAPSED: "from sent to handled: an earlier version recorded no more",
    BarKind.UNKNOWN: "unknown: the service does not respond",
}


_END = 99.9  # percent; positions are rounded


@dataclass(frozen=True)
class DrawnBar:
    kind: BarKind
    x: float
    width: float


@dataclass(frozen=True)
class DrawnTick:
    """A label of the axis. `anchor`: the SVG text-anchor that keeps it within the chart."""

    x: float
    label: str
    anchor: str


@dataclass(frozen=True)
class DrawnCut:
    """An idle stretch that is drawn shorter than it was. `label`: how long it was."""

    x: float
    width: float
    label: str

    @property
    def label_x(self) -> float:
        """The middle; at the end of the chart its edge, so that the label stays within it."""
        return 100 if self.is_last else round(self.x + self.width / 2, 2)

    @property
    def label_anchor(self) -> str:
        return "end" if self.is_last else "middle"

    @property
    def is_last(self) -> bool:
        return self.x + self.width >= _END


@dataclass(frozen=True)
class OrderDiagrams:
    """Both diagrams of one order. All positions of the waterfall are percent of the width of its chart."""

    waterfall: Waterfall

    def bars(self, row: WaterfallRow) -> Iterator[DrawnBar]:
        """Bars too short to be seen are widened."""
        axis = self.waterfall.axis
        for bar in row.bars:
            begin, end = (_percent(axis.share(time)) for time in (bar.begin, bar.end))
            width = max(_BAR_PERCENT_MIN, end - begin)
            yield DrawnBar(bar.kind, min(begin, 100 - width), round(width, 2))

    @cached_property
    def ticks(self) -> list[DrawnTick]:
        return [
            DrawnTick(_percent(share), label, "start" if share == 0 else "end" if share == 1 else "middle")
            for share, label in self.waterfall.axis.ticks(_TICKS)
        ]

    @cached_property
    def cuts(self) -> list[DrawnCut]:
        return [
            DrawnCut(
                _percent(cut.share_begin),
                _percent(cut.share_end - cut.share_begin),
                duration(cut.end - cut.begin),
            )
            for cut in self.waterfall.axis.cuts
        ]

    @cached_property
    def legend(self) -> list[tuple[BarKind, str]]:
        """The kinds of bars that occur, with their meanings."""
        found = {bar.kind for row in self.waterfall.rows for bar in row.bars}
        return [(kind, meaning) for kind, meaning in BAR_MEANINGS.items() if kind in found]

    @cached_property
    def sequence(self) -> "DrawnSequence":
        return draw_sequence(build_sequence(self.waterfall))


def _percent(share: float) -> float:
    return round(100 * share, 2)


@dataclass(frozen=True)
class Lifeline:
    name: str
    x: float


@dataclass(frozen=True)
class DrawnArrow:
    """`path`: from the sender's lifeline to the consumer's; the label is centred at (`x`, `y`)."""

    row: WaterfallRow
    path: str
    x: float
    y: float


@dataclass(frozen=True)
class DrawnSequence:
    """In units of the viewBox, which are CSS pixels."""

    lifelines: tuple[Lifeline, ...]
    arrows: tuple[DrawnArrow, ...]
    width: int
    height: int

    @property
    def names_at(self) -> list[int]:
        """The vertical positions of the participants' names: above, and below if it is long."""
        return [24] if len(self.arrows) < _REPEAT_NAMES_FROM else [24, self.height - 8]

    @property
    def lines_end(self) -> int:
        return self.height - (_MARGIN if len(self.names_at) == 1 else _HEAD - 10)


def draw_sequence(diagram: SequenceDiagram) -> DrawnSequence:
    x_of = {name: _COLUMN * index + _COLUMN / 2 for index, name in enumerate(diagram.participants)}
    arrows = tuple(
        _arrow(row, x_of[row.sender], x_of[row.service], y=_HEAD + _ROW * number + 26)
        for number, row in enumerate(diagram.arrows)
    )
    foot = _HEAD - 10 if len(arrows) >= _REPEAT_NAMES_FROM else _MARGIN
    lifelines = tuple(Lifeline(participant(name), x) for name, x in x_of.items())
    height = _HEAD + _ROW * len(arrows) + 10 + foot
    return DrawnSequence(lifelines, arrows, width=max(1, len(lifelines)) * _COLUMN, height=height)


def participant(name: str) -> str:
    return "outside" if name == OUTSIDE else name


def _arrow(row: WaterfallRow, begin: float, end: float, *, y: float) -> DrawnArrow:
    if begin == end:
        path = f"M{begin:.0f} {y - 6:.0f}h{_LOOP}v10h-{_LOOP - 2}"
        return DrawnArrow(row, path, begin, y - 10)
    tip = end - 2 if begin < end else end + 2
    return DrawnArrow(row, f"M{begin:.0f} {y:.0f}H{tip:.0f}", (begin + end) / 2, y - 6)
