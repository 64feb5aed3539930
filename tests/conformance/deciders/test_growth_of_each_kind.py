"""100,000 messages of each kind at one aggregate of each kind: the document is bounded,
and the last costs no more.

For all messages the decider and the rules of what is remembered are played. The real path is played for the
first thousand, which must give the same document, and for the two messages whose cost is compared.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, count
from typing import Any

import pytest

from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.messaging.message import Event, Message
from gateway.orders.timeline import SubmitOrder
from gateway.service import gateway_service
from journey.admin.registry import CONSUMING_SERVICES
from tests.conformance.deciders.test_growth import (
    BYTES_MAX,
    BYTES_MORE,
    EARLY,
    MANY,
    OVER_HTTP,
    REJECTIONS,
    kind,
)
from tests.support.decider_growth import Decided, alternating
from tests.support.decision_table_fixtures import DECISION_TABLES
from tests.support.growth_probe import Growth, Measured, Scales, key_of
from tests.support.order_outcomes import OUTCOMES

History = Sequence[Any]

LINES_MORE = 20
SOME = 50  # enough to find the state in which a message leaves the most


@dataclass(frozen=True)
class Play:
    """One kind of message, and the histories that lead its aggregate into each state in which it may
    arrive.
    """

    service: Callable[[], ServiceDefinition]
    kind: str
    messages: tuple[Callable[[int], Any], ...]
    histories: tuple[History, ...]
    around: Mapping[str, Any] = field(default_factory=dict)

    @property
    def aggregate(self) -> Aggregate[Any]:
        return kind(self.service(), self.kind)

    def message(self, number: int) -> Any:
        return self.messages[number % len(self.messages)](number // len(self.messages))

    def about_one(self, message: Any) -> list[History]:
        """The histories, with other aggregates of the same kind replaced by the message's own."""
        key = key_of(self.aggregate, [message])
        return [
            [message if key_of(self.aggregate, [each, message]) != key else each for each in history]
            for history in self.histories
        ]

    def before(self, history: History) -> Decided:
        decided = Decided(self.service(), self.aggregate, dict(self.around))
        for message in history:
            decided.deliver(message)
        return decided


def _plays() -> dict[str, Play]:
    """By aggregate and type: all examples of one type alternate;
    those about another aggregate are separate.
    """
    made: dict[str, Play] = {}
    keys: dict[str, list[str]] = {}
    for play in (*_of_tables(), *_of_journeys(), *_over_http()):
        message = play.messages[0](0)
        name, key = f"{play.kind}: {type(message).__name__}", key_of(play.aggregate, [message])
        if key not in keys.setdefault(name, []):
            keys[name].append(key)
        if other := keys[name].index(key):
            name = f"{name}, about another {other}"
        before = made.get(name, play)
        made[name] = replace(before, messages=tuple(dict.fromkeys((*before.messages, *play.messages))))
    return made


def _of_tables() -> Iterator[Play]:
    for decision_table in DECISION_TABLES:
        for message in decision_table.messages.values():
            one = alternating(decision_table.aggregate, message)
            yield Play(
                decision_table.service,
                decision_table.kind,
                (one,),
                tuple(decision_table.histories.values()),
                decision_table.around,
            )


def _of_journeys() -> Iterator[Play]:
    aggregate, items = kind(gateway_service(), "journeys"), chain.from_iterable(OUTCOMES.values())
    reported = tuple(
        [item for item in outcome if isinstance(item, Message | SubmitOrder)] for outcome in OUTCOMES.values()
    )
    events = {
        type(item).__name__: item
        for item in (*items, REJECTIONS["placed again"](0))
        if isinstance(item, Event)
    }
    for item in events.values():
        yield Play(gateway_service, "journeys", (alternating(aggregate, item),), ([], *reported))


def _over_http() -> Iterator[Play]:
    for name, (first, ways) in OVER_HTTP.items():
        service, _, kind_ = name.partition(" ")
        for outcome in ways:
            yield Play(CONSUMING_SERVICES[service], kind_, (partial(_asked, outcome, len(ways)),), (first,))


def _asked(outcome: Callable[[int], Any], ways: int, number: int) -> Any:
    """A request, numbered as if the ways to ask did not alternate."""
    return outcome(number * ways)


PLAYS = _plays()


def test_every_handled_message_is_played() -> None:
    played = {(play.kind, type(play.message(0))) for play in PLAYS.values()}
    aggregates = [aggregate for make in CONSUMING_SERVICES.values() for aggregate in make().aggregates]
    assert {
        (aggregate.kind, handled_type) for aggregate in aggregates for handled_type in aggregate.handles
    } <= played
    assert {aggregate.kind for aggregate in aggregates} == {kind for kind, _ in played}


@pytest.mark.parametrize("name", PLAYS)
async def test_a_hundred_thousand_messages_leave_a_small_document(name: str) -> None:
    play = PLAYS[name]
    history = most_remembered(play)
    thousandth = EARLY * len(play.messages)  # of each example
    decided, messages = play.before(history), [play.message(number) for number in range(1, thousandth + 1)]
    key = key_of(play.aggregate, [*history, *messages])
    for message in messages:
        decided.deliver(message)
    early = await decided.document(key)
    await follows_the_real_path(play, [*history, *messages], key, early)
    for number in range(thousandth + 1, MANY + 1):
        decided.deliver(play.message(number))
    late = await decided.document(key)
    size, then = early.bytes_of(play.kind, key), late.bytes_of(play.kind, key)
    assert size <= BYTES_MAX
    assert then <= size * 1.1 + BYTES_MORE, f"from {size} to {then} bytes"
    # The cost of some messages depends on a time in them, so each is also measured after a thousand messages.
    first = [await cost_of_more(play, early, key, number) for number in (thousandth, MANY)]
    last = await cost_of_more(play, late, key, MANY)
    assert last.read <= max(cost.read for cost in first) * 1.1 + BYTES_MORE
    assert last.written <= max(cost.written for cost in first) * 1.1 + BYTES_MORE
    assert last.ids <= max(cost.ids for cost in first) + 1
    assert last.lines <= max(cost.lines for cost in first) * 1.1 + LINES_MORE


def most_remembered(play: Play) -> History:
    """The state in which the first of these messages leave the most behind."""

    def left_behind(history: History) -> int:
        decided = play.before(history)
        for number in range(1, SOME + 1):
            decided.deliver(play.message(number))
        return decided.weight

    return max(play.about_one(play.message(0)), key=left_behind)


async def follows_the_real_path(play: Play, messages: Sequence[Any], key: str, expected: Scales) -> None:
    """The real path writes the same document."""
    path = Growth(play.service(), play.aggregate, await play.before([]).document(key), key)
    await path.deliver(messages)
    assert path.store.written(play.kind, key) == expected.written(play.kind, key)


async def cost_of_more(play: Play, store: Scales, key: str, number: int) -> Measured:
    """On the real path in a fresh process: two of each example, one of them changed."""
    path = Growth(play.service(), play.aggregate, deepcopy(store), key, numbers=count(10 * number))
    return await path.weighed([play.message(number + each) for each in range(2 * len(play.messages))])
