"""What must be true of the topology whatever the services hear: no broker is needed to see it."""

import re
from fnmatch import fnmatchcase

import pytest

from chassis.retry import DEAD
from chassis.topology import CLIENT, CLIENT_BYTES_MAX, JOURNAL, QUEUES_MAX, Definition, Topology
from contracts.envelope import EVENTS, OPERATOR
from journey.services import HEARERS, whole_topology

# All bounded queues full at once, on a disk that operators set aside; the broker needs the rest of its disk free.
BOUNDED_BYTES_MAX = 3 * 2**30
TOPOLOGY: Topology = whole_topology()
INBOXES = [queue for name in HEARERS for queue in (f"{name}.events", f"{name}.commands")]


def policy_of(queue: str) -> Definition:
    """A broker applies one policy to a queue; of two that match, nobody could say which."""
    [policy] = [each for each in TOPOLOGY.policies if each.apply_to == "queues" and re.search(each.pattern, queue)]
    return policy.definition


@pytest.mark.parametrize("queue", [queue.name for queue in TOPOLOGY.queues])
def test_every_queue_has_exactly_one_policy(queue: str) -> None:
    assert policy_of(queue)


def test_all_bounded_queues_together_fit_on_the_disk_that_is_set_aside_for_them() -> None:
    bounds = {queue.name: int(policy_of(queue.name).get("max-length-bytes", 0)) for queue in TOPOLOGY.queues}
    assert bounds[JOURNAL] > 0
    of_clients = (QUEUES_MAX - len(TOPOLOGY.queues)) * CLIENT_BYTES_MAX
    assert sum(bounds.values()) + of_clients <= BOUNDED_BYTES_MAX


@pytest.mark.parametrize("queue", sorted({b.queue for b in TOPOLOGY.bindings if b.exchange == EVENTS}))
def test_a_full_queue_never_refuses_an_event_for_all_others(queue: str) -> None:
    """One queue that rejects makes the broker refuse the publish, also for those who could have taken it."""
    policy = policy_of(queue)
    bounded = {"max-length", "max-length-bytes"} & policy.keys()
    assert not (bounded and policy.get("overflow") == "reject-publish")


@pytest.mark.parametrize("queue", INBOXES)
def test_what_a_consumer_cannot_take_ends_in_the_dead_letters_of_its_own_service(queue: str) -> None:
    policy, service = policy_of(queue), queue.partition(".")[0]
    key = str(policy["dead-letter-routing-key"])
    assert policy["dead-letter-exchange"] == DEAD
    assert TOPOLOGY.bound(DEAD, key) == (f"{service}.{DEAD}",)


@pytest.mark.parametrize("user", [user for user in TOPOLOGY.users if user.name != OPERATOR], ids=lambda user: user.name)
def test_nobody_but_an_operator_can_make_or_delete_what_belongs_to_the_shop(user: object) -> None:
    [rights] = [each.configure for each in TOPOLOGY.users if each is user]
    names = [*TOPOLOGY.exchanges, *(queue.name for queue in TOPOLOGY.queues)]
    assert not [name for name in names if re.search(rights, name)]


def test_services_may_make_nothing_at_all() -> None:
    assert {user.name: user.configure for user in TOPOLOGY.users if user.name in HEARERS} == dict.fromkeys(
        HEARERS, "^$"
    )


def test_the_shops_own_client_may_make_only_queues_of_its_own() -> None:
    [client] = [user for user in TOPOLOGY.users if user.name == CLIENT]
    for name in ("client.inbox", "client.mine.inbox", "order_svc.events", "x.client.inbox", "journal"):
        own = fnmatchcase(name, "client.*") and name.count(".") == 1
        assert bool(re.search(client.configure, name)) is own
