"""Draws a growth measurement as SVG: `python -m bench.growth_chart docs/growth.json docs/growth.svg`.

On the left the throughput in relation to one instance of each service, one dot per round; on the right the
CPU time of an order by component.
"""

import math
import statistics
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from bench.growth import BROKER, CLIENT, DATABASE, Growth

WIDTH, HEIGHT = 860, 380
_TOP, _BOTTOM = 60, 320
_LEFT_PANEL = (60, 350)
_RIGHT_PANEL = (430, 700)
_TICKS = 4
# Okabe and Ito's colours, which people with a colour vision deficiency can tell apart.
_COLOURS = ("#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#e69f00", "#f0e442", "#d55e00", "#000000", "#999999")
_STYLE = (
    "text{font:12px sans-serif;fill:#222}.title{font-weight:bold;font-size:13px}"
    ".axis{stroke:#666}.grid{stroke:#ddd}.mark{fill:#0072b2;fill-opacity:.55}"
    ".line{fill:none;stroke:#0072b2;stroke-width:2}"
)


def draw(growth: Growth) -> str:
    """The chart, as the text of an SVG file."""
    parts = [*_throughput(growth), *_cpu(growth)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(_description(growth))}">\n<style>{_STYLE}</style>\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def components(growth: Growth) -> list[str]:
    """Database, broker and load generator, then the services, the most expensive first."""
    cpu = growth.cpu_ms(1)
    services = sorted(cpu.keys() - {BROKER, DATABASE, CLIENT}, key=lambda name: -cpu[name])
    return [DATABASE, BROKER, *services, CLIENT]


def _description(growth: Growth) -> str:
    ratios = ", ".join(f"{n}: {statistics.median(growth.ratios(n)):.2f}" for n in growth.counts)
    return f"Throughput by number of instances of each service, in relation to one: {ratios}"


def _throughput(growth: Growth) -> Iterator[str]:
    left, right = _LEFT_PANEL
    counts = growth.counts
    highest = _round_up(max(max(growth.ratios(count)) for count in counts))
    spacing = (right - left) / len(counts)
    xs = {count: left + spacing * (index + 0.5) for index, count in enumerate(counts)}
    yield _text(left, 30, "orders/s in relation to one instance of each", "title")
    yield from _axis(_LEFT_PANEL, highest)
    for count, x in xs.items():
        yield _text(x, _BOTTOM + 20, str(count), anchor="middle")
        for ratio in growth.ratios(count):
            yield f'<circle class="mark" cx="{x:.1f}" cy="{_y(ratio, highest):.1f}" r="4"/>'
    points = " ".join(
        f"{x:.1f},{_y(statistics.median(growth.ratios(count)), highest):.1f}" for count, x in xs.items()
    )
    yield f'<polyline class="line" points="{points}"/>'
    yield _text((left + right) / 2, _BOTTOM + 42, "instances of each service", anchor="middle")


def _cpu(growth: Growth) -> Iterator[str]:
    left, right = _RIGHT_PANEL
    counts, names = growth.counts, components(growth)
    costs = {count: growth.cpu_ms(count) for count in counts}
    highest = _round_up(max(sum(cost.values()) for cost in costs.values()) * 1.1)
    spacing = (right - left) / len(counts)
    colours = {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(names)}
    yield _text(left, 30, "CPU time of an order, ms", "title")
    yield from _axis(_RIGHT_PANEL, highest)
    for index, count in enumerate(counts):
        x = left + spacing * (index + 0.2)
        yield from _bar(x, spacing * 0.6, costs[count], highest=highest, colours=colours)
        yield _text(x + spacing * 0.3, _BOTTOM + 20, str(count), anchor="middle")
    yield _text((left + right) / 2, _BOTTOM + 42, "instances of each service", anchor="middle")
    for index, name in enumerate(reversed(names)):
        y = _TOP + 22 * index
        yield f'<rect x="{right + 20}" y="{y}" width="12" height="12" fill="{colours[name]}"/>'
        yield _text(right + 38, y + 11, name)


def _bar(
    x: float, width: float, cost: Mapping[str, float], *, highest: float, colours: Mapping[str, str]
) -> Iterator[str]:
    below = 0.0
    for name, colour in colours.items():
        top, bottom = _y(below + cost[name], highest), _y(below, highest)
        yield (
            f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{bottom - top:.1f}" '
            f'fill="{colour}"><title>{escape(name)}: {cost[name]:.2f} ms</title></rect>'
        )
        below += cost[name]
    yield _text(x + width / 2, _y(below, highest) - 6, f"{below:.1f}", anchor="middle")


def _axis(panel: tuple[int, int], highest: float) -> Iterator[str]:
    left, right = panel
    for tick in range(_TICKS + 1):
        value = highest * tick / _TICKS
        y = _y(value, highest)
        style = "grid" if tick else "axis"
        yield f'<line class="{style}" x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>'
        yield _text(left - 8, y + 4, f"{value:.3g}", anchor="end")


def _round_up(value: float) -> float:
    """The next number above `value` whose ticks have few digits."""
    unit = 10.0 ** math.floor(math.log10(value))
    return next(unit * factor for factor in (1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 12) if unit * factor > value)


def _y(value: float, highest: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * value / highest


def _text(x: float, y: float, text: str, style: str = "", *, anchor: str = "start") -> str:
    classed = f' class="{style}"' if style else ""
    return f'<text{classed} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(draw(Growth.read(Path(sys.argv[1]))))
