"""Plays many messages to one aggregate with only its decider and the rules of what is remembered.

Fast enough for 100,000 messages of each kind. `document` builds the stored document, so that a test can
compare it with the one that the real path wrote, and continue on the real path from there.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from chassis.core.decision import Context, Decision, RunEffect
from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.core.working_copy import WorkingCopy, apply_decision
from chassis.messaging.message import Message
from chassis.store.protocol import HANDLED_MAX, UNCHANGED_MAX, Change, Loaded
from contracts.values import Money
from tests.support.growth_probe import APART, BEGAN, BUGS, Growth, Scales

Number = int
Kept = tuple[Number, Any, Any, Decision[Any]]  # the message, the state before it, and the decision


@dataclass
class Decided:
    """An aggregate that handles more and more messages, without a store."""

    service: ServiceDefinition
    aggregate: Aggregate[Any]
    around: dict[str, Any] = field(default_factory=dict)
    number: Number = 0

    def __post_init__(self) -> None:
        most = self.aggregate.handled_max or HANDLED_MAX
        self.state = self.aggregate.start
        self.changed: deque[Kept] = deque(maxlen=most)
        self.unchanged: deque[Kept] = deque(maxlen=min(most, UNCHANGED_MAX))

    def deliver(self, message: Any) -> None:
        self.number += 1
        try:
            decision = self._decide(message)
        except BUGS:
            raise
        except Exception:  # the decider rejects it: nothing is stored
            return
        if isinstance(decision, RunEffect):
            return
        if decision.related:
            self.around |= decision.related
        before, after = self.state, decision.state
        if after is not before and after != before:
            self.state = after
            self.changed.append((self.number, message, before, decision))
        elif decision.remember:
            self.unchanged.append((self.number, message, before, decision))

    def _decide(self, message: Any) -> Decision[Any] | RunEffect:
        aggregate, related_to = self.aggregate, self.aggregate.related
        keys = related_to.keys(self.state, message) if related_to else ()
        related = {key: self.around.get(key) or related_to.start(key) for key in keys} if related_to else {}
        sent_at = BEGAN + self.number * APART
        return aggregate.decide(self.state, message, Context(related, sent_at))

    @property
    def weight(self) -> int:
        """The size of what is remembered, to find the state in which a message leaves the most."""
        kept = (*self.changed, *self.unchanged)
        return len(kept) + sum(len(decision.emits) for *_, decision in kept) + len(repr(self.state)) // 100

    async def document(self, key: str) -> Scales:
        """A store with the current document."""
        growth = Growth(self.service, self.aggregate, key=key)
        handled = []
        for number, message, before, decision in sorted(
            (*self.changed, *self.unchanged), key=lambda kept: kept[0]
        ):
            draft = WorkingCopy(self.aggregate, Loaded(self.aggregate.kind, ""), before)
            cause = growth.envelope(message, number)
            apply_decision(draft, cause, decision, service=self.service.name, clock=lambda: BEGAN)
            handled += draft.handled
        most = self.aggregate.handled_max or HANDLED_MAX
        beside, store = self.aggregate.related, Scales()
        if beside is not None:
            await store.save(
                [Change(Loaded(beside.kind, k), beside.codec.dump(s)) for k, s in self.around.items()]
            )
        if handled:
            loaded = Loaded(self.aggregate.kind, key)
            whole = Change(loaded, self.aggregate.dump(self.state, loaded, BEGAN), handled)
            whole.handled_max = most
            await store.save([whole])
        return store


def alternating(aggregate: Aggregate[Any], message: Any) -> Callable[[Number], Any]:
    """The message, alternating with variants that have a new value in every field that the sender can
    choose.
    """
    free = _free(aggregate, message)
    return lambda number: (
        _with(message, {name: make(number) for name, make in free.items()}) if number % 2 else message
    )


def _free(aggregate: Aggregate[Any], message: Any) -> dict[str, Callable[[Number], Any]]:
    """The fields that do not identify the aggregate, and how to fill them."""
    key = aggregate.key(message) if isinstance(message, Message) else None
    made = {name: _filled(value) for name, value in _fields(message).items()}
    return {
        name: make
        for name, make in made.items()
        if make and (key is None or aggregate.key(_with(message, {name: make(1)})) == key)
    }


def _fields(message: Any) -> Mapping[str, Any]:
    names = type(message).model_fields if isinstance(message, Message) else type(message).__dataclass_fields__
    return {name: getattr(message, name) for name in names}


def _filled(value: Any) -> Callable[[Number], Any] | None:
    match value:
        case bool() | Enum() | None:
            return None
        case UUID():
            return lambda number: UUID(int=number)
        case int():
            return lambda number: number
        case str():
            return lambda number: f"{value} {number:06}"
        case datetime():
            return lambda number: value + timedelta(hours=number)
        case Money():
            return lambda number: _with(value, {"amount_minor": number})
    return None


def _with(value: Any, changed: Mapping[str, Any]) -> Any:
    """A copy without validation: ten million are made."""
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **changed)
    copy = value.__class__.__new__(value.__class__)
    for name in ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"):
        object.__setattr__(copy, name, getattr(value, name))
    object.__setattr__(copy, "__dict__", value.__dict__ | changed)
    return copy
