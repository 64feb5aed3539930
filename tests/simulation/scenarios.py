"""The actions of people in a run: the happy path, and every unhappy one.

Long because every scenario has its entry here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

from chassis.bus.rabbitmq_subscription import PROBATION_S
from chassis.core.definition import ServiceDefinition
from chassis.messaging.message import Event
from chassis.store.protocol import Change, Loaded
from contracts import inventory, orders, payments
from contracts.http.orders import OrderStatus
from contracts.payments import SettlementReason
from contracts.values import Money, OrderLine, ReturnedLine, ReturnTo
from inventory_svc.stock import Shelf
from journey.admin.registry import SERVICES
from order_svc.price import Price
from order_svc.service import order_service
from product_svc.product import Product
from product_svc.product import ProductStatus as Listing
from product_svc.service import PRODUCTS
from tests.simulation.coverage import counted_branches
from tests.simulation.faults import Kind
from tests.simulation.world import OPERATOR, World

TEA = "TEA-GREEN"
CUP = "CUP-WHITE"
RARE = "SAMOVAR-RARE"
STAFF = UUID(int=0x06 << 120)
SAMPLE = "TEA-SAMPLE"
PIECES = {TEA: 1000, CUP: 1000, RARE: 1, SAMPLE: 1000}
PRICE = Money(amount_minor=420, currency="EUR")
PRICES = dict.fromkeys(PIECES, PRICE) | {SAMPLE: Money(amount_minor=0, currency="EUR")}
FATAL = 6
ORDERS_AROUND = 170
PAUSE_S = 0.8
SHORT_S = 30.0  # the deadline of the scenario that waits for it

FOUR = ("order_svc", "inventory_svc", "payment_svc", "notification_svc")
WHOLE: dict[str, ServiceDefinition] = {name: counted_branches(make()) for name, make in SERVICES.items()}
# Messages do not linger here, so that copies that arrive at the same moment are handled concurrently.
SAGA: dict[str, ServiceDefinition] = {name: replace(WHOLE[name], linger_s=0.0) for name in FOUR}
HURRIED: dict[str, ServiceDefinition] = SAGA | {"order_svc": counted_branches(order_service(SHORT_S))}


@dataclass(frozen=True)
class Scenario:
    """`act` starts everything; `endings`: the allowed final statuses of its order, whatever the faults."""

    name: str
    act: Callable[[World], Awaitable[None]]
    endings: frozenset[str]
    services: dict[str, ServiceDefinition]
    real_subscriptions: bool = False


def order_id(number: int) -> UUID:
    return UUID(int=(0x01 << 120) | (0x7 << 76) | (0x2 << 62) | number)


def customer_id(number: int) -> UUID:
    return UUID(int=(0x02 << 120) | (0x7 << 76) | (0x2 << 62) | number)


async def stocked(world: World) -> None:
    """Set up the shelves and the price book of an established shop."""
    shelves = world.size.services["inventory_svc"].aggregates[0].related
    prices = world.size.services["order_svc"].aggregates[1]
    assert shelves is not None
    for sku, pieces in PIECES.items():
        shelf = Shelf(sku, received=pieces, available=pieces)
        await world.disks["inventory_svc"].save([Change(Loaded("shelves", sku), shelves.codec.dump(shelf))])
        price = Price(revision=1, money=PRICES[sku])
        await world.disks["order_svc"].save([Change(Loaded("prices", sku), prices.codec.dump(price))])
        if "product_svc" in world.disks:
            product = Product(Listing.LISTED, sku=sku, title=sku, price=PRICES[sku], revision=1)
            await world.disks["product_svc"].save(
                [Change(Loaded("products", sku), PRODUCTS.codec.dump(product))]
            )


def placing(world: World, number: int, *skus: str, card: str = "tok_visa") -> orders.PlaceOrder:
    world.names[str(order_id(number))] = f"o{number}"
    lines = tuple(OrderLine(sku=sku, quantity=1) for sku in skus)
    return orders.PlaceOrder(
        order_id=order_id(number), customer_id=customer_id(number), lines=lines, card_token=card
    )


def cancelling(number: int) -> orders.CancelOrder:
    return orders.CancelOrder(order_id=order_id(number), customer_id=customer_id(number))


def cancelling_as_staff(number: int) -> orders.CancelAsStaff:
    return orders.CancelAsStaff(order_id=order_id(number), staff_id=STAFF)


def retrying(number: int) -> payments.RetryPayment:
    return payments.RetryPayment(order_id=order_id(number), staff_id=STAFF)


def settling(number: int, reason: SettlementReason = SettlementReason.PAID) -> payments.SettlePayment:
    settlement = payments.Settlement(reason=reason, amount=PRICE, reference=f"BANK-{number}")
    return payments.SettlePayment(order_id=order_id(number), staff_id=STAFF, settlement=settlement)


def refunding(
    number: int, refund: int, amount_minor: int, returned: tuple[ReturnedLine, ...] = ()
) -> orders.RefundOrder:
    return orders.RefundOrder(
        order_id=order_id(number),
        refund_id=UUID(int=(0x07 << 120) | (0x7 << 76) | (0x2 << 62) | (number << 32) | refund),
        staff_id=STAFF,
        amount=Money(amount_minor=amount_minor, currency="EUR"),
        returned=returned,
    )


def piece(sku: str, to: ReturnTo) -> ReturnedLine:
    return ReturnedLine(sku=sku, quantity=1, to=to)


def returning(number: int) -> payments.SettlePayment:
    return settling(number, SettlementReason.RETURNED)


async def _confirmed(world: World) -> None:
    await world.send(placing(world, 1, TEA, CUP))


async def _dispatched(world: World) -> None:
    dispatch = orders.DispatchOrder(order_id=order_id(1))
    track = orders.RecordTracking(order_id=order_id(1), tracking="RR123456785DE")
    for command in (track, dispatch, dispatch, track):
        world.called_later(orders.OrderConfirmed, partial(world.soon, command, OPERATOR))
    await world.send(placing(world, 1, TEA))


async def _tracking_replaced(world: World) -> None:
    """The first reference may arrive after the second one: from a retry queue, or as a dead letter."""
    references = [
        orders.RecordTracking(order_id=order_id(1), tracking=tracking)
        for tracking in ("RR123456785DE", "RR999999999DE")
    ]

    async def track() -> None:
        for command in references:
            await world.send(command, OPERATOR)
            await asyncio.sleep(0.001)  # two times that differ

    dispatch = orders.DispatchOrder(order_id=order_id(1))
    world.called_later(orders.OrderConfirmed, partial(world.soon, dispatch, OPERATOR))
    world.called_later(orders.OrderDispatched, lambda: world.go(track()))
    await world.send(placing(world, 1, TEA))


async def _out_of_stock(world: World) -> None:
    await world.send(placing(world, 1, TEA, RARE, RARE))


async def _declined(world: World) -> None:
    await world.send(placing(world, 1, TEA, card="tok_declined"))


async def _rejected(world: World) -> None:
    await world.send(placing(world, 1, "NEVER-LISTED"))


async def _cancelled_at(event: type, world: World) -> None:
    world.called_later(event, partial(world.soon, cancelling(1)))
    await world.send(placing(world, 1, TEA, CUP))


async def _free_and_cancelled(world: World) -> None:
    world.called_later(orders.OrderConfirmed, partial(world.soon, cancelling(1)))
    await world.send(placing(world, 1, SAMPLE, card=orders.NO_CARD))


async def _cancelled_first(world: World) -> None:
    order = placing(world, 1, TEA)
    await world.send(cancelling(1))
    await world.send(order)


async def _too_late(world: World) -> None:
    world.take_down("payment_svc", 2 * SHORT_S)
    await world.send(placing(world, 1, TEA))


async def _capture_refused(world: World) -> None:
    world.called_later(orders.OrderNeedsAttention, partial(world.soon, cancelling(1)))
    await world.send(placing(world, 1, TEA, card="tok_capture_refused"))


async def _capture_repeated(world: World) -> None:
    world.called_later(orders.OrderNeedsAttention, partial(world.soon, retrying(1), OPERATOR))
    world.called_later(payments.PaymentCaptured, partial(world.soon, retrying(1), OPERATOR))
    await world.send(placing(world, 1, TEA, card="tok_capture_refused_once"))


async def _settled(world: World) -> None:
    world.called_later(payments.PaymentFailed, partial(world.soon, settling(1), OPERATOR))
    await world.send(placing(world, 1, TEA, card="tok_capture_refused"))


async def _settled_or_cancelled(world: World) -> None:
    """The commands cross each other's results. The settlement is sent once more, after the cancellation."""
    for command in (settling(1), cancelling_as_staff(1)):
        world.called_later(payments.PaymentFailed, partial(world.soon, command, OPERATOR))
    for command in (settling(1), returning(1)):
        world.called_later(payments.PaymentMismatched, partial(world.soon, command, OPERATOR))
    await world.send(placing(world, 1, TEA, card="tok_capture_refused"))


async def _refunded_in_parts(world: World) -> None:
    """The first two are more than the total; each is sent twice."""
    dispatch = orders.DispatchOrder(order_id=order_id(1))
    world.called_later(payments.PaymentCaptured, partial(world.soon, dispatch, OPERATOR))
    for number, amount_minor in ((1, 300), (2, 300), (3, 20)) * 2:
        refund = refunding(1, number, amount_minor)
        world.called_later(orders.OrderDispatched, partial(world.soon, refund, OPERATOR))
    await world.send(placing(world, 1, TEA))


async def _goods_returned(world: World) -> None:
    """Staff refund each of two pieces twice, and ask for the order's total in between; each is sent twice."""
    dispatch = orders.DispatchOrder(order_id=order_id(1))
    world.called_later(payments.PaymentCaptured, partial(world.soon, dispatch, OPERATOR))
    refunds = (
        refunding(1, 1, 200, (piece(TEA, ReturnTo.STOCK),)),
        refunding(1, 2, 2 * PRICE.amount_minor),
        refunding(1, 3, 200, (piece(TEA, ReturnTo.WRITTEN_OFF),)),
        refunding(1, 4, 20, (piece(CUP, ReturnTo.WRITTEN_OFF),)),
    )
    for refund in refunds * 2:
        world.called_later(orders.OrderDispatched, partial(world.soon, refund, OPERATOR))
    await world.send(placing(world, 1, TEA, CUP))


async def _goods_returned_outside(world: World) -> None:
    """Staff settle a capture that failed. Refunds arrive before and after, and while the two cross; each is
    sent twice.
    """
    dispatch = orders.DispatchOrder(order_id=order_id(1))
    for confirmed in (orders.OrderConfirmed, orders.OrderResolved):
        world.called_later(confirmed, partial(world.soon, dispatch, OPERATOR))
    world.called_later(payments.PaymentFailed, partial(world.soon, settling(1), OPERATOR))
    to_stock, written_off = ((piece(TEA, to),) for to in ReturnTo)
    refunds: tuple[tuple[orders.RefundOrder, type[Event], type[Event]], ...] = (
        (refunding(1, 1, 200, to_stock), orders.OrderDispatched, payments.PaymentResolved),
        (refunding(1, 2, 200, written_off), payments.PaymentFailed, orders.OrderResolved),
        (refunding(1, 3, 200, to_stock), payments.PaymentResolved, orders.OrderResolved),
        (refunding(1, 4, 20), payments.PaymentResolved, orders.OrderResolved),
    )
    for refund, *events in refunds:
        for event in events:
            world.called_later(event, partial(world.soon, refund, OPERATOR))
    await world.send(placing(world, 1, TEA, card="tok_capture_refused"))


async def _cancelled_by_staff(world: World) -> None:
    for event in (orders.OrderNeedsAttention, orders.OrderCancelled):
        world.called_later(event, partial(world.soon, cancelling_as_staff(1), OPERATOR))
    await world.send(placing(world, 1, TEA, card="tok_capture_refused"))


async def _fatal_message(world: World) -> None:
    """Other orders are in flight with it, and new ones keep arriving."""
    await world.send(placing(world, 1, TEA))
    await asyncio.sleep(PROBATION_S + 1.0)
    world.fatal.add(str(order_id(FATAL)))
    for number in range(2, 2 * FATAL):
        world.soon(placing(world, number, TEA))
    for number in range(2 * FATAL, ORDERS_AROUND):
        await asyncio.sleep(PAUSE_S)
        await world.send(placing(world, number, TEA))


_ANY_CANCEL = frozenset({OrderStatus.CANCELLED})
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("confirmed", _confirmed, frozenset({OrderStatus.CONFIRMED}), SAGA),
        Scenario("dispatched", _dispatched, frozenset({OrderStatus.DISPATCHED}), SAGA),
        Scenario("tracking replaced", _tracking_replaced, frozenset({OrderStatus.DISPATCHED}), SAGA),
        Scenario("out of stock", _out_of_stock, _ANY_CANCEL, SAGA),
        Scenario("declined", _declined, _ANY_CANCEL, SAGA),
        Scenario("rejected", _rejected, frozenset({OrderStatus.REJECTED}), SAGA),
        Scenario("cancelled first", _cancelled_first, _ANY_CANCEL, SAGA),
        Scenario("cancelled when placed", partial(_cancelled_at, orders.OrderPlaced), _ANY_CANCEL, SAGA),
        Scenario(
            "cancelled when reserved", partial(_cancelled_at, inventory.StockReserved), _ANY_CANCEL, SAGA
        ),
        Scenario(
            "cancelled when authorised", partial(_cancelled_at, payments.PaymentAuthorized), _ANY_CANCEL, SAGA
        ),
        Scenario(
            "cancelled when confirmed", partial(_cancelled_at, orders.OrderConfirmed), _ANY_CANCEL, SAGA
        ),
        Scenario(
            "cancelled when captured", partial(_cancelled_at, payments.PaymentCaptured), _ANY_CANCEL, SAGA
        ),
        Scenario("free and cancelled", _free_and_cancelled, _ANY_CANCEL, SAGA),
        Scenario("too late", _too_late, _ANY_CANCEL | {OrderStatus.CONFIRMED}, HURRIED),
        Scenario("capture refused", _capture_refused, _ANY_CANCEL, SAGA),
        Scenario("capture repeated", _capture_repeated, frozenset({OrderStatus.CONFIRMED}), SAGA),
        Scenario("refunded in parts", _refunded_in_parts, frozenset({OrderStatus.DISPATCHED}), SAGA),
        Scenario("goods returned", _goods_returned, frozenset({OrderStatus.DISPATCHED}), SAGA),
        Scenario(
            "goods returned outside", _goods_returned_outside, frozenset({OrderStatus.DISPATCHED}), SAGA
        ),
        Scenario("settled", _settled, frozenset({OrderStatus.CONFIRMED}), SAGA),
        Scenario("cancelled by staff", _cancelled_by_staff, _ANY_CANCEL, SAGA),
        Scenario("settled or cancelled", _settled_or_cancelled, _ANY_CANCEL | {OrderStatus.CONFIRMED}, SAGA),
    )
}


# Its run is long, so no single faults are run with it.
FATAL_MESSAGE = Scenario(
    "fatal message", _fatal_message, frozenset({OrderStatus.CONFIRMED}), SAGA, real_subscriptions=True
)


async def play_out(scenario: Scenario, world: World) -> None:
    """Run a scenario until the shop is at rest. Its order must end in an allowed status."""
    await stocked(world)
    await world.open()
    await scenario.act(world)
    await asyncio.sleep(0.1)
    await world.rest()
    await world.redrive()
    status = world.monitor.status(str(order_id(1)))
    late = (
        {OrderStatus.CANCELLED}
        if any(fault.kind is Kind.DELIVERY_LIMIT for fault in world.plan.struck)
        else set()
    )
    # If the provider authorised or captured something else, the order is cancelled, or needs a person's
    # attention.
    differs = {OrderStatus.CANCELLED, OrderStatus.NEEDS_ATTENTION} if world.provider.differs else set()
    # a message that is redriven months later may arrive after the deadline
    endings = scenario.endings | late | differs
    assert status in endings, f"the order ended {status}, not {' or '.join(sorted(endings))}"
