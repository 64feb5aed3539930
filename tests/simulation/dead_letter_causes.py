"""Why a message became a dead letter: a fault caused it, or kept away what it waited for."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from chassis.core.decision import OutOfTurn
from journey.admin.dead_letters.dead_letter import DeadLetter
from tests.simulation import virtual_time
from tests.simulation.fake_broker import Broker

# A crash lasts up to ten minutes, and so does the ladder: after one crash there is a try left.
LONG_ABSENCE = 2


class Causes:
    """`forged`: the ids of forged messages."""

    def __init__(self, broker: Broker, forged: Collection[str]) -> None:
        self._broker = broker
        self._forged = forged
        self._crashes: defaultdict[str, list[datetime]] = defaultdict(list)

    def crashed(self, service: str) -> None:
        self._crashes[service].append(virtual_time.now())

    def unexplained(self, dead: Sequence[DeadLetter]) -> list[DeadLetter]:
        by_faults = [each for each in dead if each.id in self._forged or self._broker.explains(each)]
        return [each for each in dead if each not in by_faults and not self._has_waited(each, by_faults)]

    def _has_waited(self, dead_letter: DeadLetter, by_faults: Collection[DeadLetter]) -> bool:
        """Whether it came out of turn for longer than the retry ladder.

        What it waited for is a dead letter of the same aggregate, or its service crashed several times.
        """
        if dead_letter.error_type != OutOfTurn.__name__:
            return False
        aggregate = _aggregate(dead_letter)
        return aggregate in map(_aggregate, by_faults) or self._crashes_during(dead_letter) >= LONG_ABSENCE

    def _crashes_during(self, dead_letter: DeadLetter) -> int:
        sent_at, died_at = dead_letter.sent_at, dead_letter.died_at
        assert sent_at is not None and died_at is not None
        return sum(sent_at <= at <= died_at for at in self._crashes[dead_letter.service])


def _aggregate(dead_letter: DeadLetter) -> tuple[str, Any]:
    return dead_letter.service, dead_letter.wire_message.headers.get("subject")
