"""The consumers' checks of how a message arrived, and of users that republish it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from chassis.core import retry
from chassis.messaging.envelope import Forged, WireMessage, parse, wrap
from chassis.messaging.identity import derived_id, new_id
from chassis.messaging.message import Event, Message
from chassis.messaging.origin import HOP_HEADERS
from chassis.messaging.senders import CLIENT, OPERATOR, senders
from chassis.messaging.topology_names import input_queue
from contracts import inventory, orders, users
from contracts.catalog import CATALOG, NAMES
from contracts.roles import Role
from journey.admin.registry import CONSUMING_SERVICES
from tests.support.messages import CUSTOMER, ORDER, PLACE, PLACED

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DISPATCH = orders.DispatchOrder(order_id=ORDER)
RECEIVE = inventory.ReceiveStock(receipt_id=ORDER, sku="TEA", quantity=7)
GRANT = users.GrantRole(user_id=CUSTOMER, role=Role.STAFF)
OF_THE_STAFF = (DISPATCH, RECEIVE, GRANT)
# Headers with which a forged message could claim that a service republished it.
CLAIMS = {"attempt": 1, "postponed": 1, "origin_user": "operator", "origin_exchange": "commands"}
STRANGERS = (CLIENT, "client.scale", "gateway", "order_svc", "payment_svc", "stranger", None, "")


def sent(message: Message, user: str | None = None, **headers: Any) -> WireMessage:
    wire_message = wrap(message, id="m-1", source="test", now=NOW).wire_message(CATALOG)
    sender = senders(type(message))[0] if user is None else user
    return replace(wire_message, user_id=sender, headers={**wire_message.headers, **headers})


def queue_of(message: Message, reader: str) -> str:
    return input_queue(reader, type(message))


def handed_back(message: Message, by: str, reader: str = "", /, **headers: Any) -> WireMessage:
    queue = queue_of(message, reader or message.OWNER)
    return replace(sent(message), exchange="", routing_key=queue, user_id=by, headers=headers)


def origin(message: Message, **other: str) -> dict[str, str]:
    exchange = NAMES.exchange_of(type(message))
    reported = {
        "origin_user": senders(type(message))[0],
        "origin_exchange": exchange,
        "origin_key": message.TYPE,
    }
    return reported | {f"origin_{name}": value for name, value in other.items()}


def refused(wire_message: WireMessage, reader: str = "order_svc") -> str:
    with pytest.raises(Forged) as caught:
        parse(wire_message, CATALOG, reader=reader)
    return str(caught.value)


# direct delivery


@pytest.mark.parametrize("message", OF_THE_STAFF, ids=lambda message: message.TYPE)
@pytest.mark.parametrize("user", [user for user in STRANGERS if user])
def test_a_staff_command_from_another_user_is_forged(message: Message, user: str) -> None:
    for headers in ({}, CLAIMS | {"origin_key": message.TYPE}):
        reason = refused(sent(message, user, **headers), message.OWNER)
        assert reason == f"{message.TYPE} must come from operator, the broker says {user!r}"


@pytest.mark.parametrize("message", [PLACE, PLACED, *OF_THE_STAFF], ids=lambda message: message.TYPE)
def test_a_message_without_user_id_names_the_remedy(message: Message) -> None:
    for user in (None, ""):
        assert "set the user_id property to your broker user" in refused(replace(sent(message), user_id=user))


@pytest.mark.parametrize("user", ["client", "inventory_svc", "order_svc ", "ORDER_SVC", "operator"])
def test_an_event_from_a_foreign_user_is_forged(user: str) -> None:
    assert "must come from order_svc" in refused(sent(PLACED, user), "inventory_svc")
    assert "must come from order_svc" in refused(sent(PLACED, user, attempt=1, postponed=1), "inventory_svc")


def test_a_services_own_command_from_others_is_forged() -> None:
    assert "must come from order_svc" in refused(sent(orders.DeadlinePassed(order_id=ORDER), "client"))


def test_a_type_under_another_routing_key_is_forged() -> None:
    disguised = replace(
        sent(orders.CancelOrder(order_id=ORDER, customer_id=CUSTOMER)), routing_key=PLACE.TYPE
    )
    assert "routing key 'order.place.v1'" in refused(disguised)
    assert "routing key" in refused(replace(sent(DISPATCH), routing_key=PLACE.TYPE))


@pytest.mark.parametrize("exchange", ["events", "retry.5s", "dead", "unroutable", "client.own", "amq.topic"])
def test_a_command_through_another_exchange_is_forged(exchange: str) -> None:
    assert "publish it to 'commands'" in refused(replace(sent(PLACE), exchange=exchange))


@pytest.mark.parametrize("header", ["CC", "BCC", "cc", "x-death", "x-first-death-queue", "x-received-from"])
def test_a_message_with_routing_headers_is_forged(header: str) -> None:
    assert header in refused(replace(sent(PLACE), headers={header: []}))


def test_broker_delivery_headers_are_accepted() -> None:
    harmless = replace(sent(PLACE), headers={"x-delivery-count": 2, "x-stream-offset": 7})
    assert parse(harmless, CATALOG, reader="order_svc")[1] == PLACE


def test_a_client_cannot_claim_a_future_message_id() -> None:
    """Clients receive the ids of events, from which services derive the ids of the messages that follow."""
    for taken in derived_id("orders", ORDER, "deadline"), derived_id("m-1", "payment_svc", 0):
        client = sent(orders.CancelOrder(order_id=ORDER, customer_id=CUSTOMER))
        assert "version 5" in refused(replace(client, message_id=taken))
        back = handed_back(PLACE, OPERATOR, **origin(PLACE))
        assert "version 5" in refused(replace(back, message_id=taken))
        assert (
            parse(replace(sent(PLACE, "gateway"), message_id=taken), CATALOG, reader="order_svc")[1] == PLACE
        )
        assert parse(replace(sent(PLACED), message_id=taken), CATALOG, reader="payment_svc")[1] == PLACED
    for free in (
        str(uuid4()),
        str(new_id()),
        "m-1",
        "5",
        derived_id("x").upper(),
    ):
        assert parse(replace(sent(PLACE), message_id=free), CATALOG, reader="order_svc")[1] == PLACE


# republished


@pytest.mark.parametrize("message", [PLACE, PLACED, *OF_THE_STAFF], ids=lambda message: message.TYPE)
def test_a_returned_message_still_belongs_to_its_sender(message: Message) -> None:
    for by, headers in ((message.OWNER, {"attempt": 1}), (message.OWNER, {"postponed": 1}), (OPERATOR, {})):
        back = handed_back(message, by, **headers, **origin(message))
        assert parse(back, CATALOG, reader=message.OWNER)[1] == message


@pytest.mark.parametrize("user", [*STRANGERS, "inventory_svc"])
def test_only_the_owner_may_publish_directly_to_a_queue(user: str | None) -> None:
    back = replace(handed_back(GRANT, OPERATOR, **origin(GRANT), attempt=1), user_id=user)
    assert "straight into the queue" in refused(back, "user_svc")


@pytest.mark.parametrize("by", ["user_svc", OPERATOR])
@pytest.mark.parametrize(
    "other",
    [{"user": "client"}, {"exchange": "events"}, {"key": "order.place.v1"}, {"detour": "CC"}, {"key": ""}],
)
def test_a_forged_message_stays_forged_after_a_retry(by: str, other: dict[str, str]) -> None:
    assert refused(handed_back(GRANT, by, **origin(GRANT, **other), attempt=1), "user_svc")


@pytest.mark.parametrize("by", ["user_svc", OPERATOR])
@pytest.mark.parametrize("number", [1, 15])
def test_a_message_may_be_handed_back_to_any_partition(by: str, number: int) -> None:
    back = handed_back(GRANT, by, **origin(GRANT), attempt=1)
    parse(replace(back, routing_key=f"{back.routing_key}.{number}"), CATALOG, reader="user_svc")
    astray = replace(back, routing_key=f"user_svc.events.{number}")
    assert "not to 'user_svc.commands'" in refused(astray, "user_svc")


def test_the_operator_must_name_sender_and_recipient() -> None:
    assert "without the user who sent it first" in refused(
        handed_back(PLACED, OPERATOR, "payment_svc"), "payment_svc"
    )
    astray = replace(handed_back(PLACED, OPERATOR, **origin(PLACED)), routing_key="payment_svc.commands")
    assert "not to 'payment_svc.events'" in refused(astray, "payment_svc")
    copied = handed_back(PLACED, OPERATOR, "payment_svc", **origin(PLACED), CC=["order_svc.commands"])
    assert "header CC" in refused(copied, "payment_svc")


def test_a_service_returns_messages_by_its_retry_queues_only() -> None:
    assert "retry ladder" in refused(
        handed_back(PLACED, "payment_svc", "payment_svc", **origin(PLACED)), "payment_svc"
    )


def test_retries_from_an_earlier_version_keep_their_checked_claims() -> None:
    known: list[tuple[Message, str]] = [(PLACED, "payment_svc"), (PLACE, "order_svc")]
    for message, reader in [*known, (orders.DeadlinePassed(order_id=ORDER), "order_svc")]:
        assert parse(handed_back(message, reader, reader, attempt=1), CATALOG, reader=reader)[1] == message
    for command in OF_THE_STAFF:
        assert "must come from operator" in refused(
            handed_back(command, command.OWNER, attempt=1), command.OWNER
        )


# hops


def hops(wire_message: WireMessage, message: Message) -> Mapping[str, WireMessage]:
    queue, service = queue_of(message, message.OWNER), CONSUMING_SERVICES[message.OWNER]()
    return {
        "ladder": retry.after_failure(
            wire_message, RuntimeError("a bug"), queue=queue, service=service, now=NOW
        ),
        "postponed": retry.postpone(wire_message, queue=queue, service=service),
        "dead": retry.dead_letter(wire_message, Forged("forged"), queue=queue, service=service, now=NOW),
    }


@pytest.mark.parametrize("message", [PLACE, PLACED, *OF_THE_STAFF], ids=lambda message: message.TYPE)
@pytest.mark.parametrize("hop", ["ladder", "postponed", "dead"])
def test_forged_origin_headers_are_overwritten_on_every_hop(message: Message, hop: str) -> None:
    claims = CLAIMS | {
        "origin_key": message.TYPE,
        "origin_detour": "x",
        "CC": ["journal"],
        "x-death": [],
        "attempt": 3,
    }
    onward = hops(sent(message, "client", **claims), message)[hop]
    exchange = NAMES.exchange_of(type(message))
    reported = {
        name: value
        for name, value in onward.headers.items()
        if name.startswith("origin_") and name[7:] != "queue"
    }
    assert reported == {
        "origin_user": "client",
        "origin_exchange": exchange,
        "origin_key": message.TYPE,
        "origin_detour": "CC",
    }
    assert not {"CC", "x-death"} & onward.headers.keys()
    counts = {"ladder": (1, 0), "postponed": (0, 1), "dead": (1, 0)}[hop]
    assert (onward.headers.get("attempt", 0), onward.headers.get("postponed", 0)) == counts


def test_the_origin_survives_any_number_of_hops() -> None:
    wire_message = sent(GRANT)
    for _ in range(2):
        for hop in "ladder", "postponed":
            onward = hops(wire_message, GRANT)[hop]
            assert {name: onward.headers[name] for name in origin(GRANT)} == origin(GRANT)
            wire_message = replace(onward, exchange="", user_id="user_svc")
            assert parse(wire_message, CATALOG, reader="user_svc")[1] == GRANT
    assert (wire_message.attempt, wire_message.postponed) == (2, 2)


def test_a_message_published_directly_to_a_queue_is_untrusted() -> None:
    stranger = handed_back(GRANT, "client", attempt=1, **origin(GRANT))
    dead = hops(stranger, GRANT)["dead"]
    reported = {name: value for name, value in dead.headers.items() if name in HOP_HEADERS}
    assert reported == {"origin_user": "client", "origin_key": "user_svc.commands", "attempt": 1}
    assert refused(replace(dead, exchange="", routing_key="user_svc.commands", user_id=OPERATOR), "user_svc")


def test_a_count_that_a_client_writes_is_no_count() -> None:
    assert (sent(PLACE, attempt=3, postponed="x").attempt, sent(PLACE, postponed=7).postponed) == (0, 0)
    onward = sent(PLACE, attempt=3, postponed=7, origin_user="operator").with_route("", "order_svc.commands")
    assert not HOP_HEADERS & onward.headers.keys()


def test_every_kind_of_message_was_tried() -> None:
    assert {issubclass(contract, Event) for contract in CATALOG.values()} == {True, False}
