"""A random busy day in the shop, generated from a seed: customers, warehouse, catalogue, accounts,
and faults.
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from chassis.core.execute import execute
from chassis.messaging.envelope import WireMessage
from chassis.messaging.message import Command
from chassis.runtime import Runtime
from chassis.store.protocol import StoreUnavailable
from contracts import inventory, orders, products
from contracts.http.payments import PaymentStatus
from contracts.values import Money, ReturnedLine, ReturnTo
from tests.simulation.faults import Kind, Moment, chance
from tests.simulation.forging_client import forge
from tests.simulation.instance import LONG_S
from tests.simulation.scenarios import (
    CUP,
    PRICE,
    RARE,
    SAMPLE,
    TEA,
    cancelling,
    cancelling_as_staff,
    customer_id,
    order_id,
    piece,
    placing,
    refunding,
    retrying,
    returning,
    settling,
    stocked,
)
from tests.simulation.world import CLIENT, OPERATOR, World
from user_svc.accounts.aggregates import USERS
from user_svc.accounts.user import AccountRuleViolation, Erase, Register

AWAY_S = 60.0
JUMP_S = 2_000.0  # past every deadline, but within the provider's storage of keys
REQUEST_S_MAX = 5.0
CORRECTED = 0.15  # the share of steps at which staff correct the stock, too
TRACKED = 0.5  # the share of dispatches with a tracking reference, whose command may come first
FREE = 0.1  # the share of orders whose total is zero
REPEATED = 0.3  # the share of steps at which a person repeats a command, too
RETURNED = 0.6  # the share of refunds with goods that come back
REVIEWED = 0.3  # the share of steps at which staff decide about an order's payment, too
CARDS = ("tok_visa",) * 8 + ("tok_declined", "tok_capture_refused", "tok_capture_refused_once")


class Day:
    """`steps`: the number of actions by people."""

    def __init__(self, world: World, seed: int, steps: int) -> None:
        self._world = world
        self._seed = seed
        self._steps = steps
        self._placed: list[tuple[int, orders.PlaceOrder]] = []
        self._user_ids: list[UUID] = []
        self._erased_first: set[UUID] = set()
        self._asked: list[tuple[Command, str]] = []  # commands that may be repeated, and who sent them
        self._step = 0

    async def __call__(self) -> None:
        await stocked(self._world)
        await self._world.open()
        for step in range(1, self._steps + 1):
            self._step = step
            self._trouble()
            self._pick("what", self._acts)()
            if self._chance("correct") < CORRECTED:
                self._correct()
            if self._chance("review") < REVIEWED:
                self._review()
            if self._chance("repeat") < REPEATED:
                self._repeat()
            hurried = self._chance("hurry") < 0.7  # so that many actions are nearly simultaneous
            await asyncio.sleep(self._chance("pause") * (0.1 if hurried else 20.0))
        await self._world.rest()
        await self._world.redrive()
        await self._staff_decide()

    # actions of people

    @property
    def _acts(self) -> list[Callable[[], None]]:
        return [
            *[self._order] * 6,
            *[self._cancel] * 3,
            *[self._dispatch] * 2,
            self._order_again,
            self._restock,
            self._change_price,
            self._withdraw,
            self._register,
            self._erase,
        ]

    def _order(self) -> None:
        number = len(self._placed) + 1
        wanted = [sku for sku in (TEA, CUP, RARE) if self._chance(sku) < 0.5] or [TEA]
        card = self._pick("card", CARDS)
        if self._chance("free") < FREE:
            wanted, card = [SAMPLE], orders.NO_CARD
        placed = placing(self._world, number, *wanted, card=card)
        self._placed.append((number, placed))
        self._world.go(self._world.send(placed, CLIENT, f"place-{number}"))

    def _order_again(self) -> None:
        """A client that got no response sends the same order again,
        with the same message id or another one.
        """
        if self._placed:
            number, placed = self._pick("again", self._placed)
            self._world.go(
                self._world.send(placed, CLIENT, f"place-{number}" if self._chance("id") < 0.5 else "")
            )

    def _cancel(self) -> None:
        """Cancel an order, perhaps one that is not placed yet, perhaps as a stranger."""
        number = 1 + int(self._chance("number") * (len(self._placed) + 1))
        self._world.names.setdefault(str(order_id(number)), f"o{number}")
        command = cancelling(number)
        if self._chance("stranger") < 0.1:
            command = orders.CancelOrder(order_id=order_id(number), customer_id=customer_id(number + 1))
        self._ask(command)

    def _dispatch(self) -> None:
        if self._placed:
            number, _ = self._pick("parcel", self._placed)
            self._ask(orders.DispatchOrder(order_id=order_id(number)), OPERATOR)
            if self._chance("tracking") < TRACKED:
                tracking = f"RR{self._step:09}"
                track = orders.RecordTracking(order_id=order_id(number), tracking=tracking)
                self._world.soon(track, OPERATOR)  # never repeated: a later reference replaces it

    def _review(self) -> None:
        """Staff decide about an order's payment; most need no decision, and then it is refused."""
        confirmed = self._world.monitor.confirmed
        if known := [each for each in self._placed if str(each[1].order_id) in confirmed]:
            number, placed = self._pick("reviewed", known)
            decide = self._pick("decision", (retrying, retrying, settling, cancelling_as_staff))
            self._ask(decide(number), OPERATOR)
            returned = self._returned(placed) if self._chance("returned") < RETURNED else ()
            most = PRICE.amount_minor if returned else 2 * PRICE.amount_minor
            part = 1 + int(self._chance("part") * most)
            self._ask(refunding(number, self._step, part, returned), OPERATOR)

    def _returned(self, placed: orders.PlaceOrder) -> tuple[ReturnedLine, ...]:
        """Pieces that may be refunded already, or never were in the order."""
        skus = {*(line.sku for line in placed.lines), self._pick("other", (TEA, CUP))}
        chosen = [sku for sku in sorted(skus) if self._chance(f"returned {sku}") < 0.6]
        return tuple(piece(sku, self._pick(f"to {sku}", list(ReturnTo))) for sku in chosen)

    async def _staff_decide(self) -> None:
        """What no rule can decide.

        Staff return what was paid outside for an order that was cancelled since. They repeat a void that the
        card provider was not asked for in time, because its cause was a dead letter for more than a day.
        """
        stored = self._world.disks["payment_svc"].everything().get("payments", {})
        for number, placed in self._placed:
            payment = stored.get(str(placed.order_id), {})
            if payment.get("status") == PaymentStatus.NEEDS_RECONCILIATION:
                decide = returning if payment["settlements"] else retrying
                await self._world.send(decide(number), OPERATOR)
        await self._world.rest()
        await self._world.redrive()

    def _repeat(self) -> None:
        """A form that is sent again, or a command at a terminal: the same command as another message."""
        if self._asked:
            command, user = self._pick("repeated", self._asked)
            self._world.soon(command, user)

    def _ask(self, command: Command, user: str = CLIENT) -> None:
        self._asked.append((command, user))
        self._world.soon(command, user)

    def _restock(self) -> None:
        receipt = UUID(int=(0x03 << 120) | self._step)
        self._ask(inventory.ReceiveStock(receipt_id=receipt, sku=RARE, quantity=1), OPERATOR)

    def _correct(self) -> None:
        """Correct the stock: of the article that nearly runs out, and of one with plenty."""
        correction = UUID(int=(0x05 << 120) | self._step)
        sku, change = self._pick("correction", ((RARE, 1), (RARE, -1), (CUP, -2)))
        command = inventory.CorrectStock(
            correction_id=correction, sku=sku, change=change, reason=inventory.CorrectionReason.COUNT
        )
        self._ask(command, OPERATOR)

    def _change_price(self) -> None:
        price = Money(amount_minor=PRICE.amount_minor + self._step, currency="EUR")
        listed = products.ListProduct(
            sku=CUP, title="Cup", description="White.", category="cups", price=price
        )
        self._ask(listed, OPERATOR)

    def _withdraw(self) -> None:
        self._ask(products.WithdrawProduct(sku=CUP), OPERATOR)

    def _register(self) -> None:
        user_id = UUID(int=(0x04 << 120) | self._step)
        self._world.names[str(user_id)] = f"u{self._step}"
        self._user_ids.append(user_id)
        at = self._world.clock()
        asked = Register(user_id, f"u{self._step}@example.org", "Ada", "hash", at)
        self._world.go(self._over_http(user_id, asked, "register"))

    def _erase(self) -> None:
        if self._user_ids:
            user_id = self._user_ids.pop(0)
            self._world.go(self._over_http(user_id, Erase(), "erase"))

    async def _over_http(self, user_id: UUID, asked: Any, what: str) -> None:
        """Over HTTP, where nothing is redelivered: a client without a response sends the request again."""
        while True:
            instances = self._world.instances("user_svc")
            with contextlib.suppress(TimeoutError, StoreUnavailable):
                async with asyncio.timeout(REQUEST_S_MAX):
                    if instances and await self._decided(instances[0].runtime, user_id, asked, what):
                        break
            await asyncio.sleep(1.0)
        if user_id in self._erased_first:
            return
        if isinstance(asked, Register):
            self._world.registered.add(str(user_id))
        else:
            self._world.erased.add(f"{self._world.names[str(user_id)]}@example.org")

    async def _decided(self, runtime: Runtime, user_id: UUID, asked: Any, what: str) -> bool:
        try:
            users = next(
                aggregate for aggregate in runtime.service.aggregates if aggregate.kind == USERS.kind
            )
            await execute(runtime, users, str(user_id), asked, message_id=f"{what}-{user_id}")
        except AccountRuleViolation:  # erased before it was registered
            self._erased_first.add(user_id)
        return True

    # faults around them

    def _trouble(self) -> None:
        world, step = self._world, self._step
        loop = asyncio.get_running_loop()
        services = sorted(world.disks)
        which = services[int(self._chance("which") * len(services))]
        match world.plan.at("step", Moment.DAY, f"{step}"):
            case Kind.SERVICE_DOWN:
                world.trace.note(which, "goes", "down")
                world.taken_down[which] += 1
                world.take_down(which, LONG_S)
            case Kind.BROKER_AWAY if not world.broker.away:
                world.trace.note("the broker", "goes", "away")
                world.broker.away = True
                loop.call_later(AWAY_S, partial(setattr, world.broker, "away", False))
            case Kind.DATABASE_AWAY:
                world.trace.note(which, "loses", "its database")
                world.disks[which].away = True
                loop.call_later(AWAY_S, partial(setattr, world.disks[which], "away", False))
            case Kind.CLOCK_JUMPS:
                world.trace.note("the clock", "jumps", f"{JUMP_S:.0f} s")
                world.jump(JUMP_S)
            case Kind.POISON:
                poison = WireMessage(
                    "", f"{which}.events", b"\x00{", f"poison-{step}", "no.such.thing.v1", None, None
                )
                world.broker.poison.add(poison.message_id)
                world.broker.later(0.0, poison.routing_key, poison)
            case Kind.FORGED:
                forge(world, step, [placed.order_id for _, placed in self._placed], RARE, self._pick)

    def _chance(self, what: str) -> float:
        return chance(self._seed, f"{self._step} {what}")

    def _pick(self, what: str, among: Any) -> Any:
        return among[int(self._chance(what) * len(among))]
