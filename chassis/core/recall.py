"""How an aggregate is brought to what its service has emitted, after its database was set back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from chassis.core.decision import Context, Decision
from chassis.messaging.message import Event

S = TypeVar("S")


@dataclass(frozen=True)
class Recall(Generic[S]):
    """The rule for an event that the service itself emitted, and that its database does not remember.

    Other services have acted on the event, so it is a fact: deciding about its cause again could end
    otherwise.

    `events`: those of the service from which a state follows. `apply(state, event, context)` is pure, like a
    decider, and emits nothing; it raises OutOfTurn if an earlier event is missing, and CannotRecall if no
    message holds what it needs. `key`: the aggregate that an event is about.
    """

    events: tuple[type[Event], ...]
    apply: Callable[[S, Any, Context[Any]], Decision[S]]
    key: Callable[[Any], str] = lambda event: str(event.subject)
