"""How long an aggregate may wait before the service reminds itself of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from chassis.messaging.identity import derived_id
from chassis.messaging.message import Command

S = TypeVar("S")


@dataclass(frozen=True)
class Deadline(Generic[S]):
    """While `waiting(state)`, at most `after` may pass;
    then the service sends itself the command `make_command(key)`.

    With `at` the state names the time itself, and may name a new one each time: each is a reminder of its
    own.
    """

    waiting: Callable[[S], bool]
    make_command: Callable[[str], Command]
    after: timedelta = timedelta(0)
    at: Callable[[S], datetime | None] | None = None

    def due_at(self, state: S, before: datetime | None, now: datetime) -> datetime | None:
        """When to send the command for this state. `before`: the time that is stored so far."""
        if not self.waiting(state):
            return None
        return self.at(state) if self.at else before or now + self.after

    def reminder_id(self, kind: str, key: str, due_at: datetime) -> str:
        """The same however often, and by whichever instance, the reminder is sent."""
        parts = [kind, key, "deadline"]
        if self.at:
            parts.append(due_at.isoformat())
        return derived_id(*parts)
