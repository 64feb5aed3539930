"""The drawing of time lines: paths, scales and gaps."""

import math

import pytest

from operations.monitoring.charts import HEIGHT, Unit, chart, duration_top, gaps, path, points, scale_top
from operations.monitoring.timelines import NUMBER, PER_MINUTE, PER_SECOND, SECONDS

NOTHING = math.nan
_SECONDS_IN = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86_400}


def commands_of(data: str) -> list[tuple[str, float, float]]:
    """The commands of a path with their coordinates."""
    commands = data.replace("M", " M").replace("L", " L").split(" ")[1:]
    return [(x[0], float(x[1:]), float(y)) for x, y in zip(commands[::2], commands[1::2], strict=True)]


def test_a_line_is_interrupted_where_a_value_is_unknown() -> None:
    drawn = commands_of(path([1.0, 2.0, None, 2.0, 1.0], 2.0))
    assert [(command, x) for command, x, _ in drawn] == [("M", 0.5), ("L", 1.5), ("M", 3.5), ("L", 4.5)]


def test_zero_is_drawn_and_unknown_is_not() -> None:
    [(_, _, bottom), (_, _, top)] = commands_of(path([0.0, 5.0], 5.0))
    assert bottom == pytest.approx(HEIGHT - 1.5) and top == pytest.approx(1.5)
    assert path([None, None], 5.0) == "" == path([NOTHING], 5.0)


def test_isolated_values_are_dots_and_no_part_of_the_line() -> None:
    values = [1.0, None, 1.0, 1.0, NOTHING, 0.0, None, 1.0]
    assert points(values, 1.0) == "M0.5 1.5h.01M5.5 38.5h.01M7.5 1.5h.01"
    assert [x for _, x, _ in commands_of(path(values, 1.0))] == [2.5, 3.5]
    assert points([1.0, 1.0], 1.0) == ""


def test_a_chart_of_isolated_values_has_a_scale() -> None:
    drawn = chart("Handling", [("p95", [NOTHING, 3.0, NOTHING])], SECONDS)
    assert (drawn.lines[0].path, drawn.top) == ("", "5 s") and drawn.lines[0].points


def test_a_gap_is_where_any_line_is_unknown() -> None:
    first, second = [1.0, None, None, 1.0, NOTHING], [1.0, 1.0, None, None, NOTHING]
    assert gaps([first, second]) == ((1, 3),)
    assert gaps([[None, 1.0, None]]) == ((0, 1), (2, 1))
    assert gaps([[NOTHING, 0.0]]) == ()


@pytest.mark.parametrize(
    ("unit", "highest", "top"),
    [
        (NUMBER, 0.0, "1"),
        (NUMBER, 501.0, "1,000"),
        (PER_SECOND, 0.03, "0.1/s"),
        (PER_SECOND, 0.3, "0.5/s"),
        (PER_SECOND, 1.1, "2/s"),
        (PER_MINUTE, 7.0, "10/min"),
        (SECONDS, 0.0004, "1 ms"),
        (SECONDS, 0.03, "50 ms"),
        (SECONDS, 1.0, "1 s"),
        (SECONDS, 28.0, "30 s"),
        (SECONDS, 31.0, "60 s"),
        (SECONDS, 400.0, "10 min"),
        (SECONDS, 3_000.0, "60 min"),
        (SECONDS, 5 * 3_600.0, "5 h"),
        (SECONDS, 80_000.0, "24 h"),
        (SECONDS, 3 * 86_400.0, "5 d"),
    ],
)
def test_the_scale_ends_at_a_round_number(unit: Unit, highest: float, top: str) -> None:
    drawn = chart("Any", [("line", [None, NOTHING, highest, 0.0, 0.0])], unit)
    assert drawn.top == top


@pytest.mark.parametrize("highest", [10 ** (exponent / 7) for exponent in range(-30, 42)])
def test_the_text_at_the_top_is_the_value_there(highest: float) -> None:
    top = scale_top([highest], SECONDS)
    number, unit = SECONDS.shown(top).split(" ")
    assert float(number.replace(",", "")) * _SECONDS_IN[unit] == pytest.approx(top) and top >= highest
    for each in (PER_SECOND, PER_MINUTE, NUMBER):
        top = scale_top([highest], each)
        text = each.shown(top).partition("/")[0].replace(",", "")
        assert float(text) == pytest.approx(top) and top >= highest


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0/s"),
        (0.01, "<0.1/s"),
        (0.25, "0.2/s"),
        (2.96, "3/s"),
        (3.04, "3/s"),
        (9.96, "10/s"),
        (1234.0, "1,234/s"),
    ],
)
def test_rates_have_at_most_one_decimal(value: float, text: str) -> None:
    assert PER_SECOND.shown(value) == text


def test_the_scale_is_not_much_higher_than_the_values() -> None:
    for second in range(1, 200_000, 97):
        assert second <= duration_top(second) <= 2.5 * second


def test_every_point_stays_within_the_drawing() -> None:
    values = [float(number * number) for number in range(120)]
    for _, x, y in commands_of(path(values, scale_top(values, NUMBER))):
        assert 0 <= x <= 120 and 0 <= y <= HEIGHT


def test_a_chart_has_a_text_summary() -> None:
    drawn = chart("Messages", [("handled", [1.0, None, 3.0, 2.0])], PER_SECOND)
    assert drawn.summary == "Messages. handled: now 2/s, at most 3/s; 1 gap."
    assert drawn.top == "5/s"
    away = chart("Messages", [("handled", [1.0, None])], PER_SECOND)
    assert away.lines[0].now == "unknown", "an earlier value is not the present one"
    quiet = chart("Handling", [("p95", [NOTHING, NOTHING])], SECONDS)
    assert (quiet.lines[0].now, quiet.lines[0].highest) == ("–", "–")
