"""A decision that is not remembered is the same in every later state,
however late its message is redelivered.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from chassis.core.decision import Decision, OutOfTurn
from tests.support.decision_table_fixtures import DECKS
from tests.support.decision_tables import DecisionTable, play

_STEPS_MAX = 2_000


def after(deck: DecisionTable, state: Any) -> Iterator[Any]:
    """The state, and every state that further messages of the decision table lead to."""
    seen, left = [state], [state]
    while left:
        before = left.pop()
        yield before
        for message in deck.messages.values():
            reached = decided(deck, before, message)
            if isinstance(reached, Decision) and reached.state not in seen:
                seen.append(reached.state)
                left.append(reached.state)
        assert len(seen) < _STEPS_MAX, f"{deck.name} never comes to an end"


def decided(deck: DecisionTable, state: Any, message: Any) -> Any:
    try:
        return play(deck.aggregate, state, message, deck.around)
    except OutOfTurn:
        return OutOfTurn
    except deck.refusals as refusal:
        return type(refusal)


def forgotten(deck: DecisionTable) -> list[tuple[str, str, Any, Any, Decision[Any]]]:
    return [
        (name, before, state, message, decision)
        for before, state in deck.states.items()
        for name, message in deck.messages.items()
        if isinstance(decision := decided(deck, state, message), Decision) and not decision.remember
    ]


@pytest.mark.parametrize("deck", DECKS, ids=lambda deck: deck.name)
def test_what_is_not_remembered_changes_nothing_and_is_answered_alike_for_ever(deck: DecisionTable) -> None:
    for name, before, state, message, decision in forgotten(deck):
        assert decision.state == state and not decision.related, f"{name} while {before} changes something"
        if not decision.emits:
            continue  # as if it first arrived later: no service has seen an effect of it yet
        for later in after(deck, state):
            again = decided(deck, later, message)
            assert isinstance(again, Decision) and again.emits == decision.emits, (
                f"{name} while {before}, then {later}"
            )
            assert again.state == later and not again.remember, f"{name} while {before}, then {later}"


def test_strangers_and_copies_leave_no_trace_on_an_order() -> None:
    deck = next(deck for deck in DECKS if deck.name == "orders")
    names = {(name, before) for name, before, *_ in forgotten(deck)}
    placed = [before for before in deck.histories if not before.startswith("new")]
    assert {("CancelOrder by another customer", before) for before in placed} <= names
    assert {("PlaceOrder, other goods", before) for before in placed if before != "rejected"} <= names
