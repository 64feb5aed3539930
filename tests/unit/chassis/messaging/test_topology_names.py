"""The names of a system on its broker: the defaults, prefixes, and what is no name."""

import re
from typing import Any

import pytest

from chassis.bus.memory import MemoryBroker
from chassis.messaging.catalog import Catalog
from chassis.messaging.topology_names import TopologyNames
from contracts import orders
from journey.admin.registry import shop_topology
from tests.support import second_system

NAMES = second_system.CATALOG.names


def test_the_default_names_stay_as_brokers_know_them() -> None:
    names = TopologyNames()
    assert (names.commands, names.events, names.client_events) == ("commands", "events", "client_events")
    assert (names.dead, names.unroutable, names.lost) == ("dead", "unroutable", "lost")
    assert (names.uncounted, names.losses) == ("lost.uncounted", "losses")
    assert (names.journal, names.audit, names.client) == ("journal", "audit", "client")
    assert names.policy_prefix == ""


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"commands": "shop.commands"}, "'shop.commands' is no name for a topology"),
        ({"events": ""}, "'' is no name"),
        ({"client": "Client"}, "'Client' is no name"),
        ({"events": "commands"}, "2 things of a topology have the name 'commands'"),
    ],
)
def test_a_wrong_name_is_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        TopologyNames(**given)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("theatre_client", True),
        ("theatre_client.web", True),
        ("theatre_client.", False),
        ("theatre_client.a b", False),
        ("theatre_clients", False),
        ("client", False),
        ("client.web", False),
        ("", False),
    ],
)
def test_clients_are_recognised_by_the_name_of_their_user(user: str, expected: bool) -> None:
    assert NAMES.is_client(user) is expected
    assert second_system.CATALOG.role_of(user) == (("client" if expected else "other") if user else "none")


def test_topologies_with_different_names_share_nothing() -> None:
    shop, second = shop_topology(), second_system.TOPOLOGY
    assert not set(shop.exchanges) & set(second.exchanges)
    for part in ("queues", "policies", "users"):
        names = [{each.name for each in getattr(topology, part)} for topology in (shop, second)]
        assert names[0] & names[1] == ({"operator"} if part == "users" else set())
    for policy in second.policies:
        assert not [queue for queue in shop.queues if re.search(policy.pattern, queue.name)]
    for policy in shop.policies:
        assert not [queue for queue in second.queues if re.search(policy.pattern, queue.name)]


def test_no_user_of_one_system_may_use_the_other() -> None:
    for one, other in (shop_topology(), second_system.TOPOLOGY), (second_system.TOPOLOGY, shop_topology()):
        for user in (each for each in one.users if each.name != "operator"):
            named = [*other.exchanges, *(queue.name for queue in other.queues)]
            for pattern in user.configure, user.write, user.read:
                assert not [name for name in named if re.search(pattern, name)], user.name


def test_the_broker_in_memory_reads_the_names_of_its_topology() -> None:
    assert NAMES.client_events not in MemoryBroker(second_system.TOPOLOGY).queues


def test_an_envelope_is_addressed_to_the_exchange_of_its_catalog() -> None:
    assert NAMES.exchange_of(second_system.BuyTicket) == "theatre_commands"
    assert NAMES.exchange_of(second_system.TicketBought) == "theatre_events"
    plain = Catalog(orders.ORDER, declared_in=__name__)
    assert plain.names.exchange_of(orders.PlaceOrder) == "commands"
