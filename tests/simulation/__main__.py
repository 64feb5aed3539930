"""`python -m tests.simulation`: busy days in the shop with every possible fault, in virtual time.

One seed is one day: the same orders, the same faults, the same trace, on every machine.
"""

import argparse
import os
import re
import sys
import time
from itertools import islice
from typing import Any

from rich.console import Console
from rich.progress import Progress

from chassis import telemetry
from tests.simulation.exhaustive import Tally, days, in_parallel, never_struck, table
from tests.simulation.faults import Fault, Listed, Seeded
from tests.simulation.pairs import every_pair
from tests.simulation.regressions import FILE, Regression
from tests.simulation.run import play_day, shrink
from tests.simulation.scenarios import SCENARIOS

_STORY_LINES_MAX = 200
_DAYS_A_JOB = 25
_PARTS = 24
console = Console(highlight=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument(
        "--seed", type=int, help="run this one day, and print its story if an invariant breaks"
    )
    parser.add_argument(
        "--steps", type=_some, default=15, help="number of actions by people in a day (default 15)"
    )
    parser.add_argument(
        "--seeds", type=_some, help="run this many days, starting with seed 0, and print a summary"
    )
    parser.add_argument(
        "--pairs", action="store_true", help="also run every pair of faults of every scenario"
    )
    parser.add_argument(
        "--story", action="store_true", help="print the story of a day without a broken invariant, too"
    )
    asked = parser.parse_args()
    telemetry.configure("critical", pretty=False)
    if (asked.seed is None) == (asked.seeds is None):
        parser.error("give either --seed N or --seeds COUNT")
    if asked.seed is not None:
        return _one(asked.seed, asked.steps, with_trace=asked.story)
    return _many(asked.seeds, asked.steps, with_pairs=asked.pairs)


def _some(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def _one(seed: int, steps: int, *, with_trace: bool) -> int:
    run = play_day(seed, steps, Seeded(seed), with_trace=True)
    console.print(
        f"seed {seed}, {steps} steps: {len(run.struck)} faults struck; trace {run.fingerprint[:16]}"
    )
    if not run.broken:
        if with_trace:
            print("\n".join(run.story))
        console.print("[green]every invariant holds")
        return 0
    console.print(f"[red]broken: {run.broken}")
    kind = _kind(run.broken)
    few = shrink(run.struck, lambda faults: _kind(play_day(seed, steps, Listed(faults)).broken) == kind)
    run = play_day(seed, steps, Listed(few), with_trace=True)
    console.print(f"{len(few)} of these faults are needed:")
    print("".join(f"  {fault}\n" for fault in few))
    print("\n".join(islice(_about(run.story, run.broken, few), _STORY_LINES_MAX)))
    Regression(seed, steps, tuple(few), run.broken).keep()
    console.print(f"kept in {FILE.name}: `make test` plays it from now on")
    return 1


def _kind(broken: str) -> str:
    """The invariant that is broken, without numbers and ids."""
    return re.sub(r"[0-9a-f-]*\d[0-9a-f-]*", "…", broken.split(";")[0])[:40]


def _about(story: tuple[str, ...], broken: str, few: list[Fault]) -> Any:
    """The lines about the orders that the broken invariant or its faults name; if they name none,
    all lines.
    """
    names = set(re.findall(r"\b[ou]\d+\b", " ".join([broken, *map(str, few)])))
    wanted = re.compile(rf"\b({'|'.join(names)})\b|<<<") if names else re.compile("")
    return (line for line in story if wanted.search(line))


def _many(seeds: int, steps: int, *, with_pairs: bool) -> int:
    began = time.monotonic()
    workers = os.cpu_count() or 2
    jobs = [(first, min(first + _DAYS_A_JOB, seeds), steps) for first in range(0, seeds, _DAYS_A_JOB)]
    total = _shown("days", days, jobs, workers)
    failed = _report(total)
    if missed := never_struck(total):
        console.print(f"[red]never struck: {', '.join(missed)}")
    if with_pairs:
        both = [(name, part, _PARTS) for name in SCENARIOS for part in range(_PARTS)]
        failed |= _report(_shown("pairs of faults", every_pair, both, workers))
    console.print(f"{time.monotonic() - began:.0f} s on {workers} cores")
    return int(failed or bool(missed))


def _shown(what: str, play: Any, jobs: list[Any], workers: int) -> Tally:
    total = Tally()
    with Progress(console=console) as progress:
        task = progress.add_task(what, total=len(jobs))
        shown = 0
        for done, total in enumerate(in_parallel(play, jobs, workers), start=1):
            for name, _, broken in total.failures[shown:]:
                console.print(f"[red]{name}: {broken}")
            shown = len(total.failures)
            so_far = f"{what}: {total.runs} runs, {len(total.failures)} broken"
            progress.update(task, advance=1, description=so_far)
            if not console.is_terminal and 10 * done // len(jobs) > 10 * (done - 1) // len(jobs):
                console.print(so_far)  # a log has no progress bar
    return total


def _report(tally: Tally) -> bool:
    print(table(tally))
    for what, _, broken in tally.failures:
        console.print(f"[red]{what}: {broken}")
        if what.startswith("seed"):
            console.print(f"  its story: make simulate SEED={what.split()[1]}")
    return bool(tally.failures)


if __name__ == "__main__":
    sys.exit(main())
