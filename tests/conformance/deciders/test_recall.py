"""What a service has emitted brings an aggregate to its state then, in every cell of its table."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from chassis.core.decision import CannotRecall, Context, Decision, OutOfTurn
from contracts import users
from tests.support.decision_table_fixtures import DECISION_TABLES
from tests.support.decision_tables import DecisionTable, play

TABLES = [table for table in DECISION_TABLES if table.aggregate.recall is not None]
# What decides about later messages; other fields are for people, or not in any event.
KNOWN_AGAIN = (
    *("status", "dispatched", "refunds", "counted", "revision", "price", "granted", "access_version"),
    *("settlements", "not_refunded"),
)


def decisions(table: DecisionTable) -> Iterator[tuple[str, Any, Decision[Any]]]:
    """Every decision that emits something to be recalled: its name, the state before, and the decision."""
    assert table.aggregate.recall is not None
    for before, state in table.states.items():
        for name, message in table.messages.items():
            decision = None
            with suppress(OutOfTurn, *table.rejections):
                decision = play(table.aggregate, state, message, table.around)
            if isinstance(decision, Decision) and any(
                isinstance(event, table.aggregate.recall.events) for event in decision.emits
            ):
                yield f"{name} in {before}", state, decision


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_recalled_events_lead_to_the_state_after_them(table: DecisionTable) -> None:
    recall = table.aggregate.recall
    assert recall is not None
    seen = 0
    for name, state, decision in decisions(table):
        around = dict(table.around)
        try:
            for event in decision.emits:
                if isinstance(event, recall.events):
                    recalled = recall.apply(state, event, Context(around))
                    state, around = recalled.state, {**around, **recalled.related}
        except CannotRecall:
            assert any(isinstance(event, users.UserRegistered) for event in decision.emits), name
            continue
        for field in KNOWN_AGAIN:
            assert getattr(state, field, None) == getattr(decision.state, field, None), f"{name}: {field}"
        # It may count too much: then links in mails end early.
        assert getattr(state, "epoch", 0) >= getattr(decision.state, "epoch", 0), f"{name}: epoch"
        for key, related in decision.related.items():
            assert around[key] == related, f"{name}: {key}"
        seen += 1
    assert seen > 0, "no decision of this table emits an event that is recalled"


def test_every_event_that_is_recalled_belongs_to_its_service() -> None:
    for table in TABLES:
        assert table.aggregate.recall is not None
        for event in table.aggregate.recall.events:
            assert table.service().name == event.OWNER
