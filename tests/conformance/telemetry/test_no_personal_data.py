"""No personal data and no secret in logs, metrics, spans and baggage.

The whole shop runs with canaries: at log level debug, with every trace sampled. Customers use all HTTP doors,
every message type arrives valid, malformed and forged, effects fail, and requests crash.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import httpx
import pytest
from fastapi.routing import APIRoute

from chassis import telemetry
from chassis.bus.memory import MemoryBus
from chassis.telemetry import span_ids, tracing
from chassis.telemetry.otlp import OtlpRecorder
from gateway.app import create_app as create_public_app
from gateway.catalogue.client import CatalogueClient
from journey.admin.diagnosis.pending_messages import CONSUMERS_BY_TYPE
from journey.admin.registry import CONSUMING_SERVICES
from tests.support.canaries import BAGGAGE, Telemetry, examples, knock, leaks, wire_messages
from tests.support.eventually import until
from tests.support.otlp_receiver import http_receiver
from tests.support.settled import unsettled
from tests.support.shops.gateway import GatewayFixture
from tests.support.shops.in_memory import InMemoryShop, run_in_memory_shop

EMAIL = "emilcanary@canary-mails.example"
NAME = "Namecanary Canaryson"
PASSWORDS = ("passcanary of ten plums", "othercanary of ten pears")
ADDRESS = {
    "label": "home",
    "recipient": "Recipientcanary",
    "street": "Streetcanary 12",
    "postcode": "10115",
    "city": "Citycanary",
    "country": "DE",
}
DELIVERY = {name: text for name, text in ADDRESS.items() if name != "label"} | {"street": "Lanecanary 7"}
CARD = "tok_visa_canary"
SERVICE_TOKEN = "inside-one-process"
WAIT_S = 30.0


@pytest.fixture
def written() -> Iterator[Telemetry]:
    """Standard error, which pytest replaces between the phases of a test."""
    yield Telemetry()
    telemetry.configure("info", pretty=False)


@asynccontextmanager
async def observed_shop(written: Telemetry, patch: pytest.MonkeyPatch) -> AsyncIterator[InMemoryShop]:
    """A shop that writes all its telemetry to `written`; a minute of its retry ladder takes 60 ms."""
    with http_receiver() as (url, written.received):
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        async with run_in_memory_shop() as shop:
            shop._broker._delay_scale = 0.001
            patch.setattr(sys, "stderr", written.log)
            telemetry.configure("debug", pretty=False)
            _record_baggage(written, patch)
            yield shop
            written.passed_on += [
                f"{message.type} {name}"
                for message in shop._broker.tapped
                if message.exchange in ("commands", "events") and message.user_id in CONSUMING_SERVICES
                for name in BAGGAGE.keys() & message.headers.keys()
                if message.message_id not in written.injected
            ]
            assert isinstance(tracing.STATE.record, OtlpRecorder)
            tracing.STATE.record.flush()


def _record_baggage(written: Telemetry, patch: pytest.MonkeyPatch) -> None:
    """Notice a request from one service to another with what a client has sent along."""
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def checked(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        if "X-Canary-Test" not in request.headers:
            found = BAGGAGE.keys() & request.headers.keys()
            written.passed_on += [f"{request.method} {request.url} {name}" for name in found]
        return await send(transport, request)

    patch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", checked)


async def test_canaries_appear_in_no_telemetry(written: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    async with observed_shop(written, monkeypatch) as shop:
        headers = {"X-Canary-Test": "yes", **BAGGAGE}
        async with httpx.AsyncClient(base_url=shop.url, timeout=30, headers=headers) as http:
            secrets = await _a_customers_day(shop, http)
            await _failing_effects(shop, http, secrets["access"])
            await _requests_of_all_kinds(shop, http, secrets["access"])
            with monkeypatch.context() as patch:
                await _a_crash(http, patch)
            await _messages_of_all_types(shop, written)
    signals = written.signals()
    assert signals["log"].count('"handled"') > 10, "level debug was not on"
    assert '"a request failed"' in signals["log"] and "forged message" in signals["log"]
    for name in ("POST /api/v1/orders", "process order.placed.v1", "SMTP", "card provider AuthorizeCard"):
        assert name in signals["spans"]
    found = leaks(signals, (*secrets.values(), SERVICE_TOKEN, "tok_"))
    assert not found, "\n".join(found[:20])


async def _a_customers_day(shop: InMemoryShop, http: httpx.AsyncClient) -> dict[str, str]:
    """Register, log in, order, pay, get mails, fail to log in, reset the password. Returns all tokens."""
    account = {"email": EMAIL, "name": NAME, "password": PASSWORDS[0]}
    (await http.post("/api/v1/users", json=account)).raise_for_status()
    proof = await _token_of_link(shop, "/proofs")
    tokens = (await http.post("/api/v1/proofs", json={"token": proof, "password": PASSWORDS[0]})).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    (await http.post("/api/v1/users/me/addresses", json=ADDRESS, headers=bearer)).raise_for_status()
    await _order(http, bearer, CARD, "confirmed")
    await _order(http, bearer, CARD, "confirmed", delivery_address=DELIVERY)
    await _order(http, bearer, CARD, "confirmed", delivery_address_label=ADDRESS["label"])
    invalid = DELIVERY | {"country": "Canaryland"}
    refused = await _request_order(http, bearer, CARD, delivery_address=invalid)
    assert refused.status_code == 422, refused.text
    await until(lambda: len(shop.links(EMAIL)) > 1, within_s=WAIT_S)
    for wrong in ("wrongcanary of ten plums", PASSWORDS[1]):
        response = await http.post("/api/v1/sessions", json={"email": EMAIL, "password": wrong})
        assert response.status_code == 401
    (await http.post("/api/v1/password-resets", json={"email": EMAIL})).raise_for_status()
    reset = await _token_of_link(shop, "/password-reset")
    new = {"token": reset, "password": PASSWORDS[1]}
    (await http.post("/api/v1/password-resets/confirmations", json=new)).raise_for_status()
    again = await http.post("/api/v1/sessions", json={"email": EMAIL, "password": PASSWORDS[1]})
    assert again.status_code == 201, again.text
    await http.post("/api/v1/users", content=b'{"email": "brokencanary@')
    return {
        "proof": proof,
        "reset": reset,
        "old access": tokens["access_token"],
        "refresh": tokens["refresh_token"],
        "access": again.json()["access_token"],
    }


async def _failing_effects(shop: InMemoryShop, http: httpx.AsyncClient, access: str) -> None:
    """The card provider declines, fails once, and responds to nothing; the mail server refuses a mail."""
    bearer = {"Authorization": f"Bearer {access}"}
    shop.mail_faults.refuse = 1
    await _order(http, bearer, "tok_declined", "cancelled")
    await _order(http, bearer, "tok_flaky", "confirmed")
    silence = f"{shop.endpoints.http['payment_svc']}/faults/provider-silent"
    (await http.put(silence, json={"for_s": 60})).raise_for_status()
    waiting = asyncio.create_task(_order(http, bearer, CARD, "confirmed"))
    await asyncio.sleep(0.5)
    (await http.delete(silence)).raise_for_status()
    await waiting
    await until(lambda: not shop.mail_faults.refuse, within_s=WAIT_S)


async def _requests_of_all_kinds(shop: InMemoryShop, http: httpx.AsyncClient, access: str) -> None:
    """Each route of the public server and of each service, with and without credentials."""
    public = create_public_app(GatewayFixture().deps).routes
    routes = [
        (each.path, method) for each in public if isinstance(each, APIRoute) for method in each.methods or ()
    ]
    assert len(routes) > 50
    for path, method in routes:
        for headers in ({}, {"Authorization": f"Bearer {access}"}):
            await knock(http, method, path, headers)
    sampled = {"traceparent": span_ids.traceparent(uuid4().hex, "1" * 16, sampled=True)}
    for name, address in shop.endpoints.http.items():
        paths = (await http.get(f"{address}/openapi.json")).json()["paths"]
        assert {"/journeys/{journey_id}", "/metrics"} <= paths.keys(), name
        for path, methods in paths.items():
            for method in methods:
                for headers in (sampled, sampled | {"Authorization": f"Bearer {SERVICE_TOKEN}"}):
                    await knock(http, method.upper(), f"{address}{path}", headers)


async def _a_crash(http: httpx.AsyncClient, patch: pytest.MonkeyPatch) -> None:
    async def crash(*_: object) -> None:
        raise ZeroDivisionError

    patch.setattr(CatalogueClient, "article", crash)
    response = await http.get("/p/CANARY-OF-A-SKU")
    assert response.status_code == 500


async def _messages_of_all_types(shop: InMemoryShop, written: Telemetry) -> None:
    """Every handled type: valid, malformed and forged. They are handled, or end as dead letters."""
    known = examples()
    assert CONSUMERS_BY_TYPE.keys() <= known.keys()
    for type_ in CONSUMERS_BY_TYPE:
        for user, message in wire_messages(known[type_]):
            written.injected.add(message.message_id)
            assert await MemoryBus(shop._broker, user).publish([message]) == [None]

    for _ in range(3):  # a message waits on the retry ladder for 0.6 s
        await asyncio.sleep(0.7)
        await until(lambda: unsettled(shop._broker), lambda count: count == 0, within_s=WAIT_S)
    malformed_and_forged = 3

    def with_fewer_dead_letters() -> list[str]:
        dead = {
            (message.type, message.message_id)
            for name in CONSUMING_SERVICES
            for message in shop._broker.dead(name)
        }
        return [
            type_
            for type_ in CONSUMERS_BY_TYPE
            if len({id_ for of, id_ in dead if of == type_}) < malformed_and_forged
        ]

    await until(with_fewer_dead_letters, lambda types: not types, within_s=WAIT_S)


async def _request_order(
    http: httpx.AsyncClient, bearer: dict[str, str], card: str, **more: Any
) -> httpx.Response:
    form: dict[str, Any] = {"lines": [{"sku": "KETTLE-BLUE", "quantity": 1}], "card_token": card, **more}
    headers = {**bearer, "Idempotency-Key": str(uuid4())}
    return await http.post("/api/v1/orders", json=form, headers=headers)


async def _order(
    http: httpx.AsyncClient, bearer: dict[str, str], card: str, outcome: str, **more: Any
) -> None:
    placed = await _request_order(http, bearer, card, **more)
    assert placed.status_code == 202, placed.text

    async def ended() -> bool:
        order = await http.get(placed.headers["Location"], headers=bearer)
        return order.status_code == 200 and order.json()["state"] == outcome

    await until(ended, within_s=WAIT_S)


async def _token_of_link(shop: InMemoryShop, path: str) -> str:
    """The token in the newest mailed link to a page."""
    await until(lambda: any(path in link for link in shop.links(EMAIL)), within_s=WAIT_S)
    [link, *_] = [link for link in shop.links(EMAIL) if path in link]
    return unquote(link.rpartition("=")[2])
