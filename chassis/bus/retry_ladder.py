"""The retry ladder, the queues of dead letters, and when a redelivered message is a suspect."""

from dataclasses import dataclass

# The last part of the names of a service's two queues of dead letters.
DEAD = "dead"
REJECTED = "rejected"
# Some deaths of a consumer are accidents. After these the bus delivers the suspects one at a time, so from
# then on a death counts only against the message that was in hand; after so many the message is taken for the
# cause.
RETURNS_SUSPECT = 3


@dataclass(frozen=True)
class Rung:
    """An exchange and a queue of this name. After the delay a message returns to its input queue."""

    name: str
    delay_ms: int


@dataclass(frozen=True)
class RetryLadder:
    """Where a message waits after each failure, in order; after the last rung it becomes a dead letter."""

    rungs: tuple[Rung, ...] = (Rung("retry.5s", 5_000), Rung("retry.1m", 60_000), Rung("retry.10m", 600_000))

    def __post_init__(self) -> None:
        if not self.rungs:
            raise ValueError("a retry ladder has at least one rung")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(rung.name for rung in self.rungs)

    @property
    def attempts_max(self) -> int:
        """How often a message is tried in all."""
        return len(self.rungs) + 1
