"""Which dead letters form a group, and which may be redriven: judged from their headers, without a broker.

Long because each reason not to redrive a message has its own cases.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from chassis.core import retry
from chassis.core.decision import Context, OutOfTurn, RunEffect
from chassis.messaging.envelope import OPERATOR, parse
from chassis.messaging.message import Command, Message
from chassis.messaging.origin import ORIGIN_HEADERS
from chassis.store.protocol import Loaded
from contracts import payments
from contracts.catalog import CATALOG
from contracts.http.payments import PaymentStatus
from journey.admin.dead_letters.dead_letter import DeadLetter, dead_letter_of
from journey.admin.dead_letters.selection import (
    redrive_blocker,
    waits_for,
)
from journey.admin.registry import CONSUMING_SERVICES, SERVICES
from payment_svc import api
from payment_svc.payment import Payment
from tests.support.dead_letter_messages import NOW, given_up, sent
from tests.support.decision_table_fixtures import DECISION_TABLES
from tests.support.messages import AUTHORIZE, CAPTURE, PLACE, PLACED, REFUND, REFUND_PART, VOID
from tests.unit.payment_svc.decision_tables import PAYMENTS

ADDRESSES = {name: f"http://{name}" for name in SERVICES}
HANDLED = [
    (name, message)
    for name, make in SERVICES.items()
    for contract in make().by_type
    for decision_table in DECISION_TABLES
    if decision_table.service().name == name
    for message in decision_table.messages.values()
    if type(message) is contract
]


async def judged(
    dead_letter: DeadLetter, response: Callable[[httpx.Request], httpx.Response] | None = None
) -> str:
    def no_requests(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"asked {request.url}")

    async with httpx.AsyncClient(transport=httpx.MockTransport(response or no_requests)) as http:
        return await redrive_blocker(dead_letter, http, ADDRESSES, NOW)


# Redriven messages


@pytest.mark.parametrize(
    ("service", "message"), HANDLED, ids=lambda value: getattr(type(value), "__name__", value)
)
async def test_every_consumed_message_may_be_redriven_by_the_operator(service: str, message: Message) -> None:
    first = sent(message)
    queue = f"{service}.{'commands' if isinstance(message, Command) else 'events'}"
    definition = CONSUMING_SERVICES[service]()
    failed = retry.after_failure(first, RuntimeError("a bug"), queue=queue, service=definition, now=NOW)
    for wire_message in first, failed, retry.postpone(first, queue=queue, service=definition):
        came = (
            wire_message if wire_message is first else replace(wire_message, exchange="", user_id=service)
        )  # off the ladder
        dead_letter = given_up(service, came)
        assert await judged(dead_letter) == ""
        back = replace(dead_letter.original_message, user_id=OPERATOR)
        assert parse(back, CATALOG, reader=service) == parse(first, CATALOG, reader=service)
        assert back.routing_key == dead_letter.origin_queue and back.exchange == ""
        kept = {name: value for name, value in back.headers.items() if name not in ORIGIN_HEADERS}
        assert kept == first.headers


# Messages that may not be redriven


async def test_redriving_does_not_legitimise_foreign_events() -> None:
    dead_letter = given_up("inventory_svc", sent(PLACED, sender="payment_svc"), attempt=1)
    assert "must come from order_svc" in await judged(dead_letter)


async def test_a_partitions_dead_letter_returns_to_the_first_partition() -> None:
    """Its own may have been removed since."""
    dead = given_up("inventory_svc", sent(PLACED)).wire_message
    dead_letter = dead_letter_of(
        "inventory_svc", replace(dead, headers={**dead.headers, "origin_queue": "inventory_svc.events.7"})
    )
    assert await judged(dead_letter) == ""
    back = replace(dead_letter.original_message, user_id=OPERATOR)
    assert back.routing_key == "inventory_svc.events"
    assert parse(back, CATALOG, reader="inventory_svc") == parse(
        sent(PLACED), CATALOG, reader="inventory_svc"
    )


async def test_dead_letters_cannot_be_redriven_to_another_service() -> None:
    dead = given_up("inventory_svc", sent(PLACED)).wire_message
    for queue in "payment_svc.events", "payment_svc.events.1", "inventory_svc.dead", "journal", "":
        dead_letter = dead_letter_of(
            "inventory_svc", replace(dead, headers={**dead.headers, "origin_queue": queue})
        )
        assert "not a queue of inventory_svc" in await judged(dead_letter)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"body": b"{broken"}, "rejected again"),
        ({"type": "order.teleport.v1"}, "unknown message type"),
        ({"type": None}, "unknown message type"),
        ({"content_type": "text/xml"}, "content_type"),
    ],
)
async def test_an_unreadable_dead_letter_is_not_redriven(changes: dict[str, Any], expected: str) -> None:
    assert expected in await judged(given_up("order_svc", replace(sent(PLACE), **changes), attempt=1))


async def test_messages_that_the_service_does_not_consume_are_refused() -> None:
    dead = given_up("user_svc", sent(PLACED)).wire_message
    dead_letter = dead_letter_of(
        "user_svc", replace(dead, headers={**dead.headers, "origin_queue": "user_svc.events"})
    )
    assert "user_svc no longer consumes order.placed.v1" in await judged(dead_letter)


# The horizon

DAYS = timedelta(days=3)


def payment_is(status: str) -> Callable[[httpx.Request], httpx.Response]:
    def response(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == f"http://payment_svc/payments/{AUTHORIZE.order_id}"
        return httpx.Response(200, json={"status": status})

    return response


EFFECTS = [(AUTHORIZE, "authorizing"), (CAPTURE, "capturing"), (VOID, "voiding"), (REFUND, "refunding")]


@pytest.mark.parametrize(("command", "awaiting"), EFFECTS)
async def test_an_old_effect_is_redriven_only_while_awaited(command: Message, awaiting: str) -> None:
    dead_letter = given_up("payment_svc", sent(command, age=DAYS))
    assert await judged(dead_letter, payment_is(awaiting)) == ""
    for _, status in [*EFFECTS, (None, "captured"), (None, "dropped")]:
        if status != awaiting:
            assert f"its status in payments is {status}" in await judged(dead_letter, payment_is(status))
    assert "unknown" in await judged(dead_letter, lambda request: httpx.Response(404))


async def test_an_old_effect_stays_while_its_service_is_unreachable() -> None:
    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    dead_letter = given_up("payment_svc", sent(CAPTURE, age=DAYS))
    assert "payment_svc cannot tell" in await judged(dead_letter, down)
    assert "payment_svc cannot tell" in await judged(dead_letter, lambda request: httpx.Response(503))
    assert "payment_svc cannot tell" in await judged(dead_letter, payment_is("of a later release"))


async def test_an_effect_without_a_time_counts_as_old() -> None:
    wire_message = sent(AUTHORIZE)
    timeless = replace(
        wire_message, headers={key: value for key, value in wire_message.headers.items() if key != "time"}
    )
    assert "payments is captured" in await judged(given_up("payment_svc", timeless), payment_is("captured"))


async def test_young_effects_and_messages_without_horizon_are_redriven() -> None:
    assert await judged(given_up("payment_svc", sent(AUTHORIZE, age=timedelta(hours=23)))) == ""
    assert await judged(given_up("payment_svc", sent(PLACED, age=timedelta(days=400)))) == ""


def test_only_effects_of_payments_have_a_horizon() -> None:
    """Mails are effects with a key as well, but a repeated request is harmless:
    the mail is marked as sent.
    """
    limited = {contract for contract in CATALOG.values() if contract.HORIZON is not None}
    requests = {payments.Authorize, payments.Capture, payments.Void, payments.Refund, payments.RefundPart}
    assert limited == requests
    waiting = {
        status for status in PaymentStatus if waits_for(AUTHORIZE, PAYMENTS.aggregate, {"status": status})
    }
    assert waiting == {PaymentStatus.AUTHORIZING}


WITH_HORIZON = [AUTHORIZE, CAPTURE, VOID, REFUND, REFUND_PART]


@pytest.mark.parametrize("command", WITH_HORIZON, ids=lambda command: type(command).__name__)
def test_what_a_payment_waits_for_follows_from_its_view(command: Message) -> None:
    """Of each state in its decision table. The view does not say that staff have had a request repeated."""
    differing = set()
    for name, state in PAYMENTS.states.items():
        view = payment_view(state)
        waits = isinstance(outcome(state, command), RunEffect)
        if waits_for(command, PAYMENTS.aggregate, view) != waits:
            differing.add(name)
    assert differing <= ({"capturing, repeated"} if command is CAPTURE else set())


@pytest.mark.parametrize(
    ("command", "state"),
    [(REFUND_PART, "captured, a part granted"), (VOID, "captured, settled outside")],
    ids=["refund of a part", "release after a settlement"],
)
async def test_an_old_effect_of_a_captured_payment_is_redriven(command: Message, state: str) -> None:
    dead_letter = given_up("payment_svc", sent(command, age=DAYS))
    assert await judged(dead_letter, payment_svc_shows(PAYMENTS.states[state])) == ""
    why = await judged(dead_letter, payment_svc_shows(PAYMENTS.states["captured"]))
    assert why.endswith("its status in payments is captured")


def payment_svc_shows(state: Payment) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(200, json=payment_view(state))


def payment_view(state: Payment) -> Any:
    """As payment_svc shows it."""
    document = PAYMENTS.aggregate.codec.dump(state)
    loaded = Loaded("payments", str(AUTHORIZE.order_id), state=document)
    return api._payment_view(loaded).model_dump(mode="json")


def outcome(state: Payment, command: Message) -> Any:
    with suppress(OutOfTurn):
        return PAYMENTS.aggregate.decide(state, command, Context())


# Dead-lettered by the broker


def by_broker(*deaths: dict[str, Any], **changes: Any) -> DeadLetter:
    wire_message = replace(sent(PLACED), **changes)
    return dead_letter_of(
        "inventory_svc", replace(wire_message, headers={**wire_message.headers, "x-death": list(deaths)})
    )


EXPIRED = {"queue": "retry.5s", "reason": "expired", "time": NOW - DAYS, "count": 1}
LIMIT = {
    "queue": "inventory_svc.events",
    "reason": "delivery_limit",
    "time": NOW,
    "count": 1,
    "exchange": "events",
    "routing-keys": ["order.placed.v1"],
}


async def test_a_brokers_dead_letter_names_the_service_queue() -> None:
    for dead_letter in by_broker(LIMIT, EXPIRED), by_broker(EXPIRED, LIMIT):
        assert (dead_letter.origin_queue, dead_letter.error_type, dead_letter.died_at) == (
            "inventory_svc.events",
            "delivery_limit",
            NOW,
        )
        assert dead_letter.by_broker and dead_letter.error.startswith("delivery limit reached")
        assert await judged(dead_letter) == ""
        assert dead_letter.original_message.headers == {
            **sent(PLACED).headers,
            "origin_user": "order_svc",
            "origin_exchange": "events",
            "origin_key": "order.placed.v1",
        }


async def test_invented_headers_do_not_override_the_brokers() -> None:
    headers = {
        **sent(PLACED).headers,
        "error": "nothing",
        "origin_queue": "payment_svc.events",
        "origin_user": "x",
    }
    dead_letter = by_broker(LIMIT, headers=headers)
    assert dead_letter.origin_queue == "inventory_svc.events" and dead_letter.error != "nothing"
    assert await judged(dead_letter) == ""


@pytest.mark.parametrize("deaths", ["nonsense", [], ["nonsense"], [{"queue": 7}], None])
async def test_a_manually_published_dead_letter_is_shown_but_not_redriven(deaths: Any) -> None:
    wire_message = replace(sent(PLACED), message_id=None, headers={"x-death": deaths})
    dead_letter = dead_letter_of("inventory_svc", wire_message)
    assert dead_letter.died_at is None and "manually" in dead_letter.error and dead_letter.id
    assert dead_letter.id == dead_letter_of("inventory_svc", wire_message).id
    assert "an unknown queue" in await judged(dead_letter)


@pytest.mark.parametrize("body", [b"", b"[]", b"[" * 100_000, b'{"order_id": null}', b"\xff"])
def test_an_unreadable_message_has_no_journey_id(body: bytes) -> None:
    dead_letter = dead_letter_of(
        "order_svc", replace(sent(PLACE), body=body, correlation_id=None, headers={})
    )
    assert dead_letter.journey_id == ""


def test_without_a_correlation_id_the_subject_names_the_journey() -> None:
    dead_letter = dead_letter_of("order_svc", replace(sent(PLACE), correlation_id=None, headers={}))
    assert dead_letter.journey_id == str(PLACE.order_id)
