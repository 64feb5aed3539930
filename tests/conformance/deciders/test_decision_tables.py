"""Every decider has a rule for every message, or it is out of turn,
and the generated documents are up to date.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from chassis.core.definition import Aggregate
from chassis.messaging.message import Message
from journey.admin.registry import SERVICES
from tests.support.decision_table_fixtures import DECISION_TABLES
from tests.support.decision_tables import OUT_OF_TURN, Cell, DecisionTable, cells, state_table
from tests.support.documents import MARKED, ROOT, documents, main, stale, tables
from tests.unit.order_svc.decision_tables import ORDERS

BY_NAME = {decision_table.name: decision_table for decision_table in DECISION_TABLES}


@pytest.mark.parametrize("decision_table", DECISION_TABLES, ids=BY_NAME)
def test_every_message_in_every_state_has_a_rule(decision_table: DecisionTable) -> None:
    """Any other exception of a decider would fail here."""
    played = cells(decision_table)
    assert played.keys() == {
        (message, state) for message in decision_table.messages for state in decision_table.histories
    }


@pytest.mark.parametrize("decision_table", DECISION_TABLES, ids=BY_NAME)
def test_every_status_has_an_example(decision_table: DecisionTable) -> None:
    for name, state in decision_table.states.items():
        assert decision_table.statuses is None or name.startswith(state.status.replace("_", " "))
    shown = {state.status for state in decision_table.states.values()} if decision_table.statuses else set()
    assert shown == set(decision_table.statuses or ())


@pytest.mark.parametrize("decision_table", DECISION_TABLES, ids=BY_NAME)
def test_exactly_the_handled_messages_have_examples(decision_table: DecisionTable) -> None:
    played = {type(message) for message in decision_table.messages.values() if isinstance(message, Message)}
    assert set(decision_table.aggregate.handles) == played, (
        "add the message to decision_tables.py beside its unit tests, or to the decider's `handles`"
    )


def test_every_aggregate_with_messages_has_a_decision_table() -> None:
    handled_type: list[Aggregate[Any]] = [
        a for make in SERVICES.values() for a in make().aggregates if a.handles
    ]
    assert {a.kind for a in handled_type} <= set(BY_NAME), (
        "add a decision table to decision_tables.py in tests/unit/<service>"
    )


def test_an_open_order_accepts_every_message_that_ends_it() -> None:
    ends = ("CancelOrder", "StockRejected", "PaymentDeclined", "DeadlinePassed")
    played = cells(ORDERS)
    for state in [name for name in ORDERS.histories if name.startswith("placed")]:
        assert {played[message, state] for message in ends} == {Cell("cancelled", ("OrderCancelled",))}


def test_a_table_shows_every_pair_once() -> None:
    played = cells(ORDERS)
    rows = [line.strip("| ").split(" | ") for line in state_table(ORDERS).splitlines()[2:]]
    shown: list[tuple[str, str]] = []
    for message, states, then, _ in rows:
        out = [state for state in ORDERS.histories if played[message, state].then == OUT_OF_TURN]
        shown += [(message, state) for state in (out if states == "otherwise" else states.split(" · "))]
        assert (then == OUT_OF_TURN) == (shown[-1][1] in out)
    assert sorted(shown) == sorted(played)


def test_generated_documents_are_current() -> None:
    assert [str(path) for path, _ in stale()] == [], "run `make documents`"
    assert main(["--check"]) == 0


def test_a_document_that_is_out_of_date_is_noticed(tmp_path: Path) -> None:
    readme = tmp_path / "order_svc" / "README.md"
    readme.parent.mkdir()
    readme.write_text("before\n<!-- table:orders -->\nold\n<!-- /table -->\nafter\n")
    written = dict(documents(tmp_path))[Path("order_svc/README.md")]
    assert written.startswith("before\n<!-- table:orders -->\n| Message |")
    assert written.endswith("|\n<!-- /table -->\nafter\n")
    assert Path("order_svc/README.md") in [path for path, _ in stale(tmp_path)]


def test_every_marker_names_a_table_that_exists() -> None:
    """And every service with a decision table shows it in its README."""
    known = tables()
    for readme in (ROOT / "README.md", *ROOT.glob("*_svc/README.md"), ROOT / "docs" / "permissions.md"):
        text = readme.read_text()
        assert (
            len(MARKED.findall(text))
            == len(re.findall(r"<!-- table:", text))
            == text.count("<!-- /table -->")
        )
        assert {found["name"] for found in MARKED.finditer(text)} <= known.keys()
