"""No single fault and no pair of faults breaks an invariant, wherever it strikes."""

import os
import sys
from collections.abc import Callable, Iterable

import pytest

from tests.simulation.exhaustive import (
    Tally,
    days,
    in_parallel,
    never_struck,
    singles,
    singles_reading,
    table,
)
from tests.simulation.faults import Moment
from tests.simulation.pairs import LISTENER, PAIRED, pairs
from tests.simulation.scenarios import SCENARIOS, WHOLE

pytestmark = pytest.mark.timeout(3600)

WORKERS = os.cpu_count() or 2
PARTS = 24
SEEDS, STEPS = 300, 15


@pytest.mark.parametrize(
    "play, what", [(singles, "single faults"), (singles_reading, "single faults, all is read")]
)
def test_no_single_fault_breaks_an_invariant(
    play: Callable[..., Tally], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [(name, part, WORKERS) for name in SCENARIOS for part in range(WORKERS)]
    tally = _all(what, in_parallel(play, jobs, WORKERS), capsys)
    assert not never_struck(tally, tuple(moment for moment in Moment if moment is not Moment.DAY))


def test_no_pair_of_faults_breaks_an_invariant(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [(name, part, PARTS) for name in PAIRED for part in range(PARTS)]
    tally = _all("pairs of faults", in_parallel(pairs, jobs, WORKERS), capsys)
    assert sum(tally.struck.values()) == 2 * tally.runs


def test_no_service_consumes_messages_of_the_listener() -> None:
    """Therefore a fault there changes nothing for the others: see pairs.py."""
    handled_type = [
        (name, message.__name__)
        for name, service in WHOLE.items()
        if name != LISTENER
        for message in service.by_type
        if message.OWNER == LISTENER
    ]
    assert not handled_type


def test_no_busy_day_breaks_an_invariant(capsys: pytest.CaptureFixture[str]) -> None:
    size = SEEDS // PARTS + 1
    jobs = [(first, min(first + size, SEEDS), STEPS) for first in range(0, SEEDS, size)]
    tally = _all(f"{SEEDS} seeds", in_parallel(days, jobs, WORKERS), capsys)
    assert not never_struck(tally)


def _all(what: str, so_far: Iterable[Tally], capsys: pytest.CaptureFixture[str]) -> Tally:
    tally = Tally()
    for tally in so_far:  # noqa: B007
        pass
    with capsys.disabled():
        print(f"\n{what}: {table(tally)}", file=sys.stderr)
    for played, faults, broken in tally.failures:
        print(f"{played}: {broken}")
        print("".join(f"    {fault}\n" for fault in faults))
    assert not tally.failures, f"{tally.failures[0][0]}: {tally.failures[0][2]}"
    return tally
