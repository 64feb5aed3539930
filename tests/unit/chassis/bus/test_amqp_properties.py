"""Arbitrary property bytes are decoded to values that can be encoded again, or rejected with a reason."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from chassis.bus.amqp_properties import DEPTH_MAX, Undecodable, decode
from tests.support.raw_amqp_client import (
    DECODABLE,
    NAMES,
    REFUSED,
    UNDECODABLE,
    array,
    nested,
    properties,
    short,
    table,
    text,
    time,
)

_FIXED = (
    (b"t", 1),
    (b"b", 1),
    (b"B", 1),
    (b"s", 2),
    (b"u", 2),
    (b"I", 4),
    (b"i", 4),
    (b"l", 8),
    (b"L", 8),
    (b"f", 4),
)
fixed = st.sampled_from([*_FIXED, (b"d", 8), (b"D", 5), (b"V", 0), (b"T", 8)])
scalars = fixed.flatmap(
    lambda kind: st.binary(min_size=kind[1], max_size=kind[1]).map(lambda value: kind[0] + value)
)
sized = st.tuples(
    st.sampled_from([b"S", b"x"]), st.binary(max_size=40) | st.text(max_size=20).map(str.encode)
).map(lambda both: both[0] + struct.pack(">I", len(both[1])) + both[1])
values = st.recursive(
    scalars | sized,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: b"A" + array(*items))
        | st.lists(st.tuples(st.binary(max_size=8), inner), max_size=4).map(
            lambda items: b"F" + table(*items)
        )
    ),
    max_leaves=12,
)
headers = st.lists(
    st.tuples(st.binary(max_size=10) | st.text(max_size=5).map(str.encode), values), max_size=6
)
names = st.binary(max_size=40).map(short) | st.text(max_size=20).map(lambda name: short(name.encode()))
property_bytes = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(NAMES, names),
        "headers": headers.map(lambda items: table(*items)),
        "delivery_mode": st.binary(min_size=1, max_size=1),
        "priority": st.binary(min_size=1, max_size=1),
        "timestamp": st.binary(min_size=8, max_size=8),
    },
).map(lambda given: properties(**given))


def again(decoded: Basic.Properties) -> bytes:
    return ContentHeader(0, 0, decoded).marshal()[12:]


@given(property_bytes | st.binary(max_size=200))
def test_decoded_properties_survive_encoding_unchanged(raw: bytes) -> None:
    try:
        decoded = decode(raw)
    except Undecodable as why:
        assert str(why)
        return
    once = again(decoded)
    assert again(decode(once)) == once


@pytest.mark.parametrize("raw", UNDECODABLE.values(), ids=UNDECODABLE)
def test_what_breaks_a_rule_or_a_bound_is_named(raw: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(raw)


@pytest.mark.parametrize("raw", (DECODABLE | REFUSED).values(), ids=DECODABLE | REFUSED)
def test_unusual_but_valid_properties_are_decoded_and_encoded_again(raw: bytes) -> None:
    assert again(decode(raw))


def test_every_type_is_read_as_pamqp_reads_it() -> None:
    every: dict[str, Any] = {
        "bool": True, "byte": -5, "short": -300, "long": 70_000, "longlong": -(2**40), "text": "é",
        "void": None, "bytes": bytearray(b"\xff"), "float": 0.5, "array": [1, "two", [3]],
        "table": {"x": {"y": False}},
    }  # fmt: skip
    sent = Basic.Properties(
        headers=every, message_id="m", message_type="t", app_id="a", user_id="u", priority=3
    )
    read = decode(again(sent))
    assert read.headers == every
    assert (read.message_id, read.message_type, read.app_id, read.user_id) == ("m", "t", "a", "u")


def test_nesting_is_read_up_to_its_bound() -> None:
    assert decode(properties(headers=nested(DEPTH_MAX - 1))).headers
    with pytest.raises(Undecodable, match="deep"):
        decode(properties(headers=nested(DEPTH_MAX)))


def test_a_value_may_not_reach_beyond_its_table() -> None:
    inside = short(b"x") + text(b"far too long")
    with pytest.raises(Undecodable, match="longer"):
        decode(properties(headers=struct.pack(">I", len(inside) - 4) + inside, app_id=short(b"a")))


def test_flags_that_amqp_does_not_define_are_refused() -> None:
    for flags in (1, 2):
        with pytest.raises(Undecodable, match="flag"):
            decode(struct.pack(">HH", flags, 0))


def test_a_time_in_the_headers_is_a_time() -> None:
    [at] = (decode(properties(headers=table((b"at", b"T" + time(86_400))))).headers or {}).values()
    assert str(at) == "1970-01-02 00:00:00+00:00"
