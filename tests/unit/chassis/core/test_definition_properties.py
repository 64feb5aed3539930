"""Queue bounds and the retry ladder are properties of a definition; the topology follows from them."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus
from chassis.bus.retry_ladder import RetryLadder, Rung
from chassis.bus.topology import build
from chassis.bus.topology_model import Definition, QueueBounds, Topology
from chassis.core import retry
from chassis.core.decision import Context, Decision
from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.messaging.catalog import Catalog
from chassis.messaging.envelope import WireMessage, wrap
from chassis.messaging.message import Event, Owner

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TABLE = Owner("table", service="waiter_svc")


class TableSeated(Event, owner=TABLE, type="table.seated.v1", subject="table"):
    table: str


CATALOG = Catalog(TABLE, declared_in="tests.kitchens")
QUICK = RetryLadder((Rung("again.1s", 1_000), Rung("again.2s", 2_000)))


def decide(state: str, message: Any, _: Context[object]) -> Decision[str]:
    return Decision(state)


def kitchen(name: str = "kitchen_svc", **properties: Any) -> ServiceDefinition:
    tables = Aggregate("tables", "", decide, handles=(TableSeated,))
    return ServiceDefinition(name, (tables,), catalog=CATALOG, **properties)


def seated(table: str) -> WireMessage:
    envelope = wrap(TableSeated(table=table), id=f"m-{table}", source="waiter_svc", now=NOW)
    return replace(envelope.wire_message(CATALOG), user_id="waiter_svc")


def policy_of(topology: Topology, queue: str) -> Definition:
    [policy] = [each for each in topology.policies if re.search(each.pattern, queue)]
    return policy.definition


def test_bounded_queues_drop_their_oldest_messages() -> None:
    topology = build([kitchen(queue_bounds=QueueBounds(messages_max=2, bytes_max=1_000)), kitchen("bar_svc")])
    for queue in ("kitchen_svc.events", "kitchen_svc.commands"):
        policy = policy_of(topology, queue)
        assert (policy["max-length"], policy["max-length-bytes"], policy["overflow"]) == (
            2,
            1_000,
            "drop-head",
        )
    for queue in ("bar_svc.events", "bar_svc.commands"):
        assert "max-length" not in policy_of(topology, queue)
        assert policy_of(topology, queue)["dead-letter-strategy"] == "at-least-once"


def test_a_definition_names_its_retry_queues() -> None:
    topology = build([kitchen(retry_ladder=QUICK), kitchen("bar_svc")])
    assert topology.ladder == (*QUICK.rungs, *RetryLadder().rungs)
    assert {"again.1s", "again.2s", "retry.5s", "retry.1m", "retry.10m"} <= set(topology.exchanges)
    assert [policy_of(topology, rung.name)["message-ttl"] for rung in topology.ladder] == [
        1_000, 2_000, 5_000, 60_000, 600_000,
    ]  # fmt: skip
    users = {user.name: user for user in topology.users}
    assert re.search(users["kitchen_svc"].write, "again.1s") and not re.search(
        users["kitchen_svc"].write, "retry.5s"
    )
    assert re.search(users["bar_svc"].write, "retry.5s") and not re.search(users["bar_svc"].write, "again.1s")


def test_one_retry_queue_has_one_delay() -> None:
    slower = RetryLadder((Rung("again.1s", 60_000),))
    with pytest.raises(ValueError, match=r"'again\.1s' waits 1000 ms in kitchen_svc and 60000 ms in bar_svc"):
        build([kitchen(retry_ladder=QUICK), kitchen("bar_svc", retry_ladder=slower)])


def test_a_retry_ladder_needs_delays() -> None:
    with pytest.raises(ValueError, match="at least one rung"):
        RetryLadder(())


def test_a_failed_message_passes_the_retry_queues_of_its_service() -> None:
    service, error = kitchen(retry_ladder=QUICK), RuntimeError("a bug")
    first = retry.after_failure(seated("7"), error, queue=service.events_queue, service=service, now=NOW)
    came_back = replace(first, exchange="", user_id=service.name)
    second = retry.after_failure(came_back, error, queue=service.events_queue, service=service, now=NOW)
    came_back = replace(second, exchange="", user_id=service.name)
    last = retry.after_failure(came_back, error, queue=service.events_queue, service=service, now=NOW)
    assert [each.exchange for each in (first, second, last)] == ["again.1s", "again.2s", "dead"]


def test_a_postponed_message_waits_in_the_first_two_retry_queues() -> None:
    short = kitchen(retry_ladder=RetryLadder((Rung("again.1s", 1_000),)))
    for service, expected in (
        (kitchen(retry_ladder=QUICK), ["again.1s", "again.2s"]),
        (short, ["again.1s"] * 2),
    ):
        first = retry.postpone(seated("7"), queue=service.events_queue, service=service)
        came_back = replace(first, exchange="", user_id=service.name)
        again = retry.postpone(came_back, queue=service.events_queue, service=service)
        assert [first.exchange, again.exchange] == expected


async def test_the_in_memory_broker_returns_messages_from_retry_queues() -> None:
    service = kitchen(retry_ladder=QUICK)
    broker = MemoryBroker(build([service]), delay_scale=0.001)
    failed = retry.after_failure(
        seated("7"), RuntimeError("a bug"), queue=service.events_queue, service=service, now=NOW
    )
    assert await MemoryBus(broker, service.name).publish([failed]) == [None]
    await asyncio.sleep(0.05)
    assert [each.message_id for each in broker.queues[service.events_queue]] == ["m-7"]
