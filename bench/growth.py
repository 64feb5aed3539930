"""What a run of `journey bench --growth` measured, as JSON, and the figures derived from it.

docs/growth.json is the run that docs/scaling.md describes.
"""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

BROKER = "RabbitMQ"
DATABASE = "MongoDB"
CLIENT = "load generator"


@dataclass(frozen=True)
class GrowthRound:
    """One saturation round with `instances` of each service.

    `cpu_s`: CPU seconds by service (all its instances), BROKER, DATABASE and CLIENT. `handled`: messages by
    service. `conflicts`: writes that met a newer version, by service. `machine_cpu_s`: all that the machine
    did in that time.
    """

    number: int
    instances: int
    orders: int
    seconds: float
    p50_ms: float
    cpu_s: Mapping[str, float]
    handled: Mapping[str, int]
    conflicts: Mapping[str, int]
    machine_cpu_s: float

    @property
    def per_second(self) -> float:
        return self.orders / self.seconds


@dataclass(frozen=True)
class Growth:
    """`cores`: of the machine on which everything ran."""

    cores: int
    in_flight: int
    rounds: Sequence[GrowthRound] = field(default_factory=tuple)

    @property
    def counts(self) -> list[int]:
        """The measured numbers of instances."""
        return sorted({each.instances for each in self.rounds})

    def ratios(self, instances: int) -> list[float]:
        """Throughput in relation to one instance of each service, in the same round."""
        single = {each.number: each.per_second for each in self.rounds if each.instances == 1}
        return [each.per_second / single[each.number] for each in self.rounds if each.instances == instances]

    def cpu_ms(self, instances: int) -> dict[str, float]:
        """Median CPU per order in milliseconds, by service, BROKER and DATABASE."""
        measured = [each for each in self.rounds if each.instances == instances]
        return {
            name: statistics.median(each.cpu_s[name] / each.orders * 1000 for each in measured)
            for name in measured[0].cpu_s
        }

    def median(self, instances: int, figure: Callable[[GrowthRound], float]) -> float:
        return statistics.median(figure(each) for each in self.rounds if each.instances == instances)

    def handled_per_order(self) -> dict[str, float]:
        """Messages per order by service; the same for all numbers of instances."""
        names = self.rounds[0].handled
        return {
            name: statistics.median(each.handled[name] / each.orders for each in self.rounds)
            for name in names
        }

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Growth":
        fields = json.loads(path.read_text())
        return cls(**fields | {"rounds": tuple(GrowthRound(**each) for each in fields["rounds"])})
