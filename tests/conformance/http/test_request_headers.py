"""Every service reads the same value of a header, whichever line contains it."""

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.runtime import Runtime
from chassis.web.app import create_app
from chassis.web.request_headers import LISTS, one_line_each
from journey.admin.registry import SERVICES, shop_topology

_NAMES = st.sampled_from(
    [*sorted(LISTS), b"authorization", b"cookie", b"content-type", b"traceparent", b"X-Anything"]
)


@given(st.lists(st.tuples(_NAMES, st.binary(max_size=8))))
def test_no_name_is_left_in_two_lines(raw: list[tuple[bytes, bytes]]) -> None:
    lines, objection = one_line_each(raw)
    names = [name for name, _ in lines]
    assert len(names) == len(set(names))
    given_once = {name.lower() for name, _ in raw} - set(names)
    assert bool(objection) == bool(given_once - {b"traceparent"})


def test_lines_of_a_list_are_joined_in_their_order() -> None:
    raw = [
        (b"X-Forwarded-For", b"a"),
        (b"accept", b"b"),
        (b"x-forwarded-for", b"c"),
        (b"cookie", b"d=1"),
        (b"cookie", b"e=2"),
    ]
    assert one_line_each(raw) == (
        [(b"x-forwarded-for", b"a, c"), (b"accept", b"b"), (b"cookie", b"d=1; e=2")],
        "",
    )


@pytest.mark.parametrize("name", SERVICES)
async def test_every_service_rejects_a_repeated_credential(name: str) -> None:
    runtime: Any = Runtime(SERVICES[name](), MemoryBus(MemoryBroker(shop_topology()), name), MemoryStore())
    lines = httpx.Headers([("Authorization", "Bearer a"), ("Authorization", "Bearer b")])
    transport = httpx.ASGITransport(create_app(runtime, None))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        response = await http.get("/healthz", headers=lines)
        assert (response.status_code, response.json()["title"]) == (400, "Ambiguous header")
        assert "authorization" in response.json()["detail"]
        assert (await http.get("/healthz", headers={"Authorization": "Bearer a"})).status_code == 200
