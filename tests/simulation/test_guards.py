"""Every guard is needed: without it a single fault or a busy day breaks an invariant."""

import sys
from collections.abc import Iterator

import pytest

from chassis import telemetry
from tests.simulation.exhaustive import faults
from tests.simulation.faults import Listed, Seeded
from tests.simulation.guards import GUARDS, Guard
from tests.simulation.run import Run, play, play_day

pytestmark = pytest.mark.timeout(600)

# The rarest collision, that of a guard in the middle of a load, is in one day of about 250.
DAYS, STEPS = 1_500, 15


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_the_simulation_notices_a_missing_guard(guard: Guard, capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure("critical", pretty=False)
    known = {name: faults(name) for name in guard.scenarios}
    played = 0
    with guard.off():
        for what, run in _runs(guard, known):
            played += 1
            if run.broken:
                with capsys.disabled():
                    print(
                        f"\n  without {guard.name}: noticed by run {played}, {what}: {run.broken[:100]}",
                        file=sys.stderr,
                    )
                return
    pytest.fail(f"{played} runs without {guard.name}, and every invariant holds")


def _runs(guard: Guard, known: dict[str, list]) -> Iterator[tuple[str, Run]]:  # type: ignore[type-arg]
    for name, each in known.items():
        yield name, play(name, Listed())
        for fault in each:
            yield f"{name}, {fault}", play(name, Listed([fault]))
    if guard.days:
        for seed in range(DAYS):
            yield f"seed {seed}", play_day(seed, STEPS, Seeded(seed))
