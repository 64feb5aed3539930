"""The card provider: one effect per key, and a missing response is never taken for a result."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from chassis.bus.memory import MemoryStore
from chassis.core.definition import EffectUnavailable
from chassis.messaging.identity import new_id
from chassis.store.mongodb import MongoStore
from chassis.store.protocol import Change, Loaded
from contracts.payments import DeclineReason
from contracts.values import Money
from payment_svc import payment as card
from payment_svc.ledger import LedgerEntry, Outcome
from payment_svc.provider import Provider, ProviderRefused, ProviderUnavailable, effect_handler
from payment_svc.simulator import SimulatedProvider
from tests.simulation import virtual_time

TOTAL = Money(amount_minor=4_200, currency="EUR")
MORE = Money(amount_minor=4_201, currency="EUR")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class CountingStore(MemoryStore):
    """Counts the round trips to the database, and can lose a race."""

    def __init__(self) -> None:
        super().__init__()
        self.loads = self.saves = self.races_to_lose = 0

    async def load(self, kind: str, keys: Collection[str]) -> dict[str, Loaded]:
        self.loads += 1
        return await super().load(kind, keys)

    async def save(self, changes: Sequence[Change], *, together: bool = False) -> bool:
        self.saves += 1
        if self.races_to_lose:
            self.races_to_lose -= 1
            return False
        return await super().save(changes, together=together)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def provider(store: CountingStore) -> SimulatedProvider:
    return SimulatedProvider(store)


def asking(provider: Provider) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    """Requests as payment_svc does, at once. Timeouts run in virtual time."""
    ask = effect_handler(provider, lambda: NOW, call_s_max=30, backoff_s_max=0.001)

    async def asked(card_request: Any) -> Any:
        return await ask(card_request, NOW)

    return asked


def authorization(token: str = "tok_visa_4242", amount: Money = TOTAL) -> card.AuthorizeCard:
    order_id = new_id()
    return card.AuthorizeCard(f"{order_id}:authorize", order_id, amount, token)


def capture(of: card.Authorized, amount: Money = TOTAL, key: str = "c") -> card.CaptureAmount:
    return card.CaptureAmount(f"{of.reference}:{key}", of.reference, amount)


def void(of: card.Authorized) -> card.VoidAuthorization:
    return card.VoidAuthorization(f"{of.reference}:v", of.reference, of.reference.removeprefix("sim:"))


def refund(of: card.Authorized, amount: Money = TOTAL, key: str = "r") -> card.RefundAmount:
    return card.RefundAmount(f"{of.reference}:{key}", of.reference, amount)


async def authorized(provider: SimulatedProvider, token: str = "tok_visa_4242") -> card.Authorized:
    response = await asking(provider)(authorization(token))
    assert isinstance(response, card.Authorized)
    return response


async def entries(provider: SimulatedProvider) -> list[LedgerEntry]:
    return [entry for _, entry in await provider.ledger("", 1_000)]


async def test_a_repeated_key_gives_one_entry_and_one_result(provider: SimulatedProvider) -> None:
    card_request = authorization()
    first, second = await provider.authorize(card_request), await provider.authorize(card_request)
    assert first == second
    assert len(await entries(provider)) == 1


async def test_the_same_key_at_the_same_moment_is_one_entry(provider: SimulatedProvider) -> None:
    card_request = authorization()
    responses = await asyncio.gather(*(provider.authorize(card_request) for _ in range(20)))
    assert all(response == responses[0] for response in responses)
    assert len(await entries(provider)) == 1


async def test_an_idempotency_key_reused_for_another_request_is_rejected(provider: SimulatedProvider) -> None:
    card_request = authorization()
    await provider.authorize(card_request)
    other = card.AuthorizeCard(card_request.key, card_request.order_id, MORE, card_request.card_token)
    with pytest.raises(ProviderRefused):
        await asking(provider)(other)
    assert [entry.amount for entry in await entries(provider)] == [TOTAL]


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("tok_declined", DeclineReason.REFUSED),
        ("tok_no_funds", DeclineReason.INSUFFICIENT_FUNDS),
        ("tok_expired", DeclineReason.EXPIRED_CARD),
    ],
)
async def test_a_decline_is_final(provider: SimulatedProvider, token: str, reason: DeclineReason) -> None:
    card_request = authorization(token)
    assert await asking(provider)(card_request) == card.Declined(reason)
    assert await asking(provider)(card_request) == card.Declined(reason)


def test_an_unanswered_effect_is_looked_up_and_done_once(provider: SimulatedProvider) -> None:
    response = virtual_time.play(asking(provider)(authorization("tok_timeout_done")))
    assert isinstance(response, card.Authorized)
    assert virtual_time.play(asking(provider)(capture(response))) == card.Captured(response.reference, TOTAL)
    found = {entry.effect: entry for entry in virtual_time.play(entries(provider))}
    assert list(found) == ["authorize", "capture"]
    assert found["authorize"].captured_minor == TOTAL.amount_minor


def test_an_effect_found_by_lookup_is_not_requested_again(
    provider: SimulatedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[card.AuthorizeCard] = []

    async def counted(card_request: card.AuthorizeCard) -> dict[str, object]:
        asked.append(card_request)
        return await SimulatedProvider.authorize(provider, card_request)

    monkeypatch.setattr(provider, "authorize", counted)
    virtual_time.play(asking(provider)(authorization("tok_timeout_done")))
    assert len(asked) == 1


async def test_a_call_that_failed_without_effect_is_repeated(
    provider: SimulatedProvider,
) -> None:
    card_request = authorization("tok_flaky")
    with pytest.raises(ProviderUnavailable):
        await provider.authorize(card_request)
    assert await provider.find(card_request.key) is None
    response = await asking(provider)(authorization("tok_flaky"))
    assert isinstance(response, card.Authorized)


def test_a_provider_that_stays_silent_is_unavailable_and_declines_nothing(
    provider: SimulatedProvider,
) -> None:
    with pytest.raises(EffectUnavailable):
        virtual_time.play(asking(provider)(authorization("tok_down")))
    assert virtual_time.play(entries(provider)) == []


async def test_a_provider_without_its_database_is_unavailable(
    provider: SimulatedProvider, store: CountingStore
) -> None:
    store.away = True
    with pytest.raises(EffectUnavailable):
        await asking(provider)(authorization())


def test_a_slow_response_is_awaited(provider: SimulatedProvider) -> None:
    response = virtual_time.play(asking(provider)(authorization("tok_slow")))
    assert isinstance(response, card.Authorized)


async def test_no_more_is_captured_than_was_authorised(provider: SimulatedProvider) -> None:
    held = await authorized(provider)
    ask = asking(provider)
    assert isinstance(await ask(capture(held, MORE)), card.CaptureRefused)
    assert await ask(capture(held, key="again")) == card.Captured(held.reference, TOTAL)
    assert isinstance(await ask(capture(held, key="twice")), card.CaptureRefused)


async def test_an_issuer_may_refuse_the_capture_of_what_it_authorised(provider: SimulatedProvider) -> None:
    held = await authorized(provider, "tok_capture_refused")
    response = await asking(provider)(capture(held))
    assert isinstance(response, card.CaptureRefused)
    assert await asking(provider)(capture(held)) == response


async def test_a_capture_after_a_void_is_refused(provider: SimulatedProvider) -> None:
    held = await authorized(provider)
    assert await asking(provider)(void(held)) == card.Voided(held.reference, TOTAL)
    assert isinstance(await asking(provider)(capture(held)), card.CaptureRefused)


async def test_what_is_captured_cannot_be_voided(provider: SimulatedProvider) -> None:
    held = await authorized(provider)
    await provider.capture(capture(held))
    with pytest.raises(ProviderRefused):
        await provider.void(void(held))


async def test_a_refund_requested_twice_is_made_once(provider: SimulatedProvider) -> None:
    held = await authorized(provider)
    await provider.capture(capture(held))
    ask = asking(provider)
    assert await ask(refund(held)) == await ask(refund(held)) == card.Refunded(held.reference, TOTAL)
    counted = next(entry for entry in await entries(provider) if entry.effect == "authorize")
    assert (counted.captured_minor, counted.refunded_minor) == (4_200, 4_200)
    with pytest.raises(ProviderRefused):
        await provider.refund(refund(held, key="another"))


async def test_nothing_is_done_with_an_authorisation_that_does_not_exist(provider: SimulatedProvider) -> None:
    nowhere = card.Authorized("sim:nowhere", TOTAL)
    declined = authorization("tok_declined")
    await provider.authorize(declined)
    for missing in (nowhere, card.Authorized(f"sim:{declined.key}", TOTAL)):
        for call in (
            provider.capture(capture(missing)),
            provider.void(void(missing)),
            provider.refund(refund(missing)),
        ):
            with pytest.raises(ProviderRefused):
                await call


async def test_concurrent_calls_share_reads_and_writes(
    provider: SimulatedProvider, store: CountingStore
) -> None:
    card_requests = [authorization() for _ in range(200)]
    responses = await asyncio.gather(*(asking(provider)(card_request) for card_request in card_requests))
    assert all(isinstance(response, card.Authorized) for response in responses)
    assert len(await entries(provider)) == 200
    assert store.loads == store.saves <= 4


async def test_a_failing_call_does_not_fail_concurrent_ones(provider: SimulatedProvider) -> None:
    held = await authorized(provider)
    ask = asking(provider)
    calls: list[Any] = [ask(capture(card.Authorized("sim:nowhere", TOTAL))), ask(capture(held))]
    wrong, right = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(wrong, ProviderRefused)
    assert right == card.Captured(held.reference, TOTAL)


async def test_a_lost_race_is_run_again(provider: SimulatedProvider, store: CountingStore) -> None:
    store.races_to_lose = 2
    held = await authorized(provider)
    assert store.saves == 3
    store.races_to_lose = 2
    assert await asking(provider)(capture(held)) == card.Captured(held.reference, TOTAL)
    outcomes = [entry.outcome for entry in await entries(provider)]
    assert outcomes == [Outcome.AUTHORIZED, Outcome.CAPTURED]


async def test_a_restarted_provider_knows_what_it_did(
    provider: SimulatedProvider, store: CountingStore
) -> None:
    card_request = authorization()
    first = await provider.authorize(card_request)
    restarted = SimulatedProvider(store)
    assert await restarted.find(card_request.key) == await restarted.authorize(card_request) == first


@pytest.mark.real
async def test_two_providers_on_one_real_ledger_do_everything_once(
    real_infrastructure: Any, database_prefix: str
) -> None:
    stores = [MongoStore(real_infrastructure.mongo_url, f"{database_prefix}card_provider") for _ in range(2)]
    providers = [SimulatedProvider(store) for store in stores]
    asks = [asking(provider) for provider in providers]
    try:
        for provider in providers:
            await provider.start()
        card_requests = [authorization() for _ in range(50)]
        held = await asyncio.gather(*(ask(card_request) for card_request in card_requests for ask in asks))
        assert held[::2] == held[1::2]
        captures = [capture(authorized) for authorized in held[::2]]
        taken = await asyncio.gather(*(ask(card_request) for card_request in captures for ask in asks))
        assert all(isinstance(response, card.Captured) for response in taken)
        kept = await entries(providers[0])
        assert len(kept) == 100
        assert {entry.captured_minor for entry in kept if entry.effect == "authorize"} == {TOTAL.amount_minor}
    finally:
        for provider in providers:
            await provider.stop()
