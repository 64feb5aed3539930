"""Days that once broke an invariant: seed, required faults, and the broken invariant.

The tests run all of them.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.faults import Fault, FaultPoint, Kind, Moment

FILE = Path(__file__).with_name("regressions.jsonl")


@dataclass(frozen=True)
class Regression:
    seed: int
    steps: int
    faults: tuple[Fault, ...]
    broke: str

    def keep(self) -> None:
        faults = [[*fault.fault_point, fault.kind] for fault in self.faults]
        line = json.dumps({"seed": self.seed, "steps": self.steps, "faults": faults, "broke": self.broke})
        if not FILE.exists() or line not in FILE.read_text().splitlines():
            with FILE.open("a") as file:
                file.write(line + "\n")


def known() -> Iterator[Regression]:
    for line in FILE.read_text().splitlines():
        entry = json.loads(line)
        faults = tuple(
            Fault(FaultPoint(who, Moment(moment), what, nth), Kind(kind))
            for who, moment, what, nth, kind in entry["faults"]
        )
        yield Regression(entry["seed"], entry["steps"], faults, entry["broke"])
