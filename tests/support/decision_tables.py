"""Plays deciders and renders their decisions as Markdown: every message in every state."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from chassis.core.decision import Context, Decision, OutOfTurn, RunEffect
from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.messaging.message import Message

Around = Mapping[str, Any]

NO_CHANGE = "no change"
OUT_OF_TURN = "out of turn"
_NAMES_MAX = 4


@dataclass(frozen=True)
class Outcome:
    """An aggregate and its related aggregates after some messages; `emitted`: all emitted messages."""

    state: Any
    around: Around
    emits: tuple[Any, ...] = ()


def outcome_of(aggregate: Aggregate[Any], history: Iterable[Any], around: Around | None = None) -> Outcome:
    """Play a history to an aggregate in its initial state. Requested effects are among what it emits."""
    so_far = Outcome(aggregate.start, around or {})
    for message in history:
        match play(aggregate, so_far.state, message, so_far.around):
            case RunEffect(effect=effect):
                so_far = Outcome(so_far.state, so_far.around, (*so_far.emits, effect))
            case Decision() as decision:
                beside = {**so_far.around, **decision.related}
                so_far = Outcome(decision.state, beside, (*so_far.emits, *decision.emits))
    return so_far


def play(aggregate: Aggregate[Any], state: Any, message: Any, around: Around) -> Decision[Any] | RunEffect:
    """One decision, with exactly the related aggregates that the service definition would load."""
    related = aggregate.related
    if related is None:
        return aggregate.decide(state, message, Context())
    keys = related.keys(state, message)
    return aggregate.decide(
        state, message, Context({key: around.get(key, related.start(key)) for key in keys})
    )


@dataclass(frozen=True)
class DecisionTable:
    """Everything needed to render one decider: an example of each status,
    and all messages that it can handle.

    A rule that looks at more than the status has an example on either side.
    """

    name: str
    service: Callable[[], ServiceDefinition]
    kind: str
    histories: Mapping[str, Sequence[Any]]
    messages: Mapping[str, Any]
    statuses: type[StrEnum] | None = None
    around: Around = field(default_factory=dict)
    rejections: tuple[type[Exception], ...] = ()  # rejections that are raised, over HTTP

    @property
    def aggregate(self) -> Aggregate[Any]:
        return next(aggregate for aggregate in self.service().aggregates if aggregate.kind == self.kind)

    @property
    def states(self) -> dict[str, Any]:
        return {
            name: outcome_of(self.aggregate, history, self.around).state
            for name, history in self.histories.items()
        }


@dataclass(frozen=True, order=True)
class Cell:
    """What one message does in one state."""

    then: str
    emits: tuple[str, ...] = ()


def cells(decision_table: DecisionTable) -> dict[tuple[str, str], Cell]:
    """(message, state) -> cell, for every pair."""
    states, aggregate = decision_table.states, decision_table.aggregate
    return {
        (name, before): _cell(decision_table, aggregate, states, before, message)
        for name, message in decision_table.messages.items()
        for before in states
    }


def _cell(
    decision_table: DecisionTable,
    aggregate: Aggregate[Any],
    states: Mapping[str, Any],
    before: str,
    message: Any,
) -> Cell:
    try:
        outcome = play(aggregate, states[before], message, decision_table.around)
    except OutOfTurn:
        return Cell(OUT_OF_TURN)
    except decision_table.rejections as rejection:
        return Cell(NO_CHANGE, (f"rejects: {rejection}",))
    if isinstance(outcome, RunEffect):
        return Cell(NO_CHANGE, (f"effect {type(outcome.effect).__name__}",))
    emits = tuple(type(emitted).__name__ for emitted in outcome.emits)
    if outcome.state == states[before]:
        return Cell(NO_CHANGE, emits)
    named = (name for name, state in states.items() if state == outcome.state)
    status = getattr(outcome.state, "status", type(outcome.state).__name__)
    return Cell(next(named, str(status).replace("_", " ")), emits)


def state_table(decision_table: DecisionTable) -> str:
    """One row per message and outcome, with the states in which it applies."""
    played = cells(decision_table)
    rows = []
    for name in decision_table.messages:
        by_cell: dict[Cell, list[str]] = {}
        for before in decision_table.histories:
            by_cell.setdefault(played[name, before], []).append(before)
        for cell in sorted(by_cell, key=lambda cell: (cell.then == OUT_OF_TURN, cell == Cell(NO_CHANGE))):
            many = cell.then == OUT_OF_TURN and len(by_cell) > 1 and len(by_cell[cell]) > _NAMES_MAX
            rows.append(
                (name, "otherwise" if many else " · ".join(by_cell[cell]), cell.then, ", ".join(cell.emits))
            )
    return markdown(("Message", "in status", "next status", "emits"), rows)


def handled_table(all_tables: Sequence[DecisionTable]) -> str:
    """The messages that one service handles, their senders, and what it may emit for them."""
    rows = []
    for decision_table in all_tables:
        played = cells(decision_table)
        for handled_type in decision_table.aggregate.handles:
            names = [
                name for name, message in decision_table.messages.items() if isinstance(message, handled_type)
            ]
            emitted = {
                emitted_name
                for (name, _), cell in played.items()
                if name in names
                for emitted_name in cell.emits
            }
            rows.append(
                (
                    handled_type.__name__,
                    f"`{handled_type.TYPE}`",
                    handled_type.OWNER,
                    decision_table.kind,
                    ", ".join(sorted(emitted)),
                )
            )
    return markdown(("Handles", "wire type", "owner", "aggregate", "may emit"), rows)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell or "—" for cell in line) + " |" for line in lines)


def named(*messages: Any) -> dict[str, Any]:
    """Messages and effect results by type name; several of one type are distinguished by what differs."""
    apart = [message if isinstance(message, tuple) else (message, "") for message in messages]
    return {
        f"{'' if isinstance(message, Message) else 'answer '}{type(message).__name__}{what}": message
        for message, what in apart
    }
