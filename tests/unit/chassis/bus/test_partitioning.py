"""The topology of services with several partitions, and of those with one."""

import re
from dataclasses import replace

import pytest

from chassis.bus.partitioning import partitioned
from chassis.bus.topology import build
from chassis.bus.topology_model import Policy, Queue, Topology
from chassis.messaging.partitions import is_added_queue
from journey.admin.broker.definitions import Json, objects
from notification_svc.service import notification_service
from order_svc.service import order_service

ONE = build((order_service(), notification_service()))
THREE = build((replace(order_service(), partitions=3), notification_service()))
NEW = ["order_svc.events.1", "order_svc.events.2", "order_svc.commands.1", "order_svc.commands.2"]


def bindings_of(topology: Topology) -> set[tuple[str, ...]]:
    parts = ("source", "routing_key", "destination_type", "destination")
    return {tuple(each[part] for part in parts) for each in objects(topology, "v")["bindings"]}


def policies_of(topology: Topology, queue: str) -> list[Policy]:
    return [each for each in topology.policies if re.search(each.pattern, queue)]


def test_one_partition_changes_nothing() -> None:
    assert partitioned(ONE, {"order_svc": 1}) == ONE
    assert partitioned(ONE, {}) is ONE
    assert not ONE.partitions


def test_one_partition_has_the_names_of_release_0_1_0() -> None:
    queues = {queue.name for queue in ONE.queues if queue.name.startswith("order_svc.")}
    queues -= {queue for queue in queues if is_added_queue(queue)}
    assert queues == {f"order_svc.{kind}" for kind in ("commands", "events", "dead", "rejected")}
    assert {kind for _, _, kind, _ in bindings_of(ONE)} == {"queue"}
    assert {each["type"] for each in objects(ONE, "v")["exchanges"]} == {"topic"}


def test_three_partitions_add_queues_and_rename_none() -> None:
    assert [queue for queue in THREE.queues if queue not in ONE.queues] == list(map(Queue, NEW[:2] + NEW[2:]))
    assert set(ONE.queues) < set(THREE.queues)


def test_bindings_lead_to_the_exchange_that_chooses_a_partition() -> None:
    before, after = bindings_of(ONE), bindings_of(THREE)
    moved = {each for each in before if each[3] in ("order_svc.events", "order_svc.commands")}
    assert moved and after == (before - moved) | {
        (source, key, "exchange", queue) for source, key, _, queue in moved
    } | {(name.removesuffix(".1").removesuffix(".2"), "1", "queue", name) for name in NEW} | {
        (name, "1", "queue", name) for name in ("order_svc.events", "order_svc.commands")
    }


def test_the_exchange_hashes_the_subject_of_a_message() -> None:
    def of_hash_exchanges(topology: Topology) -> list[Json]:
        return [each for each in objects(topology, "v")["exchanges"] if each["type"] != "topic"]

    assert [
        (each["name"], each["type"], each["arguments"], each["durable"]) for each in of_hash_exchanges(THREE)
    ] == [
        (name, "x-consistent-hash", {"hash-header": "subject"}, True)
        for name in ("order_svc.commands", "order_svc.events")
    ]


@pytest.mark.parametrize("queue", NEW)
def test_a_partition_has_its_input_queues_policy_and_reader(queue: str) -> None:
    """Also where it is no longer wanted: it keeps both until it is drained."""
    whole = queue[:-2]
    assert policies_of(THREE, queue) == policies_of(THREE, whole) != []
    assert policies_of(ONE, queue) == policies_of(ONE, whole)
    [user] = [user for user in ONE.users if user.name == "order_svc"]
    assert re.search(user.read, queue) and re.search(user.read, whole)
    assert not any(re.search(each.read, queue) for each in ONE.users if each.name == "notification_svc")


@pytest.mark.parametrize(
    "queue", ["order_svc.dead.1", "order_svc.events.", "order_svc.events.x", "order_svc"]
)
def test_a_service_reads_only_its_own_queues(queue: str) -> None:
    [user] = [user for user in THREE.users if user.name == "order_svc"]
    assert not re.search(user.read, queue)


def test_partitions_share_the_limits_of_a_bounded_queue() -> None:
    four = partitioned(ONE, {"notification_svc": 4})
    for queue in ("notification_svc.events", "notification_svc.commands.3"):
        [before], [after] = policies_of(ONE, queue), policies_of(four, queue)
        for limit in ("max-length", "max-length-bytes"):
            assert int(before.definition[limit]) <= 4 * int(after.definition[limit])
            assert int(after.definition[limit]) <= int(before.definition[limit]) // 4 + 1
        assert after.definition.keys() == before.definition.keys()


def test_a_service_without_queues_cannot_be_partitioned() -> None:
    with pytest.raises(ValueError, match="shop has no queues; partitions are for services that consume"):
        partitioned(ONE, {"shop": 2})


@pytest.mark.parametrize("number", [0, 17])
def test_a_definition_refuses_an_impossible_number(number: int) -> None:
    with pytest.raises(ValueError, match=f"order_svc has {number} partitions; give it 1 to 16"):
        replace(order_service(), partitions=number)
