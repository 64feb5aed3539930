"""Telling stories to deciders: given these messages, then those are said. The cast is in tests/messages.py."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests import decision_tables
from tests.decision_tables import DecisionTable


def emitted(deck: DecisionTable, history: Iterable[Any], around: Mapping[str, Any] | None = None) -> list[str]:
    """The names of everything said during a history, in order."""
    emits = decision_tables.outcome_of(deck.aggregate, history, deck.around if around is None else around).emits
    return [type(said).__name__ for said in emits]


def last_emitted(deck: DecisionTable, history: Iterable[Any], around: Mapping[str, Any] | None = None) -> Any:
    """The last message of a story, whole."""
    return decision_tables.outcome_of(deck.aggregate, history, deck.around if around is None else around).emits[-1]


def state_after(deck: DecisionTable, history: Iterable[Any]) -> Any:
    return decision_tables.outcome_of(deck.aggregate, history, deck.around).state
