"""What a decider gives back. A decider is a pure function of a state and a message; deciders import only this."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from contracts.message import Message

S = TypeVar("S")


class OutOfTurn(Exception):
    """No rule exists for this message in this state: a bug, or news from the wrong order of the world."""

    def __init__(self, state: object, message: object) -> None:
        status = getattr(state, "status", type(state).__name__)
        super().__init__(f"no rule for {type(message).__name__} while {status}")


class Decision(Generic[S]):
    """The next state, and what is said about it, in order. `alongside`: other aggregates that change with it.

    `remember`: whether the message's id and the answer are stored. False only for a decision that changes nothing, and
    whose message gets the same answer in every later state (or no answer now): then any number of such messages leaves
    the aggregate as small as it is. tests/test_unremembered.py checks each of them.
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
        return f"Decision({self.state!r}, {', '.join(type(said).__name__ for said in self.emits)})"


class RunEffect:
    """Not decided yet: put this question to the outside world, then decide again with its answer.

    Nothing is stored. The question carries its own deterministic idempotency key, because it may be put twice.
    """

    __slots__ = ("effect",)

    def __init__(self, effect: object) -> None:
        self.effect = effect

    def __repr__(self) -> str:
        return f"Ask({self.effect!r})"
