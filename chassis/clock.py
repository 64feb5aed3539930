"""The clock as a parameter, so that tests and the simulation can set the time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

# How far the clocks of two machines may differ. Readiness reports more; no message or token is rejected for
# less.
CLOCK_SKEW_MAX = timedelta(seconds=60)

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)
