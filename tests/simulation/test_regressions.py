"""Fixed faults stay fixed, and a seed is the same day on every machine and at any time."""

import os
import subprocess
import sys

import pytest

from chassis import telemetry
from tests.simulation.faults import Fault, FaultPoint, Kind, Listed, Moment, Seeded
from tests.simulation.regressions import Regression, known
from tests.simulation.run import play_day, shrink
from tests.support.source_files import ROOT

SEED, STEPS = 7, 12


@pytest.fixture(autouse=True)
def quiet() -> None:
    telemetry.configure("critical", pretty=False)


@pytest.mark.parametrize("regression", list(known()), ids=lambda regression: f"seed {regression.seed}")
def test_each_recorded_regression_stays_fixed(regression: Regression) -> None:
    assert not play_day(regression.seed, regression.steps, Listed(regression.faults)).broken


def test_a_seed_is_the_same_day_in_every_process() -> None:
    """Even if Python orders its sets differently."""
    here = play_day(SEED, STEPS, Seeded(SEED), with_trace=True).fingerprint
    assert here == play_day(SEED, STEPS, Seeded(SEED), with_trace=True).fingerprint
    for hashing in ("1", "2"):
        emitted = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", str(SEED), "--steps", str(STEPS)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hashing},
            capture_output=True,
            text=True,
            check=True,
        )
        assert here[:16] in emitted.stdout


def test_another_seed_is_another_day() -> None:
    assert len({play_day(seed, STEPS, Seeded(seed), with_trace=True).fingerprint for seed in range(4)}) == 4


def test_a_day_with_endless_duplicates_ends() -> None:
    """The duplicates meet faults in turn, until the limit of faults is reached."""
    run = play_day(SEED, 15, Seeded(SEED, rate=0.5, kinds=(Kind.TWICE, Kind.CONNECTION_LOST)))
    assert len(run.struck) == Seeded.STRIKES_MAX
    assert run.broken == ""


def test_a_failure_is_shrunk_to_its_necessary_faults() -> None:
    faults = [Fault(FaultPoint("x", Moment.SAVE, f"{number}"), Kind.CRASH_AFTER) for number in range(20)]
    needed = {faults[3], faults[17]}
    assert shrink(faults, lambda some: needed <= set(some)) == [faults[3], faults[17]]


def test_a_failed_day_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    """With a guard off: published messages that the broker did not confirm count as confirmed."""
    from tests.simulation import __main__ as command
    from tests.simulation.guards import GUARDS

    guard = next(each for each in GUARDS if each.name == "publisher confirm")
    kept: list[Regression] = []
    with guard.off(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Regression, "keep", lambda regression: kept.append(regression))
        broken = next(seed for seed in range(50) if play_day(seed, STEPS, Seeded(seed)).broken)
        assert command._one(broken, STEPS, with_trace=False) == 1
    reported = capsys.readouterr().out
    assert "<<< " in reported and "broken: " in reported
    assert kept and 0 < len(kept[0].faults) <= 4
