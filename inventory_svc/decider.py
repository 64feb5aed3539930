"""All lines or none, held until order_svc says what becomes of them. There is no clock here: nothing frees itself."""

from collections.abc import Mapping

from chassis.decision import Decision, OutOfTurn
from contracts import inventory, orders
from contracts.inventory import Shortage
from contracts.values import OrderLine
from inventory_svc.stock import Receipt, Reservation, Shelf, Status, move_lines

Heard = orders.OrderPlaced | orders.OrderConfirmed | orders.OrderDispatched | orders.OrderCancelled
Shelves = Mapping[str, Shelf]


def decide(reservation: Reservation, message: Heard, shelves: Shelves) -> Decision[Reservation]:
    match reservation.status, message:
        case Status.NEW, orders.OrderPlaced():
            return reserve(message, shelves)
        case Status.HELD, orders.OrderConfirmed():
            return commit(reservation, message, shelves)
        case Status.HELD, orders.OrderDispatched():  # it overtook OrderConfirmed
            return commit(reservation, message, shelves, Status.DISPATCHED)
        case Status.COMMITTED, orders.OrderDispatched():
            return Decision(reservation.to(Status.DISPATCHED))

        # compensation
        case Status.HELD, orders.OrderCancelled():
            return release(reservation, message, shelves, reserved=-1, available=1)
        case Status.COMMITTED, orders.OrderCancelled():
            return release(reservation, message, shelves, sold=-1, available=1)
        case Status.NEW, orders.OrderCancelled(after_confirmation=False):
            return Decision(Reservation(Status.RELEASED))  # a tombstone: the order may still come

        # old news
        case Status.RELEASED, orders.OrderPlaced() | orders.OrderConfirmed():
            return Decision(reservation)
        case Status.REJECTED, orders.OrderCancelled():
            return Decision(reservation)
        case Status.DISPATCHED, orders.OrderConfirmed():
            return Decision(reservation)
        case _:
            raise OutOfTurn(reservation, message)


def reserve(placed: orders.OrderPlaced, shelves: Shelves) -> Decision[Reservation]:
    lines = tuple(OrderLine(sku=line.sku, quantity=line.quantity) for line in placed.lines)
    short = tuple(
        Shortage(sku=line.sku, quantity=line.quantity, available=shelves[line.sku].available)
        for line in lines
        if shelves[line.sku].available < line.quantity
    )
    if short:
        rejected = inventory.StockRejected(order_id=placed.order_id, short=short)
        return Decision(Reservation(Status.REJECTED), rejected)
    return Decision(
        Reservation(Status.HELD, lines),
        inventory.StockReserved(order_id=placed.order_id),
        alongside=move_lines(lines, shelves, available=-1, reserved=1),
    )


def commit(
    reservation: Reservation,
    message: orders.OrderConfirmed | orders.OrderDispatched,
    shelves: Shelves,
    status: Status = Status.COMMITTED,
) -> Decision[Reservation]:
    return Decision(
        reservation.to(status),
        inventory.StockCommitted(order_id=message.order_id),
        alongside=reservation.moved(shelves, reserved=-1, sold=1),
    )


def release(
    reservation: Reservation, cancelled: orders.OrderCancelled, shelves: Shelves, **by_piece: int
) -> Decision[Reservation]:
    restocked = reservation.status is Status.COMMITTED
    return Decision(
        reservation.to(Status.RELEASED),
        inventory.StockReleased(order_id=cancelled.order_id, restocked=restocked),
        alongside=reservation.moved(shelves, **by_piece),
    )


def receive(receipt: Receipt, message: inventory.ReceiveStock, shelves: Shelves) -> Decision[Receipt]:
    match receipt.counted, message:
        case False, inventory.ReceiveStock(sku=sku, quantity=quantity):
            received = inventory.StockReceived(receipt_id=message.receipt_id, sku=sku, quantity=quantity)
            shelf = shelves[sku].move(received=quantity, available=quantity)
            return Decision(Receipt(counted=True), received, alongside={sku: shelf})
        case True, inventory.ReceiveStock():
            return Decision(receipt)  # the same receipt under another message id
        case _:
            raise OutOfTurn(receipt, message)
