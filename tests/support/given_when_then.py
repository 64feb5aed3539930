"""Tests deciders by stories: given these messages, then those are emitted.

The messages are in tests/support/messages.py.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.support import decision_tables
from tests.support.decision_tables import DecisionTable


def emitted(
    decision_table: DecisionTable, history: Iterable[Any], around: Mapping[str, Any] | None = None
) -> list[str]:
    """The names of all messages emitted during a history, in order."""
    emits = decision_tables.outcome_of(
        decision_table.aggregate, history, decision_table.around if around is None else around
    ).emits
    return [type(emitted).__name__ for emitted in emits]


def last_emitted(
    decision_table: DecisionTable, history: Iterable[Any], around: Mapping[str, Any] | None = None
) -> Any:
    """The last message that a history emits."""
    return decision_tables.outcome_of(
        decision_table.aggregate, history, decision_table.around if around is None else around
    ).emits[-1]


def state_after(decision_table: DecisionTable, history: Iterable[Any]) -> Any:
    return decision_tables.outcome_of(decision_table.aggregate, history, decision_table.around).state
