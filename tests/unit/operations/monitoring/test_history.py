"""The history of the last hour: bounded, and a gap where a value is unknown."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from operations.monitoring.history import (
    INTERVAL_S,
    SAMPLES_MAX,
    WINDOWS,
    History,
    Sample,
    ServiceSample,
    Value,
    highest,
    mean,
    series,
)

NOW = datetime(2031, 5, 6, 7, 30, tzinfo=UTC)
INTERVAL = timedelta(seconds=INTERVAL_S)


def sample(at: datetime, ready: float | None = 1.0) -> Sample:
    return Sample(at, {"order_svc": ServiceSample(ready, 0.0, 0.0, None)}, 0.0)


def recorded(count: int, until: datetime = NOW, missing: range = range(0)) -> History:
    """As many samples as the interval gives, without those numbered in `missing`; sample n has n waiting."""
    history = History()
    start = until - count * INTERVAL
    history.begin(start)
    for number in range(1, count + 1):
        if number not in missing:
            history.add(sample(start + number * INTERVAL, float(number)))
    return history


def ready(history: History, now: datetime = NOW) -> list[Value]:
    return series(
        history.slots(now), lambda found: highest(found, lambda one: one.services["order_svc"].ready)
    )


def shape(values: list[Value]) -> str:
    """One character for each point: a number, a gap, or nothing to draw."""
    return "".join("?" if value is None else " " if math.isnan(value) else "#" for value in values)


def test_the_history_is_bounded() -> None:
    history = recorded(3 * SAMPLES_MAX)
    assert len(history) == SAMPLES_MAX == 360
    assert history.latest is not None and history.latest.at == NOW


def test_a_full_hour_has_a_point_in_each_slot() -> None:
    values = ready(recorded(2 * SAMPLES_MAX))
    assert len(values) == WINDOWS[-1] == 120
    assert shape(values[1:]) == 119 * "#" and values[-1] == 2 * SAMPLES_MAX


def test_before_the_history_began_nothing_is_drawn() -> None:
    assert shape(ready(recorded(30))).strip() == 11 * "#", "five minutes, and the slot that has just begun"
    assert shape(ready(History())) == WINDOWS[0] * " "


@pytest.mark.parametrize(("minutes", "window"), [(1, 10), (9, 10), (11, 20), (25, 30), (31, 60), (200, 60)])
def test_the_window_grows_with_the_history(minutes: int, window: int) -> None:
    history = recorded(6 * minutes)
    start, end = history.times(NOW)
    assert end - start == timedelta(minutes=window) and start < NOW < end
    assert len(history.slots(NOW)) == 2 * window


def test_a_pause_of_the_recorder_is_a_gap() -> None:
    values = ready(recorded(60, missing=range(31, 43)))
    assert shape(values).strip().count("?") in (3, 4) and shape(values).strip().strip("#").count("#") == 0


def test_an_unknown_value_makes_its_slot_unknown() -> None:
    history = recorded(30)
    history.add(sample(NOW + INTERVAL, None))
    later = NOW + INTERVAL
    assert ready(history, later)[-1] is None
    assert mean([sample(NOW, 2.0), sample(NOW, None)], lambda one: one.services["order_svc"].ready) is None
    assert mean([sample(NOW, 2.0), sample(NOW, 4.0)], lambda one: one.services["order_svc"].ready) == 3.0


def test_a_new_slot_becomes_a_gap_if_late() -> None:
    history = recorded(30, until=NOW - timedelta(seconds=1))
    assert shape(ready(history, NOW))[-1] == " "
    assert shape(ready(history, NOW + timedelta(seconds=29)))[-1] == "?"


def test_an_old_sample_does_not_describe_the_present() -> None:
    history = recorded(5)
    assert history.recent(NOW + timedelta(seconds=20)) is history.latest
    assert history.recent(NOW + timedelta(seconds=30)) is None
