"""Outages that are too long for real tests: a broker or a service away for minutes, no mail for a day,
a clock jump.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import pytest

from chassis import telemetry
from chassis.core.definition import ServiceDefinition
from contracts import orders
from contracts.http.orders import OrderStatus
from tests.simulation.faults import FaultPoint, Kind, Listed, Moment, Plan
from tests.simulation.instance import LONG_S
from tests.simulation.run import play, play_day
from tests.simulation.scenarios import (
    CUP,
    FOUR,
    SAGA,
    SCENARIOS,
    TEA,
    WHOLE,
    Scenario,
    cancelling,
    order_id,
    placing,
)
from tests.simulation.world import World
from tests.unit.chassis.store.test_stored_by_earlier_versions import LaterOrder

DAY_S = 86_400.0
PAST_EVERY_DEADLINE_S = 10_000.0
ORDERS, MAILS = 20, 3
DAYS, STEPS = 8, 20
# One reminder every half minute, while a delivery takes 200 seconds.
REMINDED_MAX = 7

Act = Callable[[World], Awaitable[None]]
Stage = Callable[..., World]


@pytest.fixture(autouse=True)
def quiet() -> None:
    telemetry.configure("critical", pretty=False)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Run a scenario under a plan; returns the world at rest."""

    def played(act: Act, plan: Plan | None = None, ends: str = OrderStatus.CONFIRMED) -> World:
        worlds: list[World] = []
        monkeypatch.setitem(SCENARIOS, "own", Scenario("own", act, frozenset({ends}), SAGA))
        assert play("own", plan or Listed(), prepare=worlds.append).broken == ""
        return worlds[0]

    return played


def statuses(world: World) -> Counter[str]:
    placed = world.disks["order_svc"].everything()["orders"].values()
    return Counter(order["status"] for order in placed)


@pytest.mark.parametrize("absent", FOUR)
def test_a_ten_minute_service_outage_loses_no_order(absent: str, stage: Stage) -> None:
    async def act(world: World) -> None:
        for number in range(1, ORDERS + 1):
            if number == ORDERS // 4:
                world.take_down(absent, LONG_S)
            await world.send(placing(world, number, TEA, CUP))
            if number % 5 == 0:
                await world.send(cancelling(number))
            await asyncio.sleep(20)

    world = stage(act)
    assert statuses(world) == {
        OrderStatus.CONFIRMED: ORDERS - ORDERS // 5,
        OrderStatus.CANCELLED: ORDERS // 5,
    }


@pytest.mark.parametrize("seconds", [5, 60, 300])
def test_a_broker_outage_under_load_loses_no_order(seconds: int, stage: Stage) -> None:
    async def act(world: World) -> None:
        for number in range(1, ORDERS + 1):
            if number == ORDERS // 4:
                world.broker.away = True
                asyncio.get_running_loop().call_later(seconds, setattr, world.broker, "away", False)
            world.soon(placing(world, number, TEA, CUP))
            await asyncio.sleep(3)

    assert statuses(stage(act)) == {OrderStatus.CONFIRMED: ORDERS}


class NoMailServerForADay:
    """See faults.Plan: the mail server does not respond for a day."""

    def __init__(self) -> None:
        self.refused = 0

    def at(self, fault_point: FaultPoint) -> Kind | None:
        if fault_point.moment is not Moment.MAIL or asyncio.get_running_loop().time() > DAY_S:
            return None
        self.refused += 1
        return Kind.AWAY_NOT_DONE


def test_a_day_without_mail_server_delays_mails_only(
    stage: Stage,
) -> None:
    post = NoMailServerForADay()

    async def act(world: World) -> None:
        for number in range(1, MAILS + 1):
            await world.send(placing(world, number, TEA))
        await asyncio.sleep(60)
        assert statuses(world) == {OrderStatus.CONFIRMED: MAILS}, "mails do not delay orders"
        await asyncio.sleep(DAY_S - 120)
        assert not world.post.taken
        assert not any(world.broker.dead(name) for name in SAGA), "an outage must not dead-letter messages"

    world = stage(act, post)
    assert post.refused > 0
    assert set(world.post.taken.values()) == {1}
    assert {about for about, _ in world.post.taken} == {
        str(order_id(number)) for number in range(1, MAILS + 1)
    }


class LateReminders:
    """See faults.Plan: reminders of deadlines are delivered minutes late."""

    def at(self, fault_point: FaultPoint) -> Kind | None:
        late = fault_point.moment is Moment.DELIVER and fault_point.what.startswith(
            orders.DeadlinePassed.__name__
        )
        return Kind.LATE if late else None


@pytest.mark.parametrize("plan", [Listed(), LateReminders()], ids=["heard at once", "heard late"])
def test_a_clock_jump_cancels_each_overdue_order_once(stage: Stage, plan: Plan) -> None:
    async def act(world: World) -> None:
        world.take_down("payment_svc", PAST_EVERY_DEADLINE_S + LONG_S)
        for number in range(1, ORDERS + 1):
            await world.send(placing(world, number, TEA))
        await asyncio.sleep(5)
        assert statuses(world) == {OrderStatus.PLACED: ORDERS}
        world.jump(PAST_EVERY_DEADLINE_S)

    world = stage(act, plan, ends=OrderStatus.CANCELLED)
    emitted = Counter((wire_message.type, wire_message.message_id) for wire_message in world.broker.tapped)
    cancellations = [times for (type_, _), times in emitted.items() if type_ == orders.OrderCancelled.TYPE]
    reminders = [times for (type_, _), times in emitted.items() if type_ == orders.DeadlinePassed.TYPE]
    assert statuses(world) == {OrderStatus.CANCELLED: ORDERS}
    assert len(reminders) == len(cancellations) == ORDERS
    assert max(*reminders, *cancellations) <= REMINDED_MAX, "a repeated reminder gets the same message again"


class SideBySide(dict[str, ServiceDefinition]):
    """Every second instance of order_svc has a later version,
    which stores an additional field of an order.
    """

    def __init__(self) -> None:
        super().__init__(WHOLE)
        self.begun = 0

    def __getitem__(self, name: str) -> ServiceDefinition:
        service = super().__getitem__(name)
        if name != "order_svc":
            return service
        self.begun += 1
        return later(service) if self.begun % 2 else service


def later(service: ServiceDefinition) -> ServiceDefinition:
    aggregates = tuple(
        replace(each, start=LaterOrder(gift_wrapped=True)) if each.kind == "orders" else each
        for each in service.aggregates
    )
    return replace(service, aggregates=aggregates)


@pytest.mark.parametrize("seed", [2 * day + 1 for day in range(DAYS)])
def test_mixed_versions_end_orders_as_one_version_does(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Odd seeds have two instances of every service."""

    def ended(services: Mapping[str, ServiceDefinition]) -> dict[str, str]:
        worlds: list[World] = []
        monkeypatch.setattr("tests.simulation.run.WHOLE", services)
        assert play_day(seed, STEPS, Listed(), prepare=worlds.append).broken == ""
        placed = worlds[0].disks["order_svc"].everything()["orders"]
        return {key: order["status"] for key, order in placed.items()}

    mixed = SideBySide()
    assert ended(mixed) == ended(WHOLE) != {}
    assert mixed.begun >= 2
