"""Many parallel runs and their results: every single fault of every kind at every fault point,
and many days.
"""

import gc
import os
import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing import get_context
from typing import Any

from notification_svc.__main__ import lower_priority
from tests.simulation import coverage
from tests.simulation.faults import POSSIBLE, Fault, FaultPoint, Kind, Listed, Moment, Seeded
from tests.simulation.no_cache_mode import reading
from tests.simulation.run import Run, play, play_day

_FAILURES_MAX = 20
NICE = 19

Job = tuple[Any, ...]


@dataclass
class Tally:
    """The results of many runs. `failures`: what was run, the faults, the broken invariants."""

    runs: int = 0
    struck: Counter[tuple[Moment, Kind]] = field(default_factory=Counter)
    branches: set[coverage.Branch] = field(default_factory=set)
    failures: list[tuple[str, tuple[Fault, ...], str]] = field(default_factory=list)

    def count(self, what: str, run: Run) -> None:
        self.runs += 1
        self.struck.update((fault.fault_point.moment, fault.kind) for fault in run.struck)
        if run.broken:
            self.failures.append((what, run.struck, run.broken))

    def add(self, other: "Tally") -> None:
        self.runs += other.runs
        self.struck += other.struck
        self.branches |= other.branches
        self.failures = [*self.failures, *other.failures][:_FAILURES_MAX]


def fault_points(scenario: str) -> tuple[FaultPoint, ...]:
    """The points at which a fault can strike, from a run without faults."""
    run = play(scenario, Listed())
    assert not run.broken, f"{scenario}, without any fault: {run.broken}"
    return run.fault_points


def faults(scenario: str, kinds: Mapping[Moment, tuple[Kind, ...]] = POSSIBLE) -> list[Fault]:
    return [
        Fault(fault_point, kind)
        for fault_point in fault_points(scenario)
        for kind in kinds[fault_point.moment]
    ]


def singles(scenario: str, part: int, parts: int) -> Tally:
    return summed((scenario, play(scenario, Listed((fault,)))) for fault in faults(scenario)[part::parts])


def singles_reading(scenario: str, part: int, parts: int) -> Tally:
    """The same without the aggregate cache, which has more fault points."""
    with reading():
        return singles(scenario, part, parts)


def days(first: int, last: int, steps: int) -> Tally:
    return summed((f"seed {seed}", play_day(seed, steps, Seeded(seed))) for seed in range(first, last))


def summed(runs: Iterable[tuple[str, Run]]) -> Tally:
    """Sum up pairs of the name of a run and the run."""
    tally = Tally()
    for what, run in runs:
        tally.count(what, run)
        tidy(tally.runs)
    tally.branches = set(coverage.reached)
    return tally


def in_parallel(play_: Any, jobs: list[Job], workers: int) -> Iterator[Tally]:
    """Run jobs in parallel; yields the sum so far after each job."""
    total = Tally()
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver"), initializer=_begin) as pool:
        for tally in pool.map(play_, *zip(*jobs, strict=True)):
            total.add(tally)
            yield total


def _begin() -> None:
    """Set up a worker: no logs, because services log every fault, and garbage collection only after runs.

    Its low priority lets other tests that run at the same time go first.
    """
    from chassis import telemetry

    telemetry.configure("critical", pretty=False)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # else asyncio installs a handler of its own for every run
    gc.disable()
    gc.freeze()
    os.setsid()  # else the niceness would count only within the session of all tests
    lower_priority(NICE)


def tidy(runs: int) -> None:
    """Collect crashed instances, which wait forever in reference cycles:
    asyncio inspects each when a loop ends.
    """
    if runs % 10 == 0:
        gc.collect(1)


def table(tally: Tally) -> str:
    """How often each fault struck, one line per moment."""
    lines = [
        f"{tally.runs} runs, {sum(tally.struck.values())} faults, {len(tally.branches)} branches of the "
        "deciders"
    ]
    for moment in Moment:
        counts = ", ".join(f"{kind} {n}" for (at, kind), n in sorted(tally.struck.items()) if at is moment)
        if counts:
            lines.append(f"  {moment:<18} {counts}")
    return "\n".join(lines)


def never_struck(tally: Tally, moments: tuple[Moment, ...] = tuple(Moment)) -> list[str]:
    possible = chain.from_iterable(((moment, kind) for kind in POSSIBLE[moment]) for moment in moments)
    return [f"{moment}: {kind}" for moment, kind in possible if not tally.struck[moment, kind]]
