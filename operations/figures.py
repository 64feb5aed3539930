"""What is known of the services and their queues just now. None is unknown, and is never shown as 0."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chassis.retry import LADDER
from chassis.topology import AUDIT, JOURNAL, UNROUTABLE
from journey.broker_admin import Traffic
from journey.services import HEARERS
from operations.broker import Counted

UNKNOWN = Traffic(None, None, None, None, None)
GUARDED = (*LADDER, UNROUTABLE, JOURNAL, AUDIT)
_BACKLOG = 100  # as many and more are worth a word


def total(numbers: Iterable[float | None]) -> float | None:
    """A sum of which one part is unknown is unknown."""
    known = list(numbers)
    return None if None in known else sum(number or 0 for number in known)


@dataclass(frozen=True)
class ServiceFigures:
    """One service. `unready`: why it is not at work, by its own word; empty if it is; None if nobody asked yet."""

    name: str
    unready: str | None
    events: Traffic
    commands: Traffic
    letters: Traffic

    @property
    def instances(self) -> int | None:
        """Each instance is one consumer of the events."""
        return self.events.consumers

    @property
    def in_s(self) -> float | None:
        return total((self.events.in_s, self.commands.in_s))

    @property
    def out_s(self) -> float | None:
        return total((self.events.out_s, self.commands.out_s))

    @property
    def ready(self) -> float | None:
        return total((self.events.ready, self.commands.ready))

    @property
    def unacked(self) -> float | None:
        return total((self.events.unacked, self.commands.unacked))

    @property
    def dead(self) -> float | None:
        """With those that somebody holds just now to look at them."""
        return total((self.letters.ready, self.letters.unacked))

    @property
    def warnings(self) -> list[str]:
        found = []
        if self.events.consumers == 0:
            found.append("no consumer: its messages wait until it is started")
        elif self.commands.consumers == 0:
            found.append("takes no commands just now: the outside world does not answer, it asks again by itself")
        if self.unready and self.events.consumers != 0:
            found.append(f"not ready: {self.unready}")
        if self.ready is not None and self.ready >= _BACKLOG:
            found.append(f"{self.ready:.0f} messages wait")
        return found

    @property
    def state(self) -> str:
        """In a word, for the shape beside it: `down`, `slow`, `ok` or `unknown`."""
        if self.events.consumers == 0 or (self.events.consumers is None and self.unready):
            return "down"
        if self.events.consumers is None and self.unready is None:
            return "unknown"
        return "slow" if self.warnings else "ok"


@dataclass(frozen=True)
class Picture:
    """The whole system at one moment.

    `as_of`: when the broker last told its figures. `silent_since`: since when it does not; then all of them are None.
    """

    at: datetime
    as_of: datetime | None = None
    silent_since: datetime | None = None
    why_silent: str = ""
    traffic: Mapping[str, Traffic] = field(default_factory=dict)
    alarms: Sequence[str] = ()
    unready: Mapping[str, str] = field(default_factory=dict)

    def queue(self, name: str) -> Traffic:
        return self.traffic.get(name, UNKNOWN)

    @property
    def services(self) -> list[ServiceFigures]:
        return [
            ServiceFigures(
                name,
                self.unready.get(name),
                self.queue(f"{name}.events"),
                self.queue(f"{name}.commands"),
                self.queue(f"{name}.dead"),
            )
            for name in HEARERS
        ]

    @property
    def dead(self) -> float | None:
        return total(service.dead for service in self.services)

    @property
    def on_the_ladder(self) -> float | None:
        """Messages that wait to be tried again."""
        return total(number for rung in LADDER for number in (self.queue(rung).ready, self.queue(rung).unacked))

    @property
    def missing(self) -> list[str]:
        """Queues that ought to be there and are not, as far as the broker answers."""
        if self.silent_since is not None or self.as_of is None:
            return []
        wanted = [f"{name}.{kind}" for name in HEARERS for kind in ("events", "commands", "dead")]
        return [name for name in (*wanted, *GUARDED) if name not in self.traffic]

    @property
    def queues(self) -> list[tuple[str, Traffic]]:
        """Every queue of ours and every other, by name."""
        wanted = {f"{name}.{kind}": UNKNOWN for name in HEARERS for kind in ("events", "commands", "dead")}
        return sorted({**wanted, **dict.fromkeys(GUARDED, UNKNOWN), **self.traffic}.items())


def told(before: Picture, counted: Counted, unready: Mapping[str, str], now: datetime) -> Picture:
    """The next picture, when the broker has answered."""
    return Picture(now, now, None, "", counted.traffic, counted.alarms, unready)


def silent(before: Picture, why: str, unready: Mapping[str, str], now: datetime) -> Picture:
    """The next picture, when it has not: what it said last is not true any more."""
    return Picture(now, before.as_of, before.silent_since or now, why, unready=unready)
