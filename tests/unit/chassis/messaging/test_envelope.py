"""A valid message is transported unchanged,
and an invalid one is rejected with a reason and never raises another error.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from chassis.messaging.envelope import BODY_BYTES_MAX, Envelope, Malformed, WireMessage, parse, wrap
from chassis.messaging.message import Message
from chassis.messaging.senders import senders
from contracts import orders
from contracts.catalog import CATALOG
from tests.support.message_strategies import messages
from tests.support.messages import ORDER, PLACE, PLACED

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
TYPES = sorted(CATALOG)


def sent(message: Message) -> WireMessage:
    """The message as the broker delivers it: with the verified user."""
    envelope = wrap(message, id="m-1", source=message.OWNER, now=NOW, causation_id="c-1")
    return replace(envelope.wire_message(CATALOG), user_id=senders(type(message))[0])


def with_body(body: bytes | dict[str, Any], type_: str = "order.place.v1") -> WireMessage:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return replace(sent(PLACE), body=raw, type=type_, routing_key=type_)


def refused(wire_message: WireMessage) -> str:
    with pytest.raises(Malformed) as caught:
        parse(wire_message, CATALOG, reader="order_svc")
    return str(caught.value)


# round trip


@pytest.mark.parametrize("type_", TYPES)
@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_message_survives_its_journey(type_: str, data: st.DataObject) -> None:
    message = data.draw(messages(CATALOG[type_]))
    wire_message = sent(message)
    envelope, read = parse(wire_message, CATALOG, reader=message.OWNER)
    assert read == message
    assert envelope.subject == message.subject
    assert (envelope.id, envelope.causation_id, envelope.time) == ("m-1", "c-1", NOW.isoformat())
    assert Envelope.from_document(json.loads(json.dumps(envelope.document()))) == envelope
    assert envelope.wire_message(CATALOG) == replace(wire_message, user_id=None)


@pytest.mark.parametrize("type_", TYPES)
@given(data=st.data())
@settings(max_examples=3, deadline=None)
def test_readers_ignore_fields_that_they_do_not_know(type_: str, data: st.DataObject) -> None:
    message = data.draw(messages(CATALOG[type_]))
    body = json.dumps(json.loads(sent(message).body) | {"from_the_future": {"a": [1]}}).encode()
    assert parse(replace(sent(message), body=body), CATALOG, reader=message.OWNER)[1] == message


def test_readers_ignore_unknown_fields_inside_values_too() -> None:
    body = PLACE.model_dump(mode="json")
    body["lines"][0]["colour"] = "blue"
    assert parse(with_body(body), CATALOG, reader="order_svc")[1] == PLACE


def test_messages_accept_no_additional_fields() -> None:
    with pytest.raises(ValidationError, match="colour"):
        orders.CancelOrder.model_validate({"order_id": ORDER, "customer_id": ORDER, "colour": "blue"})


def test_a_message_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        PLACE.card_token = "tok_other"  # type: ignore[misc]


def test_wrapping_the_same_message_twice_gives_the_same_bytes() -> None:
    assert sent(PLACED) == sent(PLACED.model_copy())


# invalid messages

MONEY = {"amount_minor": 100, "currency": "EUR"}
QUANTITIES = {
    "negative": -1,
    "zero": 0,
    "huge": 10**18,
    "beyond any integer": 10**400,
    "fractional": 1.5,
    "whole but fractional in form": 1.0,
    "textual": "1",
    "null": None,
    "boolean": True,
    "a list": [1],
}


@pytest.mark.parametrize("quantity", QUANTITIES.values(), ids=QUANTITIES)
def test_a_quantity_that_is_none_is_refused_by_name(quantity: Any) -> None:
    body = PLACE.model_dump(mode="json")
    body["lines"][1]["quantity"] = quantity
    assert refused(with_body(body)).startswith("order.place.v1: lines.1.quantity: ")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"lines": []}, "lines"),
        ({"lines": [{"sku": "A", "quantity": 1}] * 51}, "lines"),
        ({"lines": None}, "lines"),
        ({"lines": [{"sku": "lower-case", "quantity": 1}]}, "lines.0.sku"),
        ({"lines": [{"sku": "A" * 33, "quantity": 1}]}, "lines.0.sku"),
        ({"lines": [{"sku": "A\n", "quantity": 1}]}, "lines.0.sku"),
        ({"lines": [{"sku": {"$ne": None}, "quantity": 1}]}, "lines.0.sku"),
        ({"lines": [{"quantity": 1}]}, "lines.0.sku"),
        ({"total_seen": MONEY | {"currency": "XYZ"}}, "total_seen.currency"),
        ({"total_seen": MONEY | {"currency": "eur"}}, "total_seen.currency"),
        ({"total_seen": MONEY | {"amount_minor": -1}}, "total_seen.amount_minor"),
        ({"total_seen": MONEY | {"amount_minor": 10**18}}, "total_seen.amount_minor"),
        ({"total_seen": MONEY | {"amount_minor": float("nan")}}, "total_seen.amount_minor"),
        ({"total_seen": MONEY | {"amount_minor": float("inf")}}, "total_seen.amount_minor"),
        ({"order_id": "1"}, "order_id"),
        ({"order_id": None}, "order_id"),
        ({"customer_id": 7}, "customer_id"),
        ({"card_token": ""}, "card_token"),
        ({"card_token": "4111 1111 1111 1111"}, "card_token"),
    ],
)
def test_a_wrong_field_is_refused_by_name(changes: dict[str, Any], field: str) -> None:
    assert refused(with_body(PLACE.model_dump(mode="json") | changes)).startswith(
        f"order.place.v1: {field}: "
    )


def test_an_error_repeats_no_content() -> None:
    secret = "my card number is secret"
    assert secret not in refused(with_body(PLACE.model_dump(mode="json") | {"card_token": secret}))


BODIES = {
    "empty": b"",
    "no JSON": b"hello",
    "cut off": PLACE.model_dump_json().encode()[:-2],
    "no object": b"[]",
    "null": b"null",
    "nested 10,000 deep": b'{"x":' * 10_000 + b"1" + b"}" * 10_000,
    "lists nested 10,000 deep": b"[" * 10_000 + b"]" * 10_000,
    "nested deep in a field that is ignored": PLACE.model_dump_json().encode()[:-1]
    + b',"x":'
    + b"[" * 10_000
    + b"]" * 10_000
    + b"}",
    "invalid UTF-8": PLACE.model_dump_json().encode().replace(b"tok", b"\xff\xfe"),
    "UTF-16": PLACE.model_dump_json().encode("utf-16"),
    "half a surrogate pair": PLACE.model_dump_json().encode().replace(b"tok", rb"\ud800"),
    "a byte order mark": b"\xef\xbb\xbf" + PLACE.model_dump_json().encode(),
    "two documents": PLACE.model_dump_json().encode() * 2,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_cannot_be_read_is_refused(body: bytes) -> None:
    assert refused(with_body(body)).startswith("order.place.v1: ")


@pytest.mark.parametrize(
    "again", [b'"card_token":"tok_other"', b'"lines":[{"sku":"A","quantity":1,"quantity":2}]']
)
def test_a_field_that_is_given_twice_is_refused_by_name(again: bytes) -> None:
    """Parsers would differ in which of the two counts."""
    body = PLACE.model_dump_json().encode()[:-1] + b"," + again + b"}"
    name = "quantity" if b"quantity" in again else "card_token"
    assert refused(with_body(body)) == f"order.place.v1: {name}: given twice"


def test_a_body_of_a_megabyte_is_refused_without_being_read() -> None:
    reason = refused(with_body(b"x" * 2**20))
    assert str(2**20) in reason
    assert str(BODY_BYTES_MAX) in reason


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json ; charset=utf-8 ; profile=x;",
    ],
)
def test_json_in_any_equivalent_encoding_is_read(content_type: str | None) -> None:
    envelope, message = parse(replace(sent(PLACE), content_type=content_type), CATALOG, reader="order_svc")
    assert (message, envelope.id) == (PLACE, sent(PLACE).message_id)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/xml",
        "application/jsonp",
        "application/json; charset=latin-1",
        "application/json; charset=utf-8; charset=utf-16",
        "application/json, text/html",
        "application/json; charset",
        "\u2003application/json",
    ],
)
def test_another_content_type_is_refused(content_type: str) -> None:
    assert "content_type" in refused(replace(sent(PLACE), content_type=content_type))


@pytest.mark.parametrize("message_id", [None, ""])
def test_a_message_without_an_id_is_refused(message_id: str | None) -> None:
    assert "message_id" in refused(replace(sent(PLACE), message_id=message_id))


@pytest.mark.parametrize("type_", [None, "", "order.place.v99", "order.placed", "__class__"])
def test_an_unknown_type_is_refused(type_: str | None) -> None:
    assert "unknown message type" in refused(replace(sent(PLACE), type=type_))


# arbitrary input

HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *(
                "time",
                "causation_id",
                "traceparent",
                "attempt",
                "postponed",
                "status_from",
                "x-death",
                "error",
                "CC",
            ),
            *("origin_user", "origin_exchange", "origin_key", "origin_detour"),
        ]
    ),
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=9)
    | st.binary(max_size=9)
    | st.lists(st.integers()),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.uuids().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PLAIN = PLACE.model_dump(mode="json")
ALMOST = st.dictionaries(st.sampled_from(sorted(PLAIN)), ANYTHING).map(lambda changes: PLAIN | changes)


@given(
    body=st.binary(max_size=200)
    | ANYTHING.map(json.dumps).map(str.encode)
    | ALMOST.map(json.dumps).map(str.encode),
    headers=HEADERS,
    type_=st.sampled_from([*TYPES, None, "x"]),
    user=st.sampled_from(["client", "order_svc", "payment_svc", "operator", None]),
    way=st.sampled_from(
        [("commands", None), ("events", None), ("", "order_svc.commands"), ("", "order_svc.events")]
    ),
    message_id=st.none() | st.text(max_size=5),
)
@settings(max_examples=800, deadline=None)
def test_parsing_any_wire_message_gives_a_message_or_malformed(
    body: bytes,
    headers: dict[str, Any],
    type_: str | None,
    user: str | None,
    way: tuple[str, str | None],
    message_id: str | None,
) -> None:
    exchange, key = way
    wire_message = WireMessage(
        exchange, key or type_ or "", body, message_id, type_, "app", None, headers, user_id=user
    )
    try:
        envelope, _ = parse(wire_message, CATALOG, reader="order_svc")
    except Malformed as error:
        assert str(error)
    else:
        assert envelope.id and Envelope.from_document(envelope.document()) == envelope
