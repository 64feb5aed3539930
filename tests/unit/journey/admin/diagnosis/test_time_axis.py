"""The time axis of the diagrams: where times are drawn, and what is cut."""

import pytest

from journey.admin.diagnosis.time_axis import time_axis
from tests.support.history_fixtures import after


def test_an_axis_without_times_has_no_ticks() -> None:
    axis = time_axis([], [])
    assert (axis.begin, axis.ticks(5), axis.cuts, axis.share(after(1))) == (None, [], [], 0.0)


def test_an_axis_of_one_moment_begins_there() -> None:
    axis = time_axis([after(1)], [])
    assert axis.begin == after(1) and axis.share(after(1)) == 0.0


def test_ticks_count_from_the_begin_and_skip_cuts() -> None:
    axis = time_axis([after(0), after(2), after(3_602), after(3_604)], [])
    assert axis.ticks(3) == [(0.0, "0"), (1.0, "+60 min")]
    assert [label for _, label in time_axis([after(0), after(0.4)], []).ticks(3)] == [
        *("0", "+200 ms", "+400 ms"),
    ]


def test_an_axis_of_pauses_only_shares_its_width_among_them() -> None:
    axis = time_axis([after(0), after(100), after(10_100)], [])
    assert [cut.share_end for cut in axis.cuts] == [0.5, 1.0]


def test_many_cuts_leave_most_of_the_width_to_the_rest() -> None:
    times = [after(60 * number + part) for number in range(50) for part in (0, 1)]
    axis = time_axis(times, [])
    assert len(axis.cuts) == 49
    assert sum(cut.share_end - cut.share_begin for cut in axis.cuts) == pytest.approx(0.4)
    assert axis.stretches[-1].share_end == pytest.approx(1)
