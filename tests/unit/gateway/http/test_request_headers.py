"""Ambiguous request headers are rejected, and forwarded addresses are read from trusted proxies only."""

import httpx
import pytest

from tests.support.shops.gateway import GatewayFixture


@pytest.mark.parametrize(
    ("trusted", "expected", "address"),
    [
        ("127.0.0.0/8", "203.0.113.7", "203.0.113.7"),
        ("127.0.0.0/8", "10.9.9.9, 203.0.113.7", "203.0.113.7"),
        ("127.0.0.0/8,203.0.113.0/24", "10.9.9.9, 203.0.113.7", "10.9.9.9"),
        ("192.0.2.0/24", "203.0.113.7", "127.0.0.1"),
        ("127.0.0.0/8", "", "127.0.0.1"),
        ("127.0.0.0/8", "203.0.113.7:4711", "203.0.113.7"),
        ("127.0.0.0/8", "[2001:db8::7]:443", "2001:db8::7"),
        ("127.0.0.0/8", "2001:DB8:0::7", "2001:db8::7"),
        ("127.0.0.0/8", "::ffff:203.0.113.7", "203.0.113.7"),
        ("127.0.0.0/8,203.0.113.0/24", "10.9.9.9, ::ffff:203.0.113.7", "10.9.9.9"),
        ("127.0.0.0/8", "10.9.9.9, unknown", "127.0.0.1"),
        ("127.0.0.0/8", "10.9.9.9, ", "127.0.0.1"),
    ],
)
async def test_only_trusted_proxies_set_the_client_address(trusted: str, expected: str, address: str) -> None:
    gateway = GatewayFixture(trusted_proxies=trusted)
    client = gateway.client(**{"X-Forwarded-For": expected})
    await client.post("/api/v1/sessions", json={"email": "ada@example.org", "password": "wrong"})
    assert gateway.users.requests[-1].headers["x-client-address"] == address


async def test_forwarded_addresses_in_several_lines_are_one_list() -> None:
    """The proxy appends a header of its own; the client sent the first one."""
    gateway = GatewayFixture(trusted_proxies="127.0.0.0/8")
    lines = [("X-Forwarded-For", "10.9.9.9"), ("X-Forwarded-For", "203.0.113.7")]
    await gateway.client().post(
        "/api/v1/sessions",
        json={"email": "ada@example.org", "password": "wrong"},
        headers=httpx.Headers(lines),
    )
    assert gateway.users.requests[-1].headers["x-client-address"] == "203.0.113.7"


async def test_clients_behind_a_proxy_cannot_choose_their_rate_limit_key() -> None:
    gateway = GatewayFixture(trusted_proxies="127.0.0.0/8", rate_anonymous=2)
    statuses = []
    for number in range(4):
        lines = [("X-Forwarded-For", f"10.0.0.{number}"), ("X-Forwarded-For", "203.0.113.7")]
        statuses.append(
            (await gateway.client().get("/api/v1/orders", headers=httpx.Headers(lines))).status_code
        )
    assert statuses == [401, 401, 429, 429]


async def test_addresses_of_one_ipv6_network_are_counted_together() -> None:
    gateway = GatewayFixture(trusted_proxies="127.0.0.0/8", rate_anonymous=2)
    statuses = []
    for number in range(4):
        client = gateway.client(**{"X-Forwarded-For": f"2001:db8:1:2::{number + 1}"})
        statuses.append((await client.get("/api/v1/orders")).status_code)
    assert statuses == [401, 401, 429, 429]


@pytest.mark.parametrize(
    "name", ["Authorization", "Idempotency-Key", "Content-Type", "Origin", "Sec-Fetch-Site"]
)
async def test_a_repeated_single_value_header_is_rejected_by_name(name: str) -> None:
    lines = [(name, "one"), (name, "another")]
    response = await GatewayFixture().client().get("/api/v1/orders", headers=httpx.Headers(lines))
    assert (response.status_code, response.json()["type"]) == (400, "/problems/malformed")
    assert name.lower() in response.json()["detail"]


async def test_a_request_id_or_trace_that_comes_twice_is_replaced() -> None:
    lines = [("X-Request-Id", "my-own-id-1"), ("X-Request-Id", "my-own-id-2")]
    response = await GatewayFixture().client().get("/api/v1/nothing", headers=httpx.Headers(lines))
    assert response.status_code == 404
    assert response.headers["X-Request-Id"] not in ("my-own-id-1", "my-own-id-2")


async def test_list_headers_in_several_lines_are_read_whole() -> None:
    gateway = GatewayFixture()
    etag = (await gateway.client().get("/openapi.json")).headers.get("ETag", '"none"')
    lines = [
        ("Accept", "application/xml"),
        ("Accept", "text/html"),
        ("If-None-Match", '"x"'),
        ("If-None-Match", etag),
    ]
    page = await gateway.client().get("/nothing-of-the-kind", headers=httpx.Headers(lines))
    assert page.headers["Content-Type"].startswith("text/html")
