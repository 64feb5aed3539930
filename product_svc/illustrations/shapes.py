"""The shapes of which all drawings consist, as SVG. A drawing is 240 wide and high and stands on y = 196."""

from collections.abc import Iterable


def path(d: str, fill: str, opacity: float = 1) -> str:
    return f'<path d="{d}" fill="{fill}"{_faint(opacity)}/>'


def line(d: str, colour: str, width: float, opacity: float = 1) -> str:
    return (
        f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="{width}"'
        f' stroke-linecap="round" stroke-linejoin="round"{_faint(opacity)}/>'
    )


def rect(
    x: float, y: float, width: float, height: float, fill: str, round_: float = 0, opacity: float = 1
) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{width}" '
        f'height="{height}" rx="{round_}" '
        f'fill="{fill}"{_faint(opacity)}/>'
    )


def oval(x: float, y: float, across: float, down: float, fill: str, opacity: float = 1) -> str:
    return f'<ellipse cx="{x}" cy="{y}" rx="{across}" ry="{down}" fill="{fill}"{_faint(opacity)}/>'


def disc(x: float, y: float, radius: float, fill: str, opacity: float = 1) -> str:
    return oval(x, y, radius, radius, fill, opacity)


def turned(degrees: float, x: float, y: float, shapes: Iterable[str]) -> str:
    return f'<g transform="rotate({degrees} {x} {y})">{"".join(shapes)}</g>'


def shadow(width: float, x: float = 120) -> str:
    """The shadow of the article on the table."""
    return oval(x, 197, width, 8, "#1d1a2b", 0.2)


def steam(x: float, y: float) -> str:
    return line(f"M{x} {y} c-8 -12 8 -20 0 -34", "#ffffff", 5, 0.75)


def leaf(x: float, y: float, length: float, degrees: float, fill: str, vein: str) -> str:
    """A leaf that grows upwards from its stalk at (x, y), rotated."""
    wide, low, high = (round(length * part, 1) for part in (0.34, 0.3, 0.7))
    up, down = f"c{-wide} {-low} {-wide} {-high} 0 {-length}", f"c{wide} {low} {wide} {high} 0 {length}"
    blade = path(f"M{x} {y} {up} {down}Z", fill)
    return turned(degrees, x, y, [blade, line(f"M{x} {y - 3} v{-high}", vein, 1.6, 0.7)])


def _faint(opacity: float) -> str:
    return "" if opacity == 1 else f' opacity="{opacity}"'
