"""The table of senders: it is complete, and the broker's patterns follow from it."""

import re

import pytest

from chassis.messaging.message import Command, Event, Message, Sender
from chassis.messaging.senders import CLIENT, OPERATOR, exactly, may_send, senders
from contracts import orders
from contracts.catalog import CATALOG

EVERY = sorted(CATALOG.values(), key=lambda contract: contract.TYPE)


@pytest.mark.parametrize("contract", EVERY, ids=lambda contract: contract.TYPE)
def test_every_type_has_senders_and_all_of_them_are_roles(contract: type[Message]) -> None:
    assert senders(contract) and set(senders(contract)) <= set(CATALOG.roles)
    assert [role for role in CATALOG.roles if contract in CATALOG.sent_by(role)] == [
        r for r in CATALOG.roles if r in senders(contract)
    ]


def test_the_table_contains_exactly_the_contracts() -> None:
    assert sum(len(CATALOG.sent_by(role)) for role in CATALOG.roles) == sum(
        len(senders(contract)) for contract in EVERY
    )
    assert len(set(CATALOG.roles)) == len(CATALOG.roles)


@pytest.mark.parametrize("contract", EVERY, ids=lambda contract: contract.TYPE)
def test_events_and_own_commands_come_from_their_owner_alone(contract: type[Message]) -> None:
    if issubclass(contract, Event) or (issubclass(contract, Command) and contract.SENDER is Sender.SELF):
        assert senders(contract) == (contract.OWNER,)


@pytest.mark.parametrize("contract", EVERY, ids=lambda contract: contract.TYPE)
def test_staff_commands_are_forbidden_for_clients_and_services(contract: type[Message]) -> None:
    if issubclass(contract, Command) and contract.SENDER is Sender.STAFF:
        assert senders(contract) == (OPERATOR,)


def test_clients_may_place_and_cancel_orders_and_nothing_else() -> None:
    assert CATALOG.sent_by(CLIENT) == (orders.CancelOrder, orders.PlaceOrder)


@pytest.mark.parametrize(
    ("user", "role"),
    [
        (None, "none"),
        ("", "none"),
        ("client", "client"),
        ("client.scale-7", "client"),
        ("client.order_svc", "client"),
        ("client.", "other"),
        ("clients", "other"),
        ("client\n", "other"),
        ("client.a\n", "other"),
        ("xclient", "other"),
        ("gateway", "gateway"),
        ("order_svc", "order_svc"),
        ("order_svc ", "other"),
        ("ORDER_SVC", "other"),
        ("operator", "operator"),
        ("none", "other"),
        ("guest", "other"),
    ],
)
def test_every_broker_user_has_a_role_of_a_bounded_set(user: str | None, role: str) -> None:
    assert CATALOG.role_of(user) == role
    allowed = {contract.TYPE for contract in EVERY if may_send(user or "", contract, CATALOG.names)}
    assert allowed == {contract.TYPE for contract in CATALOG.sent_by(role)}


def test_a_pattern_allows_its_types_and_nothing_that_resembles_them() -> None:
    pattern = exactly([orders.PlaceOrder, orders.CancelOrder])
    assert pattern == "^(order[.]place[.]v1|order[.]cancel[.]v1)$"
    for key in "order.place.v1", "order.cancel.v1":
        assert re.search(pattern, key)
    for key in "order.place.v10", "order.placexv1", "xorder.place.v1", "order.place", "order.dispatch.v1", "":
        assert not re.search(pattern, key)
    assert not any(re.search(exactly([]), contract.TYPE) for contract in EVERY)


def test_all_owners_are_roles() -> None:
    assert {contract.OWNER for contract in EVERY} < set(CATALOG.roles)
