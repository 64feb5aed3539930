"""The deciders of the checkout in PYTHONPATH, for another release: `python -P release_stories.py COMMAND`.

record  print one JSON line for each message in each example state of each decision table: the stored state,
        the message as it is sent, and what the decider made of it
replay  read such lines of an earlier release, and name each story that ends otherwise here
decide  read such lines of another release, and print for each what this checkout's deciders make of it
read    read such lines of a later release, and name each stored state and each emitted message that this
        checkout cannot read
bindings
        print exchange, routing key and queue of each binding of the topology

It runs as a program of its own, because the checkout may be that of another release.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from chassis.core.decision import OutOfTurn, RunEffect
from chassis.messaging.envelope import read
from chassis.messaging.message import Message
from contracts.catalog import CATALOG
from journey.admin.registry import shop_topology
from tests.support.decision_table_fixtures import DECISION_TABLES
from tests.support.decision_tables import play

Json = dict[str, Any]
TABLES = {(table.service().name, table.kind): table for table in DECISION_TABLES}


def record() -> Iterator[Json]:
    for (service, kind), table in TABLES.items():
        aggregate = table.aggregate
        for state_name, state in table.states.items():
            for message_name, message in table.messages.items():
                if isinstance(message, Message):
                    yield {
                        "story": f"{table.name}: {message_name} while {state_name}",
                        "service": service,
                        "kind": kind,
                        "state": aggregate.codec.dump(state),
                        "around": _dumped(aggregate.related, table.around),
                        "message": _sent(message),
                        "then": _outcome(table, state, message, table.around),
                    }


def replay(lines: Iterable[Json]) -> Iterator[str]:
    for line in lines:
        table = TABLES[line["service"], line["kind"]]
        aggregate, related = table.aggregate, table.aggregate.related
        message = table.service().as_handled(_received(line["message"]))
        around = {key: related.codec.load(each) for key, each in line["around"].items()} if related else {}
        then = _outcome(table, aggregate.codec.load(line["state"]), message, around)
        if difference := _difference(_newest(line["then"]), _newest(then)):
            yield f"{line['story']}: {difference}"


def decide(lines: Iterable[Json]) -> Iterator[Json]:
    for line in lines:
        aggregate = TABLES[line["service"], line["kind"]].aggregate
        related = aggregate.related
        around = {key: related.codec.load(each) for key, each in line["around"].items()} if related else {}
        table, state = TABLES[line["service"], line["kind"]], aggregate.codec.load(line["state"])
        yield {"story": line["story"], "then": _outcome(table, state, _received(line["message"]), around)}


def unreadable(lines: Iterable[Json]) -> Iterator[str]:
    known = set(map(_name, CATALOG))
    for line in lines:
        table = TABLES.get((line["service"], line["kind"]))
        if table is None:
            continue  # only the later release has such documents
        then = line["then"]
        for state in (line["state"], *([then["state"]] if "state" in then else ())):
            try:
                table.aggregate.codec.load(state)
            except ValueError as error:
                yield f"{line['story']}: a stored state cannot be read: {error}"
        for message in then.get("emits", ()):
            if message["type"] not in CATALOG:
                if _name(message["type"]) in known:  # a new message reaches only services that handle it
                    yield f"{line['story']}: {message['type']} is unknown"
                continue
            try:
                _received(message)
            except Exception as error:
                yield f"{line['story']}: {message['type']} cannot be read: {error}"


def bindings() -> Iterator[list[str]]:
    for each in shop_topology().bindings:
        yield [each.exchange, each.key, each.queue]


def _name(wire_type: str) -> str:
    """A wire type without its version."""
    return wire_type.rpartition(".v")[0]


def _outcome(table: Any, state: Any, message: Message, around: Mapping[str, Any]) -> Json:
    try:
        decision = play(table.aggregate, state, message, around)
    except OutOfTurn:
        return {"out of turn": True}
    except table.rejections:
        return {"refused": True}
    if isinstance(decision, RunEffect):
        return {"effect": type(decision.effect).__name__}
    return {
        "state": table.aggregate.codec.dump(decision.state),
        "related": _dumped(table.aggregate.related, decision.related),
        "emits": [_sent(emitted) for emitted in decision.emits],
    }


def _dumped(related: Any, states: Mapping[str, Any]) -> Json:
    return {key: related.codec.dump(state) for key, state in states.items()} if related else {}


def _sent(message: Message) -> Json:
    return {"type": message.TYPE, "body": json.loads(message.model_dump_json(exclude_none=True))}


def _received(sent: Json) -> Message:
    return read(CATALOG[sent["type"]], json.dumps(sent["body"]).encode())


def _newest(then: Json) -> Json:
    """With each emitted message in its newest version here."""
    emits = [_sent(CATALOG.upcast(_received(each))) for each in then.get("emits", ())]
    return then | ({"emits": emits} if "emits" in then else {})


def _difference(earlier: Any, now: Any, where: str = "it") -> str:
    """The first thing that is otherwise now; additional fields do not count. Empty if there is none."""
    if isinstance(earlier, dict) and isinstance(now, dict):
        if missing := sorted(earlier.keys() - now.keys()):
            return f"{where} has no {missing[0]} any more"
        pairs = [(earlier[name], now[name], f"{where}.{name}") for name in earlier]
    elif isinstance(earlier, list) and isinstance(now, list) and len(earlier) == len(now):
        pairs = [(*both, f"{where}[{index}]") for index, both in enumerate(zip(earlier, now, strict=True))]
    else:
        return "" if earlier == now else f"{where} was {earlier}, and is {now}"
    return next(filter(None, (_difference(*pair) for pair in pairs)), "")


if __name__ == "__main__":
    printed: dict[str, Callable[[], Iterable[Any]]] = {
        "record": record,
        "decide": lambda: decide(map(json.loads, sys.stdin)),
        "bindings": bindings,
    }
    if sys.argv[1] in printed:
        for each in printed[sys.argv[1]]():
            print(json.dumps(each))
    else:
        judge = {"replay": replay, "read": unreadable}[sys.argv[1]]
        print(json.dumps(sorted(set(judge(map(json.loads, sys.stdin))))))
