"""Each handled message's record says when it was sent, received and handled, and when its effect ran."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.core.decision import Context, Decision, RunEffect
from chassis.core.definition import Aggregate, EffectUnavailable, ServiceDefinition
from chassis.messaging.envelope import WireMessage, wrap
from chassis.messaging.message import Message
from chassis.runtime import Runtime
from chassis.store.protocol import Handled, HandlingTimes
from contracts import payments
from contracts.catalog import CATALOG
from tests.simulation import virtual_time
from tests.simulation.virtual_time import BEGINNING
from tests.support.eventually import until

ORDER = UUID(int=7)
EFFECT_S, QUEUED_S = 3.0, 5.0


class Service:
    """A service with one effect of three seconds.

    Its decider has a bug for `buggy_s` seconds, and the effect is unavailable as often as `outages`.
    """

    def __init__(self, *, buggy_s: float = 0.0, outages: int = 0) -> None:
        self.buggy_s, self.outages = buggy_s, outages
        aggregate = Aggregate(
            "payments", HandlingTimes(), self.decide, (payments.Authorize,), key=lambda message: "p"
        )
        self.definition = ServiceDefinition("payment_svc", (aggregate,), catalog=CATALOG)
        self.broker = MemoryBroker(build([self.definition]))
        self.store = MemoryStore()
        self.runtime = Runtime(
            self.definition,
            MemoryBus(self.broker, "payment_svc"),
            self.store,
            effects=self.effects,
            clock=virtual_time.now,
        )

    def decide(
        self, state: HandlingTimes, message: Message | str, _: Context[Any]
    ) -> Decision[HandlingTimes] | RunEffect:
        if isinstance(message, str):
            return Decision(replace(state, postponed=1))
        if virtual_time.now() < after(self.buggy_s):
            raise KeyError("a bug")
        return RunEffect("authorize")

    def effects(self, _: Runtime) -> Any:
        return _Effects(self)

    async def handled(self, **changes: Any) -> Handled:
        """Send the command; it waits in its queue for five seconds before the service starts."""
        await MemoryBus(self.broker, "payment_svc").publish([replace(_command(), **changes)])
        await asyncio.sleep(QUEUED_S)
        await self.runtime.start()
        [handled] = await until(self._records, within_s=10_000)
        await self.runtime.kill()
        return handled

    async def _records(self) -> list[Handled]:
        return [each for _, records in await self.store.journey("payments", "p") for each in records]


class _Effects:
    def __init__(self, service: Service) -> None:
        self._service = service

    async def __aenter__(self) -> Any:
        return self.run

    async def __aexit__(self, *_: object) -> None: ...

    async def run(self, effect: object, first_sent_at: datetime) -> str:
        await asyncio.sleep(EFFECT_S)
        if self._service.outages:
            self._service.outages -= 1
            raise EffectUnavailable("the provider is away")
        return "authorized"


def _command() -> WireMessage:
    command = payments.Authorize(order_id=ORDER)
    envelope = wrap(command, id="m", source="payment_svc", now=virtual_time.now())
    return replace(envelope.wire_message(CATALOG), user_id="payment_svc")


def play(*, buggy_s: float = 0.0, outages: int = 0, time: str = "") -> Handled:
    """What is recorded of one message. `time`: the sender's header, instead of the true time."""

    async def story() -> Handled:
        changes = {"headers": {**_command().headers, "time": time}} if time else {}
        return await Service(buggy_s=buggy_s, outages=outages).handled(**changes)

    return virtual_time.play(story())


def after(seconds: float) -> datetime:
    return BEGINNING + timedelta(seconds=seconds)


def test_a_record_separates_queue_effect_and_handling() -> None:
    handled = play()
    assert handled.at == after(QUEUED_S + EFFECT_S)
    assert handled.times == HandlingTimes(
        sent_at=BEGINNING,
        received_at=after(QUEUED_S),
        effect_began_at=after(QUEUED_S),
        effect_ended_at=after(QUEUED_S + EFFECT_S),
    )


def test_a_record_counts_failed_attempts_and_the_delivery_that_succeeded() -> None:
    times = play(buggy_s=QUEUED_S + 10).times
    assert (times.failed_attempts, times.postponed) == (2, 0)
    assert times.sent_at == BEGINNING
    assert times.received_at is not None and times.received_at >= after(QUEUED_S + 5 + 60)


def test_a_record_counts_waits_for_an_external_service() -> None:
    times = play(outages=1).times
    assert (times.failed_attempts, times.postponed) == (0, 1)
    assert times.effect_began_at is not None and times.effect_began_at >= after(QUEUED_S + EFFECT_S + 5)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-01-01T02:00:00+02:00", BEGINNING),
        ("yesterday", None),
        ("2026-01-01T00:00:00", None),
        ("9999-12-31T23:59:59-23:00", None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_an_unreadable_time_of_a_sender_is_recorded_as_unknown(written: str, read: datetime | None) -> None:
    """UTC has no such time as the last two, and a database could not store them."""
    assert play(time=written).times.sent_at == read


def test_a_sent_time_is_recorded_in_utc() -> None:
    sent_at = play(time="2026-01-01T02:00:00+02:00").times.sent_at
    assert sent_at is not None and sent_at.tzinfo is UTC
