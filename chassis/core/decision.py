"""What a decider returns. A decider is a pure function of a state and a message; deciders import only this."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from contracts.message import Message

S = TypeVar("S")


class OutOfTurn(Exception):
    """No rule exists for this message in this state: a bug, or messages in an order that no rule expects."""

    def __init__(self, state: object, message: object) -> None:
        status = getattr(state, "status", type(state).__name__)
        super().__init__(f"no rule for {type(message).__name__} while {status}")


class Decision(Generic[S]):
    """The next state, and the messages to emit, in order. `related`: other aggregates that change with it.

    `remember`: whether the message's id and the emitted messages are stored. False only for a decision that changes
    nothing, and whose message leads to the same messages in every later state (or to none now): then any number of such
    messages leaves the aggregate as small as it is. tests/test_unremembered.py checks each of them.
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

    Nothing is stored. The effect carries its own deterministic idempotency key, because it may run twice.
    """

    __slots__ = ("effect",)

    def __init__(self, effect: object) -> None:
        self.effect = effect

    def __repr__(self) -> str:
        return f"RunEffect({self.effect!r})"
