"""Durations as text: one format for the terminal, the diagrams and the time lines."""

from datetime import timedelta

import pytest

from journey.admin.durations import duration, rough_duration


@pytest.mark.parametrize(
    ("passed_s", "expected"),
    [
        (-5, "0 ms"),
        (0, "0 ms"),
        (0.0004, "0 ms"),
        (0.0123, "12 ms"),
        (0.9996, "1 s"),
        (1.234, "1.23 s"),
        (42.13, "42.1 s"),
        (75, "75 s"),
        (99.96, "99 s"),
        (119, "119 s"),
        (600, "10 min"),
        (9_000, "2 h"),
    ],
)
def test_durations_have_at_most_three_digits(passed_s: float, expected: str) -> None:
    assert duration(timedelta(seconds=passed_s)) == expected


@pytest.mark.parametrize(
    ("passed_s", "expected"),
    [(-5, "0 s"), (59, "59 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (200_000, "2 d")],
)
def test_rough_durations_have_their_largest_unit(passed_s: int, expected: str) -> None:
    assert rough_duration(timedelta(seconds=passed_s)) == expected
