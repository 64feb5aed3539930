"""Runs a simulation and describes the broken invariants; reduces its faults to the ones that are needed."""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tests.simulation import invariants, virtual_time
from tests.simulation.faults import Fault, FaultPoint, Plan
from tests.simulation.random_day import Day
from tests.simulation.scenarios import FATAL_MESSAGE, SCENARIOS, WHOLE, play_out
from tests.simulation.world import Size, World

Prepare = Callable[[World], None]


@dataclass(frozen=True)
class Run:
    """The result of a run. `broken`: the first broken invariants; empty if all hold."""

    broken: str
    fault_points: tuple[FaultPoint, ...]
    struck: tuple[Fault, ...]
    fingerprint: str
    story: tuple[str, ...]


def play(name: str, plan: Plan, *, prepare: Prepare = lambda world: None, with_trace: bool = False) -> Run:
    """Run one scenario under one plan; `with_trace`: include its trace."""
    scenario = FATAL_MESSAGE if name == FATAL_MESSAGE.name else SCENARIOS[name]
    size = Size(scenario.services, real_subscriptions=scenario.real_subscriptions)
    return _play(lambda world: play_out(scenario, world), plan, size, prepare, with_trace)


def play_day(
    seed: int, steps: int, plan: Plan, *, prepare: Prepare = lambda world: None, with_trace: bool = False
) -> Run:
    """Run a busy day; odd seeds have two instances of every service."""
    size = Size(WHOLE, instances=1 + seed % 2, delays=seed)
    return _play(lambda world: Day(world, seed, steps)(), plan, size, prepare, with_trace)


def _play(
    act: Callable[[World], Awaitable[None]], plan: Plan, size: Size, prepare: Prepare, with_trace: bool
) -> Run:
    async def go() -> Run:
        world = World(plan, size, invariants.Monitor())
        prepare(world)
        broken = ""
        try:
            await act(world)
            broken = "; ".join([*world.monitor.broken, *invariants.at_rest(world)][:3])
        except AssertionError as error:
            broken = f"{error}" + (f": {error.__cause__!r}" if error.__cause__ else "")
        finally:
            await world.close()
        trace = world.trace
        story = tuple(trace.story()) if with_trace else ()
        return Run(
            broken,
            tuple(world.plan.fault_points),
            tuple(world.plan.struck),
            trace.fingerprint if with_trace else "",
            story,
        )

    chances = random.getstate()
    random.seed(0)  # for the backoffs
    try:
        return virtual_time.play(go())
    finally:
        random.setstate(chances)


def shrink(faults: Sequence[Fault], breaks: Callable[[Sequence[Fault]], bool]) -> list[Fault]:
    """Remove the faults that are not needed to break the invariant: halves first, then one by one."""
    left = list(faults)
    size = max(1, len(left) // 2)
    while size:
        start = 0
        while start < len(left):
            fewer = left[:start] + left[start + size :]
            if breaks(fewer):
                left = fewer
            else:
                start += size
        size //= 2
    return left
