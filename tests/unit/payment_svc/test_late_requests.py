"""A provider forgets its keys after a day: from then on an effect is only looked up,
never requested again.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.protocol import Subscription
from chassis.bus.retry_ladder import RetryLadder
from chassis.bus.topology import build
from chassis.core.definition import EffectUnavailable
from chassis.messaging.envelope import OPERATOR, WireMessage, wrap
from chassis.messaging.identity import new_id
from chassis.messaging.message import Message
from chassis.messaging.origin import HANDED_BACK, Origin
from chassis.runtime import Runtime
from contracts import payments
from contracts.catalog import CATALOG
from payment_svc import payment as card
from payment_svc.payment import CardRequest, CardResult
from payment_svc.provider import effect_handler
from payment_svc.service import payment_service
from payment_svc.simulator import SimulatedProvider
from payment_svc.wiring import with_simulator
from tests.support.eventually import until
from tests.support.messages import CANCELLED, ORDER, PLACED, RESERVED, TOTAL

LADDER = RetryLadder().names

EMITTED = datetime(2026, 3, 1, 12, tzinfo=UTC)
THREE_DAYS = timedelta(days=3)
COMMANDS = payment_service().commands_queue

AUTHORIZE = card.AuthorizeCard(f"{ORDER}:authorize", ORDER, TOTAL, "tok_visa_4242")
REFERENCE = f"sim:{AUTHORIZE.key}"
CAPTURE = card.CaptureAmount(f"{ORDER}:capture", REFERENCE, TOTAL)
VOID = card.VoidAuthorization(f"{ORDER}:void", REFERENCE, AUTHORIZE.key)
REFUND = card.RefundAmount(f"{ORDER}:refund", REFERENCE, TOTAL)


class Forgetful(SimulatedProvider):
    """Counts its requests: any request after a day would be executed a second time."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.put: list[str] = []

    async def _call(self, card_request: CardRequest) -> dict[str, object]:
        self.put.append(card_request.key)
        return await super()._call(card_request)


@pytest.fixture
def provider() -> Forgetful:
    return Forgetful()


async def asked(provider: Forgetful, card_request: CardRequest, age: timedelta) -> CardResult:
    """The result of a request whose command has this age. Earlier requests are not counted."""
    provider.put.clear()
    ask = effect_handler(provider, lambda: EMITTED + age, call_s_max=60, backoff_s_max=0.001)
    response: CardResult = await ask(card_request, EMITTED)
    return response


_PAST = [(AUTHORIZE,), (AUTHORIZE, CAPTURE), (AUTHORIZE, VOID), (AUTHORIZE, CAPTURE, REFUND)]


@pytest.mark.parametrize("before", _PAST)
async def test_an_effect_made_in_time_is_found_days_later(
    provider: Forgetful, before: tuple[CardRequest, ...]
) -> None:
    responses = [await asked(provider, card_request, timedelta()) for card_request in before]
    assert await asked(provider, before[-1], THREE_DAYS) == responses[-1]
    assert provider.put == []
    assert len(await provider.ledger("", 10)) == len(before)


async def test_a_missing_authorization_is_not_made_days_later(provider: Forgetful) -> None:
    assert await asked(provider, AUTHORIZE, THREE_DAYS) == card.NeverAuthorized()
    assert provider.put == []
    assert await provider.ledger("", 10) == []


async def test_a_missing_capture_is_a_failure_for_staff(
    provider: Forgetful,
) -> None:
    await asked(provider, AUTHORIZE, timedelta())
    assert isinstance(await asked(provider, CAPTURE, THREE_DAYS), card.CaptureRefused)
    assert provider.put == []


@pytest.mark.parametrize("card_request", [VOID, REFUND])
async def test_a_missing_refund_is_left_to_staff(
    provider: Forgetful, card_request: card.VoidAuthorization | card.RefundAmount
) -> None:
    result = await asked(provider, card_request, THREE_DAYS)
    assert isinstance(result, card.NeverDone) and result.key == card_request.key
    assert card_request.key in result.detail and REFERENCE in result.detail
    assert provider.put == []


async def test_a_timeout_of_a_late_lookup_is_no_result(provider: Forgetful) -> None:
    provider.outage = True
    with pytest.raises(EffectUnavailable):
        await asked(provider, AUTHORIZE, THREE_DAYS)


@pytest.mark.parametrize(("hours", "puts"), [(0, 1), (22, 1), (24, 0)])
async def test_a_request_is_made_only_within_its_keys_lifetime(
    provider: Forgetful, hours: int, puts: int
) -> None:
    await asked(provider, AUTHORIZE, timedelta(hours=hours))
    assert len(provider.put) == puts


@pytest.mark.parametrize("time", ["", "yesterday", "2026-03-01T12:00:00"])  # the last one has no time zone
async def test_a_command_without_a_time_counts_as_late(provider: Forgetful, time: str) -> None:
    wrapped = wrap(payments.Authorize(order_id=ORDER), id="1", source="payment_svc", now=EMITTED)
    assert wrapped.sent_at == EMITTED
    response = await effect_handler(provider, lambda: EMITTED, call_s_max=60)(
        AUTHORIZE, replace(wrapped, time=time).sent_at
    )
    assert response == card.NeverAuthorized()
    assert provider.put == []


# the same with a whole service


class Day:
    """payment_svc with its provider and a manual clock."""

    def __init__(self, provider: Forgetful) -> None:
        self.provider = provider
        self.now = EMITTED
        self.broker = MemoryBroker(build([payment_service()]), delay_scale=0.001)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Runtime]:
        _, effects = with_simulator(self.provider)
        bus = MemoryBus(self.broker, "payment_svc")
        runtime = Runtime(payment_service(), bus, MemoryStore(), effects=effects, clock=lambda: self.now)
        await runtime.start()
        try:
            yield runtime
        finally:
            await runtime.kill()

    def deliver(self, *messages: Message) -> None:
        for message in messages:
            wire_message = wrap(message, id=str(new_id()), source=message.OWNER, now=self.now).wire_message(
                CATALOG
            )
            assert self.broker.route(replace(wire_message, user_id=message.OWNER)) is None

    def redrive(self, wire_message: WireMessage) -> None:
        """As an operator does: the same message, to its original queue."""
        back = wire_message.with_route(
            HANDED_BACK, COMMANDS, **Origin.of(wire_message, "payment_svc").headers()
        )
        self.broker.give_back(COMMANDS, [replace(back, user_id=OPERATOR)])

    def emitted(self, contract: type[Message]) -> list[WireMessage]:
        return [
            wire_message for wire_message in self.broker.tapped if wire_message.routing_key == contract.TYPE
        ]


async def status(runtime: Runtime) -> Any:
    state = (await runtime.store.load("payments", [str(ORDER)]))[str(ORDER)].state
    return state and state["status"]


def commands(runtime: Runtime) -> Subscription:
    """The commands queue; the service subscribes to its queues of events first."""
    return runtime._subscriptions[len(runtime.service.events_queues)]


async def test_a_late_redrive_of_authorize_only_looks_up(
    provider: Forgetful,
) -> None:
    """The authorisation was made, but a crash lost the response, and the command was dead-lettered."""
    day = Day(provider)
    async with day.running() as runtime:
        await commands(runtime).pause()
        day.deliver(PLACED, RESERVED)
        await until(lambda: len(day.emitted(payments.Authorize)) == 1)
        authorize = day.broker.queues[COMMANDS].popleft()
        await provider.authorize(AUTHORIZE)
        day.now += THREE_DAYS
        provider.put.clear()
        await commands(runtime).resume()
        day.redrive(authorize)
        await until(lambda: len(day.emitted(payments.PaymentAuthorized)) == 1)
    assert provider.put == []
    assert len(await provider.ledger("", 10)) == 1


async def test_after_a_long_outage_ended_orders_are_not_authorized(
    provider: Forgetful,
) -> None:
    day = Day(provider)
    provider.outage = True
    async with day.running() as runtime:
        day.deliver(PLACED, RESERVED)
        await until(lambda: any(wire_message.exchange in LADDER for wire_message in day.broker.tapped))
        # otherwise a request of today would get its result in three days
        await commands(runtime).pause()
        await until(lambda: runtime._dispatcher is not None and not runtime._dispatcher.in_flight)
        day.deliver(CANCELLED)
        day.now += THREE_DAYS
        provider.put.clear()
        provider.outage = False
        await commands(runtime).resume()
        await until(lambda: status(runtime), lambda found: found == "dropped")
    assert await provider.ledger("", 10) == []
    assert day.broker.dead("payment_svc") == []
