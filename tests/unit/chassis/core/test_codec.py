"""Fields that this release does not know survive when it writes a document of a newer one."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pytest

from chassis.core.codec import Codec
from chassis.core.decision import Context, Decision
from chassis.core.definition import Aggregate
from chassis.store.protocol import Loaded
from contracts.values import Money, PricedLine
from journey.admin.registry import CONSUMING_SERVICES
from user_svc.accounts.aggregates import USERS
from user_svc.accounts.user import AccountStatus, User


class Phase(StrEnum):
    OPEN = "open"


@dataclass(frozen=True)
class Entry:
    at: int
    note: str | None = None


@dataclass(frozen=True)
class State:
    phase: Phase = Phase.OPEN
    total: Money | None = None
    lines: tuple[PricedLine, ...] = ()
    entries: dict[str, Entry] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    before: "State | None" = None


NOW = datetime(2031, 5, 6, tzinfo=UTC)
PRICE = Money(amount_minor=5, currency="EUR")
STATE = State(
    total=PRICE,
    lines=tuple(PricedLine(sku=sku, quantity=1, price=PRICE) for sku in ("CUP", "MUG")),
    entries={"first": Entry(1)},
    before=State(),
)
CODEC = Codec(State)


def of_newer_release() -> dict[str, Any]:
    """The document of STATE with unknown fields at every depth."""
    document = CODEC.dump(STATE)
    document["gift"] = {"wrapped": True}
    document["total"]["rounded"] = False
    document["lines"][1]["engraving"] = "Ada"
    document["lines"][1]["price"]["tax"] = 1
    document["entries"]["first"]["by"] = "staff"
    return document


def test_unknown_fields_are_ignored_and_kept_at_every_depth() -> None:
    document = of_newer_release()
    state = CODEC.load(document)
    assert state == STATE
    changed = replace(state, tags=frozenset({"seen"}))
    assert CODEC.dump(changed, document) == document | {"tags": ["seen"]}
    assert CODEC.dump(changed) == CODEC.dump(STATE) | {"tags": ["seen"]}


def test_a_moved_item_keeps_its_unknown_fields() -> None:
    document = of_newer_release()
    cup, mug = document["lines"]
    reversed_lines = replace(STATE, lines=tuple(reversed(STATE.lines)))
    assert CODEC.dump(reversed_lines, document)["lines"] == [mug, cup]


def test_removed_and_changed_items_take_their_fields_with_them() -> None:
    document = of_newer_release()
    cup, mug = STATE.lines
    fewer = CODEC.dump(replace(STATE, lines=(cup,), entries={}, total=None), document)
    assert (fewer["lines"], fewer["entries"], fewer["total"]) == ([document["lines"][0]], {}, None)
    more = CODEC.dump(replace(STATE, lines=(cup, mug.model_copy(update={"quantity": 2}))), document)
    assert "engraving" not in more["lines"][1]


def test_the_stored_document_is_not_changed() -> None:
    document = of_newer_release()
    CODEC.dump(STATE, document)
    assert document == of_newer_release()


def test_erasing_an_account_erases_unknown_fields() -> None:
    active = User(status=AccountStatus.ACTIVE, email="ada@example.org", name="Ada")
    loaded = Loaded("users", "1", version=1, state=USERS.codec.dump(active) | {"phone": "+31 6"})
    assert USERS.dump(replace(active, name="Ada L."), loaded, NOW)["phone"] == "+31 6"
    assert "phone" not in USERS.dump(User(status=AccountStatus.ERASED), loaded, NOW)


@pytest.mark.parametrize("service", CONSUMING_SERVICES)
def test_every_stored_state_keeps_unknown_fields(service: str) -> None:
    for aggregate in CONSUMING_SERVICES[service]().aggregates:
        document = aggregate.codec.dump(aggregate.start)
        later = document | {"of_a_newer_release": [1]}
        assert aggregate.codec.dump(aggregate.codec.load(later), later) == later
        if aggregate.related:
            state = aggregate.related.start("TEA")
            later = aggregate.related.codec.dump(state) | {"of_a_newer_release": [1]}
            assert aggregate.related.codec.dump(aggregate.related.codec.load(later), later) == later


def _decide(state: State, message: object, _: Context[object]) -> Decision[State]:
    return Decision(state)


def test_a_state_without_statuses_is_never_erased() -> None:
    aggregate = Aggregate("states", STATE, _decide, handles=())
    document = of_newer_release()
    assert aggregate.dump(STATE, Loaded("states", "1", version=1, state=document), NOW) == document
