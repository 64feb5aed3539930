"""Partitions in the tools: the setting, replaced bindings, and figures of several queues as one."""

import pytest

from chassis.bus.topology_model import Topology
from contracts.catalog import NAMES
from journey.admin.broker.definitions import Json, objects
from journey.admin.broker.drift import of_objects
from journey.admin.broker.input_queues import by_input_queue, waiting_for_update
from journey.admin.broker.losses import Losses
from journey.admin.broker.management import Depth, Traffic
from journey.admin.broker.partition_bindings import binding_path, superseded
from journey.admin.broker.topology_file import stored_topology
from journey.admin.partitions import with_partitions
from journey.admin.registry import shop_topology

ONE, THREE = shop_topology(partitions=""), shop_topology(partitions="order_svc=3")


def bindings(topology: Topology) -> list[Json]:
    return list(objects(topology, "v")["bindings"])


def test_the_setting_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTITIONS", "order_svc=3")
    assert shop_topology() == THREE
    monkeypatch.delenv("PARTITIONS")
    assert shop_topology() == ONE


def test_the_operator_container_gets_the_same_partitions() -> None:
    stored = with_partitions(stored_topology(), "order_svc=3")
    assert objects(stored, "v") == objects(THREE, "v")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("order_svc", "PARTITIONS: 'order_svc' is not SERVICE=NUMBER"),
        ("shop=2", "PARTITIONS: shop has no queues"),
    ],
)
def test_a_wrong_setting_ends_the_program_with_a_sentence(text: str, reason: str) -> None:
    with pytest.raises(SystemExit, match=reason):
        shop_topology(partitions=text)


@pytest.mark.parametrize(("before", "after"), [(ONE, THREE), (THREE, ONE)])
def test_each_binding_of_an_input_queue_is_replaced(before: Topology, after: Topology) -> None:
    """Those from the exchange to partitions stay: they get no messages, and go with their queues."""
    found = [*bindings(after), *(each for each in bindings(before) if each not in bindings(after))]
    replaced = list(superseded(found, after, "v"))
    assert {each["destination"] for each in replaced} == {"order_svc.events", "order_svc.commands"}
    assert {each["source"] for each in replaced} == {"events", "commands"}
    assert all(each in bindings(before) and each not in bindings(after) for each in replaced)
    gone = [each for each in bindings(before) if each not in bindings(after) and each not in replaced]
    assert {each["source"] for each in gone} <= {"order_svc.events", "order_svc.commands"}


@pytest.mark.parametrize("topology", [ONE, THREE])
def test_an_unchanged_topology_replaces_no_binding(topology: Topology) -> None:
    assert not list(superseded(bindings(topology), topology, "v"))


def test_a_bindings_path_names_its_destinations_kind() -> None:
    [binding] = [each for each in bindings(THREE) if each["routing_key"] == "product.price_changed.v1"
                 and each["destination"] == "order_svc.events"]  # fmt: skip
    path = binding_path(binding | {"properties_key": "product.price_changed.v1"}, "/")
    assert path == "bindings/%2F/e/events/e/order_svc.events/product.price_changed.v1"


@pytest.mark.parametrize(("wanted", "actual"), [(ONE, THREE), (THREE, ONE)])
def test_a_binding_to_the_wrong_kind_of_destination_is_drift(wanted: Topology, actual: Topology) -> None:
    found = set(of_objects(objects(wanted, "v"), objects(actual, "v"), NAMES))
    route = "binding of events to {}order_svc.events by product.price_changed.v1"
    exchange, queue = route.format("exchange "), route.format("")
    missing, extra = (exchange, queue) if wanted is THREE else (queue, exchange)
    assert {f"{missing} is missing", f"{extra} is extra: nothing uses it"} <= found


def test_partitions_count_as_one_queue() -> None:
    figures = {
        "order_svc.events": Traffic(1, 2, 3, 0.5, 1.0),
        "order_svc.events.1": Traffic(10, 20, 2, 0.25, 2.0),
        "order_svc.commands": Traffic(1, 0, 3, 0.0, 0.0),
        "order_svc.commands.1": Traffic(None, 0, 3, 0.0, None),
        "journal": Traffic(7, 0, 0, 0.0, 0.0),
    }
    assert by_input_queue(figures) == {
        "order_svc.events": Traffic(11, 22, 2, 0.75, 3.0),
        "order_svc.commands": Traffic(None, 0, 3, 0.0, None),
        "journal": figures["journal"],
    }


def test_an_unconsumed_partition_shows_as_no_consumer() -> None:
    figures = {"order_svc.events": Depth(0, 0, 2), "order_svc.events.1": Depth(5, 0, 0)}
    assert by_input_queue(figures) == {"order_svc.events": Depth(5, 0, 0)}


def test_added_messages_count_and_need_no_consumer() -> None:
    """After a rollback no instance consumes them."""
    figures = {"gateway.events": Depth(1, 0, 2), "gateway.events.added": Depth(5, 0, 0)}
    assert by_input_queue(figures) == {"gateway.events": Depth(6, 0, 2)}


@pytest.mark.parametrize(
    ("added", "input_queue", "waiting"),
    [
        (Depth(5, 0, 0), Depth(0, 0, 2), {"order_svc.commands.added": 5}),
        (Depth(5, 0, 1), Depth(0, 0, 2), {}),
        (Depth(0, 0, 0), Depth(0, 0, 2), {}),
        (Depth(5, 0, 0), Depth(0, 0, 0), {}),
        (Depth(None, None, None), Depth(0, 0, 2), {}),
        (Depth(5, 0, 0), None, {}),
    ],
    ids=["after a rollback", "consumed", "empty", "down or paused", "unknown", "no input queue"],
)
def test_added_messages_that_only_an_update_consumes_are_found(
    added: Depth, input_queue: Depth | None, waiting: dict[str, int]
) -> None:
    figures = {"order_svc.commands.added": added, "order_svc.commands.1": Depth(9, 0, 0)}
    figures |= {"order_svc.commands": input_queue} if input_queue else {}
    assert waiting_for_update(figures) == waiting


def test_losses_of_a_partition_are_those_of_the_shop() -> None:
    losses = Losses({"notification_svc.events.1": 3, "client.x.events.1": 2, "x.events.1": 1})
    assert losses.by_own_queue == {"notification_svc.events.1": 3, "other queues": 3}
