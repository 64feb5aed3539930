"""Every pair of faults, but for those that come to what their faults come to one by one.

Some kinds leave nothing behind that others do not: what is retried in the same breath (no answer, not done), and what
only comes again (a lost acknowledgement is a second delivery). They are no part of a pair. And two faults never meet

* if no service feels both. A service feels a fault that strikes it, or after which it does more or less than on a day
  without faults.
* if the first has healed before the second strikes: it changed no decision, and from there on every service does what
  it does on a day without faults. But two at order_svc meet: it decides who came first, the customer, the deadline or
  the others, and for that a delay is enough.
* if one of them strikes notification_svc and the other does not: it hears, but is not heard. In the first scenarios
  they are played all the same.

Otherwise two that make somebody wait for long always meet: waits add up.

Of the pairs that never meet some are played as well, to see that it is so. `make simulate-long` plays them all.
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
from tests.simulation.faults import Fault, Kind, Listed, Moment, Place, chance
from tests.simulation.run import Run, play
from tests.simulation.world import World

TELLING: Mapping[Moment, tuple[Kind, ...]] = {
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
# The others are variations on when a cancellation comes; their pairs are played by `make simulate-long`.
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

Decisions = Counter[tuple[str, str, str, str]]  # who decided about what, what was heard, the status before and after


class Alone(NamedTuple):
    """A run with one fault: who feels it, the places that come all the same, those of them where nobody feels it any
    more, and how often what was decided.
    """

    felt: frozenset[str]
    places: frozenset[Place]
    healed: frozenset[Place]
    decided: Decisions


@cache
def alone(scenario: str) -> Mapping[Fault, Alone]:
    """Each telling fault, in the order of their places."""
    usual, usually_decided = _usual(scenario)
    usual_places = set(usual.places)
    found = {}
    for count, fault in enumerate(faults(scenario, TELLING)):
        run, decided = _noted(scenario, fault)
        others = {place.service for place in usual_places.symmetric_difference(run.places)}
        left = frozenset(run.places) - {fault.place}
        healed = frozenset(as_usual(run.places, usual.places) if decided == usually_decided else ())
        found[fault] = Alone(frozenset(others | {fault.place.service}), left, healed, decided)
        tidy(count)
    return found


def as_usual(places: Sequence[Place], usual: Sequence[Place]) -> Sequence[Place]:
    """The last places of a run: those from which on each service goes through the same ones as usual, in that order."""
    begin = 0
    backwards = [*enumerate(places, 1)][::-1]
    for service in {place.service for place in places}:
        expected = (place for place in reversed(usual) if place.service == service)
        others = (n for n, place in backwards if place.service == service and place != next(expected, None))
        begin = max(begin, next(others, 0))
    return places[begin:]


@cache
def _usual(scenario: str) -> tuple[Run, Decisions]:
    return _noted(scenario)


def meet(scenario: str, first: Fault, second: Fault) -> bool:
    """Whether the two may come to something that neither of them comes to alone."""
    if scenario not in PAIRED_WITH_MAILS and (first.place.service == LISTENER) != (second.place.service == LISTENER):
        return False
    if {first.kind, second.kind} <= LONG:
        return True
    known = alone(scenario)
    if second.place in known[first].healed and (first.place.service, second.place.service) != (ARBITER, ARBITER):
        return False
    return not known[first].felt.isdisjoint(known[second].felt)


def pairs(scenario: str, part: int, parts: int) -> Tally:
    """Of every so many-th fault: those that meet, and some of the others."""
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
    """Of every so many-th fault with each that can strike after it.

    Where the second one's place does not come any more once the first has struck, the pair is that single fault.
    """
    known = alone(scenario)
    for first in islice(known, part, None, parts):
        later = islice(dropwhile(lambda fault: fault != first, known), 1, None)  # noqa: B023
        yield from ((first, second) for second in later if second.place in known[first].places)


def _sent_or_superseded(decided: Decisions) -> Decisions:
    """A mail that gave way to a newer one counts like a sent one: which of the two it is depends on what
    notification_svc has heard by then, and any delay is enough for that."""
    alike: Decisions = Counter()
    for (who, heard, before, after), count in decided.items():
        alike[who, heard, before, Mail.SENT if after == Mail.SUPERSEDED else after] += count
    return alike


def apart(scenario: str, first: Fault, second: Fault) -> Run:
    """Broken, too, if it comes to anything but what the two come to one by one."""
    run, decided = _noted(scenario, first, second)
    one_by_one = alone(scenario)[first].decided.copy()
    one_by_one.update(alone(scenario)[second].decided)
    one_by_one.subtract(_usual(scenario)[1])
    if not run.broken and _sent_or_superseded(decided) != _sent_or_superseded(one_by_one):
        return replace(run, broken="two faults that never meet came to more than what each comes to alone")
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
