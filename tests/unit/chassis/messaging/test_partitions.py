"""The setting PARTITIONS, and the names of partitions."""

import pytest

from chassis.messaging.partitions import (
    added_queue,
    input_queue_of,
    is_added_queue,
    parse_partitions,
    partition_queues,
)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("", {}),
        ("  ", {}),
        ("order_svc=3", {"order_svc": 3}),
        ("order_svc=3,payment_svc=1", {"order_svc": 3, "payment_svc": 1}),
        (" order_svc=3  payment_svc=16\n", {"order_svc": 3, "payment_svc": 16}),
    ],
)
def test_the_setting_gives_a_number_per_service(text: str, counts: dict[str, int]) -> None:
    assert parse_partitions(text) == counts


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("3", "'3' is not SERVICE=NUMBER; write e.g. order_svc=3"),
        ("order_svc", "'order_svc' is not SERVICE=NUMBER"),
        ("order_svc=many", "'order_svc=many' is not SERVICE=NUMBER"),
        ("order_svc=-1", "'order_svc=-1' is not SERVICE=NUMBER"),
        ("order_svc=1.5", "'order_svc=1.5' is not SERVICE=NUMBER"),
        ("order_svc=0", "order_svc has 0 partitions; give it 1 to 16"),
        ("order_svc=17", "order_svc has 17 partitions; give it 1 to 16"),
        ("order_svc=2,order_svc=3", "order_svc is given twice"),
    ],
)
def test_an_error_names_the_faulty_part_and_the_remedy(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_partitions(text)


def test_the_first_partition_has_the_name_of_the_input_queue() -> None:
    assert partition_queues("order_svc.events", 1) == ("order_svc.events",)
    assert partition_queues("order_svc.events", 3) == (
        "order_svc.events",
        "order_svc.events.1",
        "order_svc.events.2",
    )


@pytest.mark.parametrize("queue", partition_queues("order_svc.commands", 12))
def test_every_partition_names_its_input_queue(queue: str) -> None:
    assert input_queue_of(queue) == "order_svc.commands"


@pytest.mark.parametrize("queue", ["order_svc.commands", "order_svc.events"])
def test_the_queue_of_added_messages_names_its_input_queue(queue: str) -> None:
    assert added_queue(queue) == f"{queue}.added"
    assert input_queue_of(added_queue(queue)) == queue
    assert is_added_queue(added_queue(queue))
    assert not any(map(is_added_queue, (*partition_queues(queue, 3), "order_svc.dead.added")))


@pytest.mark.parametrize(
    "queue",
    [
        "order_svc.dead",
        "order_svc.dead.added",
        "order_svc.events.added.1",
        "order_svc.dead.1",
        "order_svc.events.01",
        "a.order_svc.events.1",
        "journal",
        "",
    ],
)
def test_other_queues_are_no_partitions(queue: str) -> None:
    assert input_queue_of(queue) == queue
