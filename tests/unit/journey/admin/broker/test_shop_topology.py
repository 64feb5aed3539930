"""Invariants of the topology, whatever the services consume; no broker is needed."""

import re
from fnmatch import fnmatchcase

import pytest

from chassis.bus.retry_ladder import DEAD, REJECTED
from chassis.bus.topology import QUEUES_MAX
from chassis.bus.topology_model import BrokerUser, Definition, Topology
from chassis.bus.topology_policies import CLIENT_BYTES_MAX
from chassis.messaging.envelope import BODY_BYTES_MAX, OPERATOR
from chassis.messaging.message import Command, Event
from contracts.catalog import CATALOG, NAMES
from journey.admin.registry import CONSUMING_SERVICES, shop_topology
from journey.devenv.infra.local_rabbit import LIMITING_ERLANG
from tests.support.source_files import ROOT

# All bounded queues full at once, on the disk space that operators plan for; the broker needs some more free.
BOUNDED_BYTES_MAX = 3 * 2**30
TOPOLOGY: Topology = shop_topology()
INBOXES = [queue for name in CONSUMING_SERVICES for queue in (f"{name}.events", f"{name}.commands")]


def policy_of(queue: str) -> Definition:
    """A broker applies one policy to a queue; of two with equal priority, it is undefined which."""
    [policy] = [
        each for each in TOPOLOGY.policies if each.apply_to == "queues" and re.search(each.pattern, queue)
    ]
    return policy.definition


@pytest.mark.parametrize("queue", [queue.name for queue in TOPOLOGY.queues])
def test_every_queue_has_exactly_one_policy(queue: str) -> None:
    assert policy_of(queue)


def test_all_bounded_queues_fit_on_the_reserved_disk() -> None:
    bounds = {queue.name: int(policy_of(queue.name).get("max-length-bytes", 0)) for queue in TOPOLOGY.queues}
    assert bounds[NAMES.journal] > 0
    of_clients = (QUEUES_MAX - len(TOPOLOGY.queues)) * CLIENT_BYTES_MAX
    assert sum(bounds.values()) + of_clients <= BOUNDED_BYTES_MAX


@pytest.mark.parametrize("queue", sorted({b.queue for b in TOPOLOGY.bindings if b.exchange == NAMES.events}))
def test_a_full_queue_never_refuses_an_event_for_all_others(queue: str) -> None:
    """If one queue rejects, the broker rejects the publish, even if other queues could accept it."""
    policy = policy_of(queue)
    bounded = {"max-length", "max-length-bytes"} & policy.keys()
    assert not (bounded and policy.get("overflow") == "reject-publish")


@pytest.mark.parametrize("queue", INBOXES)
def test_unconsumable_messages_end_in_a_queue_of_their_service(queue: str) -> None:
    """Messages that clients can send go to the rejected messages, because a client can let them expire."""
    policy, (service, _, kind) = policy_of(queue), queue.partition(".")
    key = str(policy["dead-letter-routing-key"])
    assert policy["dead-letter-exchange"] == NAMES.dead
    assert TOPOLOGY.bound(NAMES.dead, key) == (f"{service}.{REJECTED if kind == 'commands' else DEAD}",)


@pytest.mark.parametrize(
    "user", [user for user in TOPOLOGY.users if user.name != OPERATOR], ids=lambda user: user.name
)
def test_only_operators_can_declare_or_delete_shop_resources(user: object) -> None:
    [rights] = [each.configure for each in TOPOLOGY.users if each is user]
    names = [*TOPOLOGY.exchanges, *(queue.name for queue in TOPOLOGY.queues)]
    assert not [name for name in names if re.search(rights, name)]


@pytest.mark.parametrize("user", TOPOLOGY.users, ids=lambda user: user.name)
def test_broker_permissions_match_the_table_of_senders(user: BrokerUser) -> None:
    """Without a topic permission for an exchange, a user may use every routing key;
    so both exchanges need one.
    """
    assert CATALOG.role_of(user.name) in CATALOG.roles
    if user.name == OPERATOR:  # an administrator; the consumers check what it may command
        assert not user.topics
        return
    for exchange, kind in ((NAMES.commands, Command), (NAMES.events, Event)):
        allowed = {type_ for type_ in CATALOG if re.search(user.topics[exchange], type_)}
        assert allowed == {
            each.TYPE for each in CATALOG.sent_by(CATALOG.role_of(user.name)) if issubclass(each, kind)
        }
        assert not any(re.search(user.topics[exchange], f"{prefix}{type_}{suffix}") for type_ in CATALOG
                       for prefix, suffix in (("x", ""), ("", "0"), ("", ".x")))  # fmt: skip


def test_every_role_has_a_user_and_every_type_a_sender() -> None:
    assert {CATALOG.role_of(user.name) for user in TOPOLOGY.users} == set(CATALOG.roles)
    assert {
        contract for user in TOPOLOGY.users for contract in CATALOG.sent_by(CATALOG.role_of(user.name))
    } == set(CATALOG.values())


def test_commands_between_services_match_the_contracts_rights() -> None:
    asking = {(name, asked) for name, make in CONSUMING_SERVICES.items() for asked in make().sends}
    commands = [each for each in CATALOG.values() if issubclass(each, Command)]
    assert asking == {(name, command) for command in commands for name in command.ASKED_BY}


def test_services_may_make_nothing_at_all() -> None:
    assert {
        user.name: user.configure for user in TOPOLOGY.users if user.name in CONSUMING_SERVICES
    } == dict.fromkeys(CONSUMING_SERVICES, "^$")


def test_the_shops_client_may_declare_only_its_own_queues() -> None:
    [client] = [user for user in TOPOLOGY.users if user.name == NAMES.client]
    for name in ("client.inbox", "client.mine.inbox", "order_svc.events", "x.client.inbox", "journal"):
        own = fnmatchcase(name, "client.*") and name.count(".") == 1
        assert bool(re.search(client.configure, name)) is own


@pytest.mark.parametrize("service", CONSUMING_SERVICES)
def test_rejected_messages_are_bounded_and_displace_no_dead_letter(service: str) -> None:
    [queue] = TOPOLOGY.bound(NAMES.dead, f"{service}.{REJECTED}")
    assert queue != f"{service}.{DEAD}" and policy_of(queue)["overflow"] == "drop-head"
    assert int(policy_of(queue)["max-length-bytes"]) < int(policy_of(f"{service}.{DEAD}")["max-length-bytes"])
    assert policy_of(queue)["max-length"]
    [user] = [user for user in TOPOLOGY.users if user.name == service]
    others = [name for name in CONSUMING_SERVICES if name != service]
    assert re.search(user.topics[NAMES.dead], f"{service}.{REJECTED}")
    assert not [name for name in others if re.search(user.topics[NAMES.dead], f"{name}.{REJECTED}")]


def test_started_brokers_reject_oversized_messages() -> None:
    limit = f"-rabbit max_message_size {BODY_BYTES_MAX}"
    assert limit == LIMITING_ERLANG
    assert limit in (ROOT / "compose.yaml").read_text()
