"""Fields that are derived from a state and stored with it, so that the service's own API can query them.

A decider knows nothing of them. Each is derived when the aggregate is first written with a value for it, and
stays then. An aggregate of an earlier version lacks them; `missing` finds it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from chassis.store.conditions import Where

S = TypeVar("S")


@dataclass(frozen=True)
class DerivedFields(Generic[S]):
    """`derive(state, key, changed_at)`: a text for each of `names`, empty if there is none yet."""

    names: tuple[str, ...]
    derive: Callable[[S, str, datetime], Mapping[str, str]]

    def of(self, state: S, stored: Mapping[str, Any], *, key: str, changed_at: datetime) -> dict[str, str]:
        """`stored`: the stored fields of the state, of which these are kept."""
        derived = self.derive(state, key, changed_at)
        return {name: stored.get(name) or derived[name] for name in self.names}

    @property
    def missing(self) -> Where:
        return {self.names[0]: None}
