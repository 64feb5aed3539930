"""The possible faults, where they can strike, and the plans that select them: a list, or a seed.

A fault point identifies one operation of a run: which service performs which operation, and on which
occurrence (1st, 2nd, …). The same fault point in two runs is the same operation, so if one fault is left out,
all others still strike where they did.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple, Protocol


class Kind(StrEnum):
    """The fault at a fault point.

    `AWAY_…`: the caller gets no response, and cannot tell whether the operation was done.
    """

    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    CRASH_FOR_LONG = "crash, back after ten minutes"
    AWAY_NOT_DONE = "no answer, not done"
    AWAY_DONE = "no answer, though done"
    UNKNOWN_NOT_DONE = "unknown, not done"
    UNKNOWN_DONE = "unknown, though done"
    ROLLED_BACK = "no answer, seen for a moment, then rolled back"
    DELIVERED_LATER = "unknown, delivered later"
    REFUSED = "refused: no queue takes it"
    CONNECTION_LOST = "connection lost before the acknowledgement"
    HALF = "done for half the amount"
    OTHER_CURRENCY = "done in another currency"
    OTHER_TRANSACTION = "the answer is about another transaction"
    TWICE = "delivered twice"
    LATE = "delivered late"
    DELIVERY_LIMIT = "delivery limit reached"
    SERVICE_DOWN = "a service is down for ten minutes"
    BROKER_AWAY = "the broker is away for a minute"
    DATABASE_AWAY = "a database is away for a minute"
    CLOCK_JUMPS = "the clock jumps past every deadline"
    POISON = "an unknown client sends a message of an unknown type"
    FORGED = "a stranger forges a command of the staff"


class Moment(StrEnum):
    """The operation at a fault point."""

    LOAD = "loads"
    SAVE = "saves"
    PUBLISH = "publishes"
    ACK = "acknowledges"
    DELIVER = "is delivered"
    PROVIDER = "asks the provider"
    MAIL = "sends the mail"
    DAY = "the day goes on"


_CRASHES = (Kind.CRASH_BEFORE, Kind.CRASH_AFTER)
POSSIBLE: Mapping[Moment, tuple[Kind, ...]] = {
    Moment.LOAD: (*_CRASHES, Kind.AWAY_NOT_DONE),
    Moment.SAVE: (
        *_CRASHES,
        Kind.AWAY_NOT_DONE,
        Kind.AWAY_DONE,
        Kind.UNKNOWN_NOT_DONE,
        Kind.UNKNOWN_DONE,
        Kind.ROLLED_BACK,
    ),
    Moment.PUBLISH: (*_CRASHES, Kind.AWAY_NOT_DONE, Kind.DELIVERED_LATER, Kind.REFUSED),
    Moment.ACK: (*_CRASHES, Kind.CRASH_FOR_LONG, Kind.CONNECTION_LOST),
    Moment.DELIVER: (Kind.TWICE, Kind.LATE, Kind.DELIVERY_LIMIT),
    Moment.PROVIDER: (
        *_CRASHES,
        Kind.AWAY_NOT_DONE,
        Kind.AWAY_DONE,
        Kind.HALF,
        Kind.OTHER_CURRENCY,
        Kind.OTHER_TRANSACTION,
    ),
    Moment.MAIL: (*_CRASHES, Kind.AWAY_NOT_DONE, Kind.AWAY_DONE),
    Moment.DAY: (
        Kind.SERVICE_DOWN,
        Kind.BROKER_AWAY,
        Kind.DATABASE_AWAY,
        Kind.CLOCK_JUMPS,
        Kind.POISON,
        Kind.FORGED,
    ),
}


class FaultPoint(NamedTuple):
    """The `nth` time that `who` does `what`."""

    who: str
    moment: Moment
    what: str
    nth: int = 1

    @property
    def service(self) -> str:
        """The service of the fault point; for a queue, its consumer."""
        return self.who.partition(".")[0]

    def __str__(self) -> str:
        again = f" (time {self.nth})" if self.nth > 1 else ""
        return f"{self.who} {self.moment} {self.what}{again}"


class Fault(NamedTuple):
    fault_point: FaultPoint
    kind: Kind

    def __str__(self) -> str:
        return f"{self.fault_point}: {self.kind}"


class Plan(Protocol):
    def at(self, fault_point: FaultPoint) -> Kind | None:
        """The fault that strikes there; None if there is none."""
        ...


class Listed:
    """Exactly these faults."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._kinds = {fault.fault_point: fault.kind for fault in faults}

    def at(self, fault_point: FaultPoint) -> Kind | None:
        return self._kinds.get(fault_point)


class Seeded:
    """Random faults. Each seed has its own rate and leaves out some kinds, so that rare kinds occur too.

    Their number is limited. Otherwise, at a high rate, faults would create copies of messages, which meet
    faults in turn, forever.
    """

    RATES = (0.002, 0.01, 0.03, 0.08)
    STRIKES_MAX = 200

    def __init__(self, seed: int, *, rate: float | None = None, kinds: Collection[Kind] = ()) -> None:
        """`rate`, `kinds`: instead of those that the seed chooses."""
        self._seed = seed
        self._rate = self.RATES[seed % len(self.RATES)] if rate is None else rate
        # By name, so that the days of a seed do not depend on the texts.
        chosen = {kind for kind in Kind if chance(seed, f"swarm {kind.name}") < 0.6}
        self._kinds = set(kinds) or chosen
        self._strikes = 0

    def at(self, fault_point: FaultPoint) -> Kind | None:
        rate = 0.15 if fault_point.moment is Moment.DAY else self._rate
        if self._strikes >= self.STRIKES_MAX or chance(self._seed, f"strike {fault_point}") >= rate:
            return None
        kinds = [kind for kind in POSSIBLE[fault_point.moment] if kind in self._kinds]
        if not kinds:
            return None
        self._strikes += 1
        return kinds[int(chance(self._seed, f"kind {fault_point}") * len(kinds))]


def chance(seed: int, what: str) -> float:
    """A number from 0 to 1 derived from seed and text: the same on every machine, whatever else happens."""
    digest = blake2b(f"{seed}/{what}".encode(), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48


class Counted:
    """Numbers the repetitions of a fault point, and records the faults that struck: `note(who, does, what,
    kind)`.
    """

    def __init__(self, plan: Plan, note: Callable[[str, str, str, Kind], None]) -> None:
        self._plan = plan
        self._note = note
        self._times: Counter[tuple[str, Moment, str]] = Counter()
        self.fault_points: list[FaultPoint] = []
        self.struck: list[Fault] = []

    def at(self, who: str, moment: Moment, what: str) -> Kind | None:
        self._times[who, moment, what] = nth = self._times[who, moment, what] + 1
        fault_point = FaultPoint(who, moment, what, nth)
        self.fault_points.append(fault_point)
        kind = self._plan.at(fault_point)
        if kind is not None:
            self.struck.append(Fault(fault_point, kind))
            self._note(who, moment, what, kind)
        return kind
