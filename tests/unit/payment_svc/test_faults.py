"""The faults of the card provider that staff can switch on."""

import asyncio

import pytest

from chassis.bus.memory import MemoryStore
from chassis.fault_switches import FaultSwitches
from chassis.messaging.identity import new_id
from contracts.payments import DeclineReason
from contracts.values import Money
from payment_svc import payment as card
from payment_svc.application import build
from payment_svc.faults import provider_faults
from payment_svc.provider_responses import parse_response
from payment_svc.settings import PaymentSettings
from payment_svc.simulator import SLOW_S, SimulatedProvider

TOTAL = Money(amount_minor=2990, currency="EUR")


class FaultyProvider:
    """A simulated provider with its switches."""

    def __init__(self) -> None:
        self.provider = SimulatedProvider(MemoryStore())
        self.switches = FaultSwitches(provider_faults(self.provider))

    async def authorize(self, key: str = "k") -> card.CardResult:
        request = card.AuthorizeCard(key, self.order_id, TOTAL, "tok_visa")
        return parse_response(request, await self.provider.authorize(request))

    order_id = new_id()


@pytest.fixture
async def faulty() -> FaultyProvider:
    made = FaultyProvider()
    await made.provider.start()
    return made


async def test_a_declining_provider_declines_and_keeps_to_it(faulty: FaultyProvider) -> None:
    await faulty.switches.turn_on("provider-declining")
    declined = await faulty.authorize()
    assert declined == card.Declined(DeclineReason.REFUSED)
    await faulty.switches.turn_off("provider-declining")
    assert await faulty.authorize() == declined, "the same key has the same result"
    assert isinstance(await faulty.authorize("another"), card.Authorized)
    await faulty.switches.close()


async def test_a_silent_provider_does_nothing(faulty: FaultyProvider) -> None:
    await faulty.switches.turn_on("provider-silent")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await faulty.authorize()
    assert await faulty.provider.ledger("", 10) == []
    await faulty.switches.turn_off("provider-silent")
    assert isinstance(await faulty.authorize(), card.Authorized)
    await faulty.switches.close()


async def test_a_slow_provider_responds_later(faulty: FaultyProvider) -> None:
    await faulty.switches.turn_on("provider-slow")
    begin = asyncio.get_running_loop().time()
    assert isinstance(await faulty.authorize(), card.Authorized)
    assert asyncio.get_running_loop().time() - begin >= SLOW_S
    await faulty.switches.close()


async def test_the_application_has_all_provider_faults() -> None:
    settings = PaymentSettings(amqp_url="amqp://memory", mongo_url="mongodb://memory")
    parts = build(settings, lambda name: MemoryStore())
    assert [fault.name for fault in parts.faults] == [
        "provider-slow", "provider-declining", "provider-silent",
    ]  # fmt: skip
