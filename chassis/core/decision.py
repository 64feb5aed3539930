"""What a decider returns.

A decider is a pure function of a state and a message; deciders import only this.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

from chassis.messaging.message import Message

S = TypeVar("S")
R_co = TypeVar("R_co", covariant=True)

UNKNOWN_TIME = datetime.min.replace(tzinfo=UTC)


class OutOfTurn(Exception):
    """No rule exists for this message in this state: a bug, or messages in an order that no rule expects."""

    def __init__(self, state: object, message: object) -> None:
        status = getattr(state, "status", type(state).__name__)
        super().__init__(f"no rule for {type(message).__name__} while {status}")


class CannotRecall(Exception):
    """No message holds what a lost state needs (recall.py). The text says what an operator does about it."""


class Decision(Generic[S]):
    """The next state, and the messages to emit, in order. `related`: other aggregates that change with it.

    `remember`: whether the message's id and the emitted messages are stored. False only for a decision that
    changes nothing, and whose message leads to the same messages in every later state (or to none now): then
    any number of such messages leaves the aggregate as small as it is.
    tests/conformance/deciders/test_unremembered.py checks each of them.
    """

    __slots__ = ("emits", "related", "remember", "state")

    def __init__(
        self, state: S, *emits: Message, related: Mapping[str, Any] | None = None, remember: bool = True
    ) -> None:
        self.state = state
        self.emits = emits
        self.related = related or {}
        self.remember = remember

    def __repr__(self) -> str:
        return f"Decision({self.state!r}, {', '.join(type(emitted).__name__ for emitted in self.emits)})"


class RunEffect:
    """Not decided yet: run this effect in the outside world, then decide again with its result.

    The effect carries its own deterministic idempotency key, because it may run twice. If the outside world
    knows no such keys, it runs again only after a crash (leases.py).
    """

    __slots__ = ("effect",)

    def __init__(self, effect: object) -> None:
        self.effect = effect

    def __repr__(self) -> str:
        return f"RunEffect({self.effect!r})"


@dataclass(frozen=True, slots=True)
class Context(Generic[R_co]):
    """What a decision may rest on besides the state and the message.

    `related`: the related aggregates that the service definition names, by key. `sent_at`: when the message
    was sent. It is the same each time the message is delivered; UNKNOWN_TIME if its sender gave no time that
    can be read. A time that no tolerated clock skew explains is one of a wrong clock: it counts as the latest
    tolerated one when the message is handled.
    """

    related: Mapping[str, R_co] = field(default_factory=dict)
    sent_at: datetime = UNKNOWN_TIME


class Decider(Protocol[S]):
    """The rule of one kind of aggregate, for every message and every effect result that it handles."""

    def __call__(self, state: S, message: Any, context: Context[Any], /) -> Decision[S] | RunEffect: ...
