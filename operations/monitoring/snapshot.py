"""A snapshot of the services and their queues. None means unknown and is never shown as 0."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from journey.admin.broker.input_queues import by_input_queue, waiting_for_update
from journey.admin.broker.management import Traffic
from journey.admin.diagnosis.snapshot import NO_RESPONSE, for_update_sentence
from journey.admin.registry import CONSUMING_SERVICES, shop_topology
from operations.broker import QueueStats

UNKNOWN = Traffic(None, None, None, None, None)
QUEUES = tuple(queue.name for queue in shop_topology().queues)  # the expected queues
_BACKLOG = 100  # from this depth on, a warning is shown


def total(numbers: Iterable[float | None]) -> float | None:
    """The sum; None if any part is unknown."""
    known = list(numbers)
    return None if None in known else sum(number or 0 for number in known)


@dataclass(frozen=True)
class Readiness:
    """What the processes of a service report. `reasons`: address of a process -> why it is not ready; empty
    if it is.
    """

    reasons: Mapping[str, str]

    @property
    def count(self) -> str:
        """How many of the processes are ready: `2 of 3 ready`."""
        ready = sum(not why for why in self.reasons.values())
        return f"{ready} of {len(self.reasons)} ready"

    @property
    def unready(self) -> str:
        """Why none of the processes is ready; empty if one is. A process that responds says more."""
        if not all(self.reasons.values()):
            return ""
        return min(self.reasons.values(), key=lambda why: why == NO_RESPONSE, default="")

    @property
    def warning(self) -> str:
        """Which processes are not ready, and why; empty if all are ready."""
        if len(self.reasons) == 1:
            return f"not ready: {self.unready}" if self.unready else ""
        by_reason: dict[str, list[str]] = {}
        for address, why in self.reasons.items():
            if why:
                by_reason.setdefault(why, []).append(address)
        reasons = [f"{', '.join(addresses)}: {why}" for why, addresses in by_reason.items()]
        return "; ".join([self.count, *reasons]) if reasons else ""


@dataclass(frozen=True)
class ServiceStats:
    """One service. `readiness`: None before the first poll.

    `for_update`: queue -> number of messages that the running release does not consume.
    """

    name: str
    readiness: Readiness | None
    events: Traffic
    commands: Traffic
    dead_letters: Traffic
    for_update: Mapping[str, int] = field(default_factory=dict)

    @property
    def instances(self) -> int | None:
        """Each instance is one consumer of the event queue."""
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
        """Including those that are unacknowledged because a reader holds them."""
        return total((self.dead_letters.ready, self.dead_letters.unacked))

    @property
    def warnings(self) -> list[str]:
        found = []
        if self.events.consumers == 0:
            found.append("no consumer: its messages wait until it is started")
        elif self.commands.consumers == 0:
            found.append(
                "consumes no commands: an external service does not respond; it retries automatically"
            )
        if self.readiness and self.readiness.warning and self.events.consumers != 0:
            found.append(self.readiness.warning)
        found += [for_update_sentence(queue, count) for queue, count in self.for_update.items()]
        if self.ready is not None and self.ready >= _BACKLOG:
            found.append(f"{self.ready:.0f} messages wait")
        return found

    @property
    def state(self) -> str:
        """The state that determines the symbol: `down`, `slow`, `ok` or `unknown`."""
        unready = self.readiness.unready if self.readiness else ""
        if self.events.consumers == 0 or (self.events.consumers is None and unready):
            return "down"
        if self.events.consumers is None and self.readiness is None:
            return "unknown"
        return "slow" if self.warnings else "ok"


@dataclass(frozen=True)
class MonitoringSnapshot:
    """The whole system at one moment.

    `as_of`: when the broker last returned figures. `unknown_since`: since when it has not; all figures are
    None then.
    """

    as_of: datetime | None = None
    unknown_since: datetime | None = None
    unknown_reason: str = ""
    traffic: Mapping[str, Traffic] = field(default_factory=dict)
    alarms: Sequence[str] = ()
    readiness: Mapping[str, Readiness] = field(default_factory=dict)
    losses: Sequence[str] = ()  # what full queues discarded, one sentence each

    def queue(self, name: str) -> Traffic:
        return self.traffic.get(name, UNKNOWN)

    @property
    def for_update(self) -> dict[str, int]:
        """Queue -> number of messages that the running release of its service does not consume."""
        return waiting_for_update(self.traffic)

    @property
    def services(self) -> list[ServiceStats]:
        traffic, for_update = by_input_queue(self.traffic), self.for_update
        return [
            ServiceStats(
                name,
                self.readiness.get(name),
                traffic.get(f"{name}.events", UNKNOWN),
                traffic.get(f"{name}.commands", UNKNOWN),
                self.queue(f"{name}.dead"),
                {queue: count for queue, count in for_update.items() if queue.startswith(f"{name}.")},
            )
            for name in CONSUMING_SERVICES
        ]

    @property
    def dead(self) -> float | None:
        return total(service.dead for service in self.services)

    @property
    def missing(self) -> list[str]:
        """Missing queues, as far as the broker responds."""
        if self.unknown_since is not None or self.as_of is None:
            return []
        return [name for name in QUEUES if name not in self.traffic]

    @property
    def queues(self) -> list[tuple[str, Traffic]]:
        """Every queue of the shop and every other queue, by name."""
        return sorted({**dict.fromkeys(QUEUES, UNKNOWN), **self.traffic}.items())


def current_snapshot(
    queue_stats: QueueStats, readiness: Mapping[str, Readiness], now: datetime, losses: Sequence[str] = ()
) -> MonitoringSnapshot:
    """The next snapshot after the broker has responded."""
    return MonitoringSnapshot(
        now, traffic=queue_stats.traffic, alarms=queue_stats.alarms, readiness=readiness, losses=losses
    )


def unknown_snapshot(
    before: MonitoringSnapshot, why: str, readiness: Mapping[str, Readiness], now: datetime
) -> MonitoringSnapshot:
    """The next snapshot after the broker has not responded: earlier figures are no longer valid."""
    return MonitoringSnapshot(
        before.as_of, before.unknown_since or now, why, readiness=readiness, losses=before.losses
    )
