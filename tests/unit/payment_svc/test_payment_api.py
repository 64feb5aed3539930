"""The read API of payments and of the provider's ledger."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import APIRouter

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.core.codec import Codec
from chassis.messaging.identity import new_id
from chassis.runtime import Runtime
from chassis.store.protocol import Change
from chassis.web import app
from contracts.http.payments import Hold, PaymentStatus
from contracts.values import Money
from payment_svc import payment as card
from payment_svc.payment import Payment
from payment_svc.provider import ProviderUnavailable
from payment_svc.provider_responses import parse_response
from payment_svc.service import payment_service
from payment_svc.simulator import SimulatedProvider
from payment_svc.wiring import with_simulator

TOTAL = Money(amount_minor=999, currency="EUR")


@pytest.fixture
def provider() -> SimulatedProvider:
    return SimulatedProvider(MemoryStore())


@pytest.fixture
async def runtime() -> Runtime:
    return Runtime(
        payment_service(), MemoryBus(MemoryBroker(build([payment_service()])), "payment_svc"), MemoryStore()
    )


@asynccontextmanager
async def serving(runtime: Runtime, router: APIRouter) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app.create_app(runtime, router))
    async with httpx.AsyncClient(transport=transport, base_url="http://payment_svc") as client:
        yield client


@pytest.fixture
async def client(runtime: Runtime, provider: SimulatedProvider) -> AsyncIterator[httpx.AsyncClient]:
    routes, _ = with_simulator(provider)
    async with serving(runtime, routes(runtime)) as client:
        yield client


async def keep(runtime: Runtime, payment: Payment) -> None:
    key = str(payment.order_id)
    loaded = (await runtime.store.load("payments", [key]))[key]
    await runtime.store.save([Change(loaded, Codec(Payment).dump(payment))])


async def test_a_payment_is_shown_without_its_card(client: httpx.AsyncClient, runtime: Runtime) -> None:
    order_id = new_id()
    await keep(
        runtime,
        Payment(PaymentStatus.CAPTURED, order_id, new_id(), TOTAL, "tok_visa_4242", reference="sim:x"),
    )
    response = await client.get(f"/payments/{order_id}")
    assert response.json()["status"] == "captured"
    assert response.json()["total"] == {"amount_minor": 999, "currency": "EUR"}
    assert "tok_visa_4242" not in response.text


async def test_an_unknown_payment_is_a_problem_404(client: httpx.AsyncClient) -> None:
    response = await client.get(f"/payments/{new_id()}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


async def test_payments_come_in_pages_by_status_newest_first(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    captured = [Payment(PaymentStatus.CAPTURED, new_id()) for _ in range(3)]
    for payment in (*captured, Payment(PaymentStatus.VOIDED, new_id())):
        await keep(runtime, payment)
    first = (await client.get("/payments", params={"status": "captured", "limit": 2})).json()
    rest = (
        await client.get("/payments", params={"status": "captured", "limit": 2, "after": first["next"]})
    ).json()
    seen = [item["order_id"] for item in first["items"] + rest["items"]]
    assert seen == sorted((str(payment.order_id) for payment in captured), reverse=True)
    assert rest["next"] is None


@pytest.mark.parametrize("query", [{"status": "paid"}, {"limit": 0}, {"limit": 501}, {"after": "x"}])
async def test_a_query_that_makes_no_sense_is_refused(
    client: httpx.AsyncClient, query: dict[str, str]
) -> None:
    assert (await client.get("/payments", params=query)).status_code == 422


async def test_the_ledger_shows_what_the_provider_did(
    client: httpx.AsyncClient, provider: SimulatedProvider
) -> None:
    order_id = new_id()
    card_request = card.AuthorizeCard(f"{order_id}:authorize", order_id, TOTAL, "tok_visa_4242")
    held = parse_response(card_request, await provider.authorize(card_request))
    assert isinstance(held, card.Authorized)
    await provider.capture(card.CaptureAmount(f"{order_id}:capture", held.reference, TOTAL))
    first = (await client.get("/provider/ledger", params={"limit": 1})).json()
    rest = (await client.get("/provider/ledger", params={"after": first["next"]})).json()
    assert [(item["key"], item["effect"], item["outcome"]) for item in first["items"] + rest["items"]] == [
        (f"{order_id}:authorize", "authorize", "authorized"),
        (f"{order_id}:capture", "capture", "captured"),
    ]
    assert {item["reference"] for item in first["items"] + rest["items"]} == {held.reference}
    assert rest["next"] is None


async def test_an_outage_is_begun_and_ended_while_the_provider_runs(
    runtime: Runtime, provider: SimulatedProvider
) -> None:
    routes, _ = with_simulator(provider, faults=True)
    card_request = card.AuthorizeCard("k", new_id(), TOTAL, "tok_visa_4242")
    async with serving(runtime, routes(runtime)) as client:
        assert (await client.put("/provider/outage")).status_code == 204
        for silent in (provider.authorize(card_request), provider.find("k")):
            with pytest.raises(ProviderUnavailable):
                await silent
        assert (await client.get("/provider/ledger")).json()["items"] == []
        assert (await client.delete("/provider/outage")).status_code == 204
        assert isinstance(
            parse_response(card_request, await provider.authorize(card_request)), card.Authorized
        )


async def test_there_is_no_such_switch_unless_faults_are_allowed(
    runtime: Runtime, provider: SimulatedProvider
) -> None:
    routes, _ = with_simulator(provider)
    async with serving(runtime, routes(runtime)) as client:
        assert (await client.put("/provider/outage")).status_code == 404
    assert not provider.outage


async def test_payments_that_need_staff_are_listed_whatever_their_status(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    need_staff = [
        Payment(PaymentStatus.FAILED, new_id(), new_id(), TOTAL),
        Payment(PaymentStatus.NEEDS_RECONCILIATION, new_id(), new_id(), TOTAL, hold=Hold.UNCLEAR),
        Payment(PaymentStatus.CAPTURED, new_id(), new_id(), TOTAL, hold=Hold.UNCLEAR),
    ]
    others = [
        Payment(PaymentStatus.CAPTURED, new_id(), new_id(), TOTAL, hold=hold)
        for hold in (None, Hold.RELEASING)
    ]
    for payment in (*need_staff, *others):
        await keep(runtime, payment)
    ids = sorted(str(payment.order_id) for payment in need_staff)
    first = (await client.get("/payments", params={"needs_staff": True, "limit": 2})).json()
    assert [item["order_id"] for item in first["items"]] == [ids[2], ids[1]]
    query = {"needs_staff": True, "limit": 2, "after": first["next"]}
    rest = (await client.get("/payments", params=query)).json()
    assert ([item["order_id"] for item in rest["items"]], rest["next"]) == ([ids[0]], None)
    oldest = (await client.get("/payments", params={"needs_staff": True, "oldest_first": True})).json()
    assert [item["order_id"] for item in oldest["items"]] == ids
    holds = {item["order_id"]: item["hold"] for item in oldest["items"]}
    assert holds == {str(payment.order_id): payment.hold for payment in need_staff}
