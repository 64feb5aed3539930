"""A decision that is not remembered is the same in every later state,
however late its message is redelivered.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from chassis.core.decision import Decision, OutOfTurn
from tests.support.decision_table_fixtures import DECISION_TABLES
from tests.support.decision_tables import DecisionTable, play

_MESSAGES_MAX = 2_000


def after(decision_table: DecisionTable, state: Any) -> Iterator[Any]:
    """The state, and every state that further messages of the decision table lead to."""
    seen, left = [state], [state]
    while left:
        before = left.pop()
        yield before
        for message in decision_table.messages.values():
            reached = decided(decision_table, before, message)
            if isinstance(reached, Decision) and reached.state not in seen:
                seen.append(reached.state)
                left.append(reached.state)
        assert len(seen) < _MESSAGES_MAX, f"{decision_table.name} never comes to an end"


def decided(decision_table: DecisionTable, state: Any, message: Any) -> Any:
    try:
        return play(decision_table.aggregate, state, message, decision_table.around)
    except OutOfTurn:
        return OutOfTurn
    except decision_table.rejections as rejection:
        return type(rejection)


def forgotten(decision_table: DecisionTable) -> list[tuple[str, str, Any, Any, Decision[Any]]]:
    return [
        (name, before, state, message, decision)
        for before, state in decision_table.states.items()
        for name, message in decision_table.messages.items()
        if isinstance(decision := decided(decision_table, state, message), Decision) and not decision.remember
    ]


@pytest.mark.parametrize("decision_table", DECISION_TABLES, ids=lambda decision_table: decision_table.name)
def test_unremembered_messages_always_lead_to_the_same_decision(decision_table: DecisionTable) -> None:
    for name, before, state, message, decision in forgotten(decision_table):
        assert decision.state == state and not decision.related, f"{name} while {before} changes something"
        if not decision.emits:
            continue  # as if it first arrived later: no service has seen an effect of it yet
        for later in after(decision_table, state):
            again = decided(decision_table, later, message)
            assert isinstance(again, Decision) and again.emits == decision.emits, (
                f"{name} while {before}, then {later}"
            )
            assert again.state == later and not again.remember, f"{name} while {before}, then {later}"


def test_foreign_and_duplicate_commands_do_not_change_an_order() -> None:
    decision_table = next(
        decision_table for decision_table in DECISION_TABLES if decision_table.name == "orders"
    )
    names = {(name, before) for name, before, *_ in forgotten(decision_table)}
    placed = [before for before in decision_table.histories if not before.startswith("new")]
    assert {("CancelOrder by another customer", before) for before in placed} <= names
    assert {("PlaceOrder, other goods", before) for before in placed if before != "rejected"} <= names
