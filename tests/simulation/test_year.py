"""A year in virtual time: ended aggregates expire, and old messages that are sent again have no effect."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chassis import telemetry
from chassis.core.definition import ServiceDefinition, TooOld
from chassis.messaging.envelope import WireMessage
from chassis.messaging.origin import HANDED_BACK, Origin
from chassis.settings import UNDER_WAY_MAX
from contracts import orders
from contracts.catalog import NAMES
from contracts.http.inventory import ReservationStatus as Goods
from contracts.http.orders import OrderStatus
from contracts.values import ReturnTo
from order_svc.decider import RETURN_WINDOW
from tests.simulation import invariants, scenarios, virtual_time
from tests.simulation.faults import Listed
from tests.simulation.scenarios import SAGA, TEA, cancelling, order_id, piece, placing, refunding
from tests.simulation.world import OPERATOR, TOPOLOGY, Size, World

KEPT = timedelta(days=60)  # the minimum that can be configured
WEEKS, WEEK_S = 52, 7 * 86_400.0
AGAIN = 40  # old messages per week that are sent again
LEFT_MAX = KEPT.days // 7 + 2  # the orders of this many weeks are still stored
WAITING = 900  # an order that is confirmed and never dispatched


@pytest.fixture(autouse=True)
def quiet() -> None:
    telemetry.configure("critical", pretty=False)


def expiring(service: ServiceDefinition) -> ServiceDefinition:
    kept = (replace(each, ttl=KEPT) if each.ttl else each for each in service.aggregates)
    return replace(service, aggregates=tuple(kept))


def play(act: Callable[[World], Awaitable[None]]) -> None:
    async def go() -> None:
        services = {name: expiring(service) for name, service in SAGA.items()}
        world = World(Listed(), Size(services), invariants.Monitor())
        try:
            await scenarios.stocked(world)
            await world.open()
            await act(world)
        finally:
            await world.close()

    random.seed(0)  # for the backoffs
    virtual_time.play(go())


async def one_order(world: World, number: int) -> None:
    """One of four outcomes: declined, cancelled before it is placed, cancelled after it is confirmed,
    or dispatched.
    """
    card = "tok_declined" if number % 4 == 0 else "tok_visa"
    if number % 4 == 1:
        await world.send(cancelling(number))
    await world.send(placing(world, number, TEA, card=card))
    await settled(world)
    if number % 4 == 2:
        await world.send(cancelling(number))
    if number % 4 == 3:
        await world.send(orders.DispatchOrder(order_id=order_id(number)), OPERATOR)
    await settled(world)


async def settled(world: World) -> None:
    await asyncio.sleep(0.1)
    await world.rest()


async def come_again(world: World, chances: random.Random) -> None:
    """Send old messages again, directly to the queues that had them: as late copies,
    or as an operator's backfill.
    """
    emitted = [
        wire_message
        for wire_message in world.broker.tapped
        if wire_message.exchange in (NAMES.commands, NAMES.events)
    ]
    for wire_message in chances.sample(emitted, min(AGAIN, len(emitted))):
        by_operator = chances.random() < 0.5
        for queue in TOPOLOGY.bound(wire_message.exchange, wire_message.routing_key):
            if queue.partition(".")[0] in world.disks:
                world.broker.give_back(
                    queue, [emitted_again(wire_message, queue) if by_operator else wire_message]
                )
    await settled(world)


def emitted_again(wire_message: WireMessage, queue: str) -> WireMessage:
    """The message as an operator republishes it in a backfill."""
    origin = Origin.of(wire_message, queue.partition(".")[0])
    return replace(wire_message.with_route(HANDED_BACK, queue, **origin.headers()), user_id=OPERATOR)


def effects(world: World) -> tuple[Any, ...]:
    """All that is visible outside, or to another service."""
    message_ids = {
        wire_message.message_id
        for wire_message in world.broker.tapped
        if wire_message.exchange in (NAMES.commands, NAMES.events)
    }
    states = {name: disk.everything() for name, disk in world.disks.items()}
    return message_ids, dict(world.provider.book), dict(world.post.taken), states


def a_week_passes(world: World) -> int:
    world.jump(WEEK_S)
    return sum(disk.expire(world.clock()) for disk in world.disks.values())


def dead(world: World) -> list[WireMessage]:
    return [wire_message for name in world.disks for wire_message in world.broker.dead(name)]


def test_old_messages_do_nothing_after_their_aggregate_expired() -> None:
    async def year(world: World) -> None:
        chances, gone = random.Random(1), 0
        for week in range(1, WEEKS + 1):
            await one_order(world, week)
            before = effects(world)
            await come_again(world, chances)
            assert effects(world) == before, f"in week {week}"
            gone += a_week_passes(world)
        assert gone > WEEKS * 3
        for name, kinds in effects(world)[3].items():
            for kind in set(kinds) - {"shelves", "prices"}:
                most = LEFT_MAX * (3 if kind == "mails" else 1)
                assert len(kinds[kind]) <= most, f"{name} keeps {len(kinds[kind])} {kind}"
        dead_letters = dead(world)
        assert dead_letters and {dead_letter.headers["error_type"] for dead_letter in dead_letters} == {
            TooOld.__name__
        }
        await redriven(world)

    play(year)


async def redriven(world: World) -> None:
    """Redrive all dead letters months later: each is too old again, and has no effect."""
    world.jump(90 * 86_400.0)
    before, dead_letters = effects(world), dead(world)
    for name in world.disks:
        for dead_letter in world.broker.take_dead(name):
            world.broker.give_back(
                dead_letter.origin_queue, [replace(dead_letter.original_message, user_id=OPERATOR)]
            )
    await settled(world)
    assert effects(world) == before and len(dead(world)) == len(dead_letters)


def the_days_pass(world: World, days: int) -> None:
    world.jump(days * 86_400.0)
    for disk in world.disks.values():
        disk.expire(world.clock())


async def a_dispatched_order(world: World, number: int) -> None:
    await world.send(placing(world, number, TEA))
    await settled(world)
    await world.send(orders.DispatchOrder(order_id=order_id(number)), OPERATOR)
    await settled(world)


def test_no_reservation_expires_while_its_goods_may_come_back() -> None:
    """The last refund in time is decided on the last day, and waits for inventory_svc for as long as it may.

    A day later only an amount is refunded, also of an order whose reservation has expired.
    """

    async def weeks(world: World) -> None:
        for number in (1, 2):
            await a_dispatched_order(world, number)
        back = (piece(TEA, ReturnTo.STOCK),)
        the_days_pass(world, RETURN_WINDOW.days - 1)
        world.take_down("inventory_svc", (UNDER_WAY_MAX - timedelta(hours=1)).total_seconds())
        await world.send(refunding(1, 1, 100, back), OPERATOR)
        await asyncio.sleep(60)
        the_days_pass(world, 2)
        await world.send(refunding(2, 2, 100, back), OPERATOR)
        await world.send(refunding(2, 3, 100), OPERATOR)
        await asyncio.sleep(60)
        the_days_pass(world, UNDER_WAY_MAX.days - 2)
        await settled(world)
        states = effects(world)[3]
        assert states["inventory_svc"]["shelves"][TEA]["sold"] == 1
        assert refund_statuses(world, 1) == ["done"] and refund_statuses(world, 2) == ["done"]
        the_days_pass(world, 10)
        assert str(order_id(2)) not in effects(world)[3]["inventory_svc"]["reservations"]
        await world.send(refunding(2, 4, 100, back), OPERATOR)
        await world.send(refunding(2, 5, 100), OPERATOR)
        await settled(world)
        assert refund_statuses(world, 2) == ["done", "done"]
        refused = [each for each in world.broker.tapped if each.type == orders.RefundNotPossible.TYPE]
        assert len(refused) == 2 and all(b"return_window_ended" in each.body for each in refused)
        assert not dead(world)

    play(weeks)


def refund_statuses(world: World, number: int) -> list[str]:
    stored = effects(world)[3]["order_svc"]["orders"][str(order_id(number))]
    return [refund["status"] for refund in stored["refunds"]]


def test_unfinished_aggregates_do_not_expire() -> None:
    """A confirmed order that was never dispatched can be cancelled after a year: its goods return to the
    shelf. Its payment was complete and has expired, so the refund is left to a person, as a dead letter.
    """

    async def year(world: World) -> None:
        await world.send(placing(world, WAITING, TEA))
        await settled(world)
        for _ in range(WEEKS):
            a_week_passes(world)
        states, key = effects(world)[3], str(order_id(WAITING))
        assert states["order_svc"]["orders"][key]["status"] == OrderStatus.CONFIRMED
        assert states["inventory_svc"]["reservations"][key]["status"] == Goods.COMMITTED
        await world.send(cancelling(WAITING))
        await settled(world)
        states = effects(world)[3]
        assert states["order_svc"]["orders"][key]["status"] == OrderStatus.CANCELLED
        assert states["inventory_svc"]["shelves"][TEA]["sold"] == 0
        [dead_letter] = dead(world)
        assert (dead_letter.type, dead_letter.routing_key) == (orders.OrderCancelled.TYPE, "payment_svc")

    play(year)
