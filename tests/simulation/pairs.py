"""Every pair of faults, except those whose effect is the sum of their single effects.

Some kinds leave nothing behind that other kinds do not: what is retried immediately (no response, not done),
and what only causes a redelivery (a lost acknowledgement). They are no part of a pair. Two faults are
independent

* if no service is affected by both. A fault affects the service that it strikes, and those that do more or
  less after it than on a day without faults.
* if the effect of the first has ended before the second strikes: it changed no decision, and from there on
  every service does what it does on a day without faults. But two faults at order_svc are dependent: it
  decides which came first, the customer, the deadline or another event, and a delay is enough to change that.
* if only one of them strikes notification_svc: it handles the events of others and emits none that they
  handle. In the first scenarios these pairs are run all the same.

Two faults that cause a long wait are always dependent, because waits add up.

Some of the independent pairs are run as well, to verify this. `make simulate-long` runs all of them.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import dropwhile, islice
from typing import NamedTuple

from chassis.store.protocol import Change
from notification_svc.mail import MailStatus as Mail
from tests.simulation.exhaustive import Tally, faults, summed, tidy
from tests.simulation.faults import Fault, FaultPoint, Kind, Listed, Moment, chance
from tests.simulation.run import Run, play
from tests.simulation.world import World

DISTINGUISHING: Mapping[Moment, tuple[Kind, ...]] = {
    Moment.LOAD: (),
    Moment.SAVE: (Kind.CRASH_BEFORE, Kind.CRASH_AFTER, Kind.ROLLED_BACK),
    Moment.PUBLISH: (Kind.CRASH_AFTER, Kind.DELIVERED_LATER, Kind.REFUSED),
    Moment.ACK: (),
    Moment.DELIVER: (Kind.TWICE, Kind.LATE, Kind.DELIVERY_LIMIT),
    Moment.PROVIDER: (Kind.CRASH_AFTER, Kind.AWAY_NOT_DONE, Kind.AWAY_DONE, Kind.HALF),
    Moment.MAIL: (Kind.CRASH_AFTER, Kind.AWAY_NOT_DONE, Kind.AWAY_DONE),
    Moment.DAY: (),
}
LONG = {Kind.LATE, Kind.DELIVERY_LIMIT}
# The others vary the time of a cancellation; `make simulate-long` runs their pairs.
PAIRED = (
    "confirmed",
    "out of stock",
    "declined",
    "rejected",
    "cancelled first",
    "cancelled when reserved",
    "cancelled when captured",
    "too late",
)
LISTENER, ARBITER = "notification_svc", "order_svc"
PAIRED_WITH_MAILS = ("confirmed", "out of stock")
APART_TRIED = 0.03

Decisions = Counter[tuple[str, str, str, str]]  # the aggregate, the message type, the status before and after


class Alone(NamedTuple):
    """A run with one fault: the affected services, the fault points that are still reached,
    those of them where no service is affected any longer, and the number of each decision.
    """

    felt: frozenset[str]
    fault_points: frozenset[FaultPoint]
    healed: frozenset[FaultPoint]
    decided: Decisions


@cache
def alone(scenario: str) -> Mapping[Fault, Alone]:
    """The runs with one of the TELLING faults each, in the order of their fault points."""
    usual, usually_decided = _usual(scenario)
    usual_fault_points = set(usual.fault_points)
    found = {}
    for count, fault in enumerate(faults(scenario, DISTINGUISHING)):
        run, decided = _noted(scenario, fault)
        others = {
            fault_point.service for fault_point in usual_fault_points.symmetric_difference(run.fault_points)
        }
        left = frozenset(run.fault_points) - {fault.fault_point}
        healed = frozenset(
            as_usual(run.fault_points, usual.fault_points) if decided == usually_decided else ()
        )
        found[fault] = Alone(frozenset(others | {fault.fault_point.service}), left, healed, decided)
        tidy(count)
    return found


def as_usual(fault_points: Sequence[FaultPoint], usual: Sequence[FaultPoint]) -> Sequence[FaultPoint]:
    """The longest end of a run in which each service passes the same fault points as usual, in that order."""
    begin = 0
    backwards = [*enumerate(fault_points, 1)][::-1]
    for service in {fault_point.service for fault_point in fault_points}:
        expected = (fault_point for fault_point in reversed(usual) if fault_point.service == service)
        others = (
            n
            for n, fault_point in backwards
            if fault_point.service == service and fault_point != next(expected, None)
        )
        begin = max(begin, next(others, 0))
    return fault_points[begin:]


@cache
def _usual(scenario: str) -> tuple[Run, Decisions]:
    return _noted(scenario)


def meet(scenario: str, first: Fault, second: Fault) -> bool:
    """Whether the combined effect of the two may be more than the sum of their single effects."""
    if scenario not in PAIRED_WITH_MAILS and (first.fault_point.service == LISTENER) != (
        second.fault_point.service == LISTENER
    ):
        return False
    if {first.kind, second.kind} <= LONG:
        return True
    known = alone(scenario)
    if second.fault_point in known[first].healed and (
        first.fault_point.service,
        second.fault_point.service,
    ) != (
        ARBITER,
        ARBITER,
    ):
        return False
    return not known[first].felt.isdisjoint(known[second].felt)


def pairs(scenario: str, part: int, parts: int) -> Tally:
    """The pairs of every n-th fault: all dependent ones, and some of the others."""
    return summed((scenario, run) for run in _meetings(scenario, part, parts))


def _meetings(scenario: str, part: int, parts: int) -> Iterator[Run]:
    for first, second in _all(scenario, part, parts):
        if meet(scenario, first, second):
            yield play(scenario, Listed((first, second)))
        elif chance(0, f"{scenario}: {first}, {second}") < APART_TRIED:
            yield apart(scenario, first, second)


def every_pair(scenario: str, part: int, parts: int) -> Tally:
    return summed((scenario, play(scenario, Listed(both))) for both in _all(scenario, part, parts))


def _all(scenario: str, part: int, parts: int) -> Iterator[tuple[Fault, Fault]]:
    """Every n-th fault, with each fault that can strike after it.

    If the second fault point is no longer reached once the first fault has struck, the pair equals that
    single fault.
    """
    known = alone(scenario)
    for first in islice(known, part, None, parts):
        later = islice(dropwhile(lambda fault: fault != first, known), 1, None)  # noqa: B023
        yield from ((first, second) for second in later if second.fault_point in known[first].fault_points)


def _sent_or_superseded(decided: Decisions) -> Decisions:
    """A superseded mail counts like a sent one: which of the two it is depends on the events that
    notification_svc has handled by then, and any delay can change that.
    """
    alike: Decisions = Counter()
    for (who, handled_type, before, after), count in decided.items():
        alike[who, handled_type, before, Mail.SENT if after == Mail.SUPERSEDED else after] += count
    return alike


def apart(scenario: str, first: Fault, second: Fault) -> Run:
    """Also broken if the result differs from the sum of the single effects."""
    run, decided = _noted(scenario, first, second)
    one_by_one = alone(scenario)[first].decided.copy()
    one_by_one.update(alone(scenario)[second].decided)
    one_by_one.subtract(_usual(scenario)[1])
    if not run.broken and _sent_or_superseded(decided) != _sent_or_superseded(one_by_one):
        return replace(run, broken="two independent faults have more effects than each of them alone")
    return run


def _noted(scenario: str, *both: Fault) -> tuple[Run, Decisions]:
    decided: Decisions = Counter()

    def note(world: World, service: str, then: Callable[[Change], None], change: Change) -> None:
        thing = f"{service}: {change.loaded.kind} {world.name(change.loaded.key)}"
        decided.update((thing, handled.type, *handled.status) for handled in change.handled)
        then(change)

    def listen(world: World) -> None:
        for service, disk in world.disks.items():
            disk.saved = partial(note, world, service, disk.saved)

    return play(scenario, Listed(both), prepare=listen), decided
