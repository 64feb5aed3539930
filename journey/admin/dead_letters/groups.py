"""Groups dead letters, alike in the terminal and on the staff pages.

A group is a service, an error type and a message type. The error text is not part of it, because it may
contain a number that is unique to one dead letter.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from chassis.messaging.identity import derived_id
from chassis.messaging.untrusted import shortened
from journey.admin.dead_letters.dead_letter import DeadLetter

OTHER_ERRORS, OTHER_TYPES = "(other errors)", "(other types)"
GROUPS_MAX = 1_000
_DIFFERENT_MAX = 100
_ERROR_CHARS_MAX = 200
_VARIES = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|\b(?:0x[0-9a-fA-F]+|\d+)\b")

GroupKey = tuple[str, str, str]


@dataclass
class DeadLetterGroup:
    """Dead letters of one service, error type and message type.

    `oldest` and `newest` have no body and no headers.

    `dead_letters`: all of them, the oldest first, if the groups keep them. `error_texts`, `origin_queues`:
    the different ones, at most _DIFFERENT_MAX of each.
    """

    service: str
    error_type: str
    type: str
    oldest: DeadLetter
    newest: DeadLetter
    count: int = 0
    attempts_min: int = 0
    attempts_max: int = 0
    error_texts: set[str] = field(default_factory=set)
    origin_queues: set[str] = field(default_factory=set)
    dead_letters: list[DeadLetter] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The same as long as the group exists, so that it can be part of a URL."""
        return _id((self.service, self.error_type, self.type))

    @property
    def sample(self) -> str:
        """The first line of the newest error."""
        return self.newest.error.partition("\n")[0]

    @property
    def error(self) -> str:
        """The sample without ids and numbers."""
        return error_in_general(self.newest)

    @property
    def other_texts(self) -> str:
        """How many different error texts there are beside the sample, ignoring ids and numbers;
        empty if none.
        """
        others = len(self.error_texts) - 1
        more = " or more" if len(self.error_texts) >= _DIFFERENT_MAX else ""
        return f"{others}{more} other text{'' if others == 1 else 's'}" if others else ""

    def until(self, cutoff: datetime) -> list[DeadLetter]:
        """The kept dead letters up to this time. One without a time counts as old."""
        return [
            dead_letter
            for dead_letter in self.dead_letters
            if dead_letter.died_at is None or dead_letter.died_at <= cutoff
        ]

    def add(self, dead_letter: DeadLetter) -> None:
        """Count a dead letter of this group, without keeping it."""
        if dead_letter.sort_key() < self.oldest.sort_key():
            self.oldest = dead_letter.brief
        if dead_letter.sort_key() >= self.newest.sort_key():
            self.newest = dead_letter.brief
        self.attempts_min = (
            min(self.attempts_min, dead_letter.attempts) if self.count else dead_letter.attempts
        )
        self.attempts_max = max(self.attempts_max, dead_letter.attempts)
        self.count += 1
        _add_bounded(self.error_texts, error_in_general(dead_letter))
        _add_bounded(self.origin_queues, dead_letter.origin_queue)


class DeadLetterGroups:
    """Groups dead letters one by one. Beyond `groups_max`, the others form one group per service.

    `keep`: keep the dead letters of each group; without it, memory is bounded however many there are.
    `groups_max`: None for no limit.
    """

    def __init__(self, *, keep: bool = False, groups_max: int | None = GROUPS_MAX) -> None:
        self._groups: dict[GroupKey, DeadLetterGroup] = {}
        self._keep = keep
        self._groups_max = groups_max

    def add(self, dead_letter: DeadLetter) -> None:
        key = _key(dead_letter)
        if key not in self._groups and self._groups_max is not None and len(self._groups) >= self._groups_max:
            key = (dead_letter.service, OTHER_ERRORS, OTHER_TYPES)
        if (group := self._groups.get(key)) is None:
            group = self._groups[key] = DeadLetterGroup(
                *key, oldest=dead_letter.brief, newest=dead_letter.brief
            )
        group.add(dead_letter)
        if self._keep:
            group.dead_letters.append(dead_letter)

    def sorted(self) -> list[DeadLetterGroup]:
        """The largest group first."""
        groups = list(self._groups.values())
        for group in groups:
            group.dead_letters.sort(key=DeadLetter.sort_key)
        return sorted(groups, key=lambda group: (-group.count, group.service, group.type, group.error_type))


def group_dead_letters(
    dead_letters: Iterable[DeadLetter], *, keep: bool = False, groups_max: int | None = GROUPS_MAX
) -> list[DeadLetterGroup]:
    """The largest group first. `keep` and `groups_max` as in DeadLetterGroups."""
    groups = DeadLetterGroups(keep=keep, groups_max=groups_max)
    for dead_letter in dead_letters:
        groups.add(dead_letter)
    return groups.sorted()


def group_id(dead_letter: DeadLetter) -> str:
    """The id of the group that the dead letter belongs to."""
    return _id(_key(dead_letter))


def error_in_general(dead_letter: DeadLetter) -> str:
    """The first line of the error without ids and numbers, so that one bug has one text."""
    first = dead_letter.error.partition("\n")[0]
    return _VARIES.sub("…", first)[:_ERROR_CHARS_MAX]


def _add_bounded(different: set[str], value: str) -> None:
    if len(different) < _DIFFERENT_MAX:
        different.add(value)


def _key(dead_letter: DeadLetter) -> GroupKey:
    return dead_letter.service, shortened(dead_letter.error_type), shortened(dead_letter.type)


def _id(key: GroupKey) -> str:
    return derived_id("dead letters", *key)[:13]
