"""The rules of stock: all lines or none, held until order_svc decides the order.

No reservation expires by itself.
"""

from collections.abc import Mapping
from dataclasses import replace

from chassis.core.decision import Context, Decision, OutOfTurn
from contracts import inventory, orders
from contracts.http.inventory import CorrectionStatus, ReservationStatus
from contracts.inventory import Shortage
from contracts.values import OrderLine
from inventory_svc.stock import BookedReturn, Correction, Receipt, Reservation, Shelf, move_lines, take_back

Handles = (
    orders.OrderPlaced
    | orders.OrderConfirmed
    | orders.OrderDispatched
    | orders.OrderCancelled
    | orders.GoodsReturned
)
RejectionRecalled = inventory.StockRejected
ReceiptRecalled = inventory.StockReceived
CorrectionRecalled = inventory.StockCorrected
RefusalRecalled = inventory.CorrectionRefused
Shelves = Mapping[str, Shelf]


def decide(reservation: Reservation, message: Handles, context: Context[Shelf]) -> Decision[Reservation]:
    shelves = context.related
    match reservation.status, message:
        case ReservationStatus.NEW, orders.OrderPlaced():
            return reserve(message, shelves)
        case ReservationStatus.HELD, orders.OrderConfirmed():
            return commit(reservation, message, shelves)
        case ReservationStatus.HELD, orders.OrderDispatched():  # it overtook OrderConfirmed
            return commit(reservation, message, shelves, ReservationStatus.DISPATCHED)
        case ReservationStatus.COMMITTED, orders.OrderDispatched():
            return Decision(reservation.to(ReservationStatus.DISPATCHED))

        # compensation
        case ReservationStatus.HELD, orders.OrderCancelled():
            return release(reservation, message, shelves, reserved=-1, available=1)
        case ReservationStatus.COMMITTED, orders.OrderCancelled():
            return release(reservation, message, shelves, sold=-1, available=1)
        case ReservationStatus.NEW, orders.OrderCancelled(after_confirmation=False):
            # a tombstone: the order may still arrive
            return Decision(Reservation(ReservationStatus.RELEASED))

        # goods that come back after the dispatch
        case ReservationStatus.DISPATCHED, orders.GoodsReturned(refund_id=id_) if reservation.has_booked(id_):
            return Decision(reservation)  # the same refund under another message id
        case ReservationStatus.DISPATCHED, orders.GoodsReturned():
            return book_return(reservation, message, shelves)
        case ReservationStatus.COMMITTED, orders.GoodsReturned():  # it overtook OrderDispatched
            return book_return(reservation.to(ReservationStatus.DISPATCHED), message, shelves)
        case ReservationStatus.HELD, orders.GoodsReturned():  # and OrderConfirmed
            return commit_and_book_return(reservation, message, shelves)

        # late messages that change nothing
        case ReservationStatus.RELEASED, orders.OrderPlaced() | orders.OrderConfirmed():
            return Decision(reservation)
        case ReservationStatus.REJECTED, orders.OrderCancelled():
            return Decision(reservation)
        case ReservationStatus.DISPATCHED, orders.OrderConfirmed() | orders.OrderDispatched():
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
        return Decision(Reservation(ReservationStatus.REJECTED), rejected)
    return Decision(
        Reservation(ReservationStatus.HELD, lines),
        inventory.StockReserved(order_id=placed.order_id),
        related=move_lines(lines, shelves, available=-1, reserved=1),
    )


def commit(
    reservation: Reservation,
    message: orders.OrderConfirmed | orders.OrderDispatched | orders.GoodsReturned,
    shelves: Shelves,
    status: ReservationStatus = ReservationStatus.COMMITTED,
) -> Decision[Reservation]:
    return Decision(
        reservation.to(status),
        inventory.StockCommitted(order_id=message.order_id),
        related=reservation.moved(shelves, reserved=-1, sold=1),
    )


def release(
    reservation: Reservation, cancelled: orders.OrderCancelled, shelves: Shelves, **by_piece: int
) -> Decision[Reservation]:
    restocked = reservation.status is ReservationStatus.COMMITTED
    return Decision(
        reservation.to(ReservationStatus.RELEASED),
        inventory.StockReleased(order_id=cancelled.order_id, restocked=restocked),
        related=reservation.moved(shelves, **by_piece),
    )


def book_return(
    reservation: Reservation, message: orders.GoodsReturned, shelves: Shelves
) -> Decision[Reservation]:
    booked = BookedReturn(message.refund_id, message.returned)
    returned = inventory.StockReturned(
        order_id=message.order_id, refund_id=message.refund_id, returned=message.returned
    )
    return Decision(
        replace(reservation, returns=(*reservation.returns, booked)),
        returned,
        related=take_back(message.returned, shelves),
    )


def commit_and_book_return(
    reservation: Reservation, message: orders.GoodsReturned, shelves: Shelves
) -> Decision[Reservation]:
    sold = commit(reservation, message, shelves, ReservationStatus.DISPATCHED)
    back = book_return(sold.state, message, {**shelves, **sold.related})
    return Decision(back.state, *sold.emits, *back.emits, related={**sold.related, **back.related})


def receive(receipt: Receipt, message: inventory.ReceiveStock, context: Context[Shelf]) -> Decision[Receipt]:
    match receipt.counted, message:
        case False, inventory.ReceiveStock(sku=sku, quantity=quantity):
            received = inventory.StockReceived(receipt_id=message.receipt_id, sku=sku, quantity=quantity)
            shelf = context.related[sku].move(received=quantity, available=quantity)
            return Decision(Receipt(counted=True), received, related={sku: shelf})
        case True, inventory.ReceiveStock():
            return Decision(receipt)  # the same receipt under another message id
        case _:
            raise OutOfTurn(receipt, message)


def correct(
    correction: Correction, message: inventory.CorrectStock, context: Context[Shelf]
) -> Decision[Correction]:
    shelf = context.related[message.sku]
    known = Correction(
        sku=message.sku, change=message.change, reason=message.reason, available=shelf.available
    )
    match correction.status, message:
        case CorrectionStatus.NEW, inventory.CorrectStock(change=change) if shelf.available + change < 0:
            refused = inventory.CorrectionRefused(
                correction_id=message.correction_id,
                sku=message.sku,
                change=change,
                available=shelf.available,
            )
            return Decision(replace(known, status=CorrectionStatus.REFUSED), refused)
        case CorrectionStatus.NEW, inventory.CorrectStock(change=change):
            corrected = inventory.StockCorrected(
                correction_id=message.correction_id, sku=message.sku, change=change, reason=message.reason
            )
            moved = shelf.move(received=change, available=change)
            applied = replace(known, status=CorrectionStatus.APPLIED, available=moved.available)
            return Decision(applied, corrected, related={message.sku: moved})
        case _, inventory.CorrectStock():
            return Decision(correction)  # the same correction under another message id
        case _:
            raise OutOfTurn(correction, message)


# After the database was set back. Stock that was reserved, committed or released follows from the orders'
# events, in the original order. A receipt's command is in no journal, so its event is enough. So is the
# rejection of an order, which moved no goods.


def recall_rejection(
    reservation: Reservation, event: RejectionRecalled, _: Context[Shelf]
) -> Decision[Reservation]:
    match reservation.status:
        case ReservationStatus.NEW:
            return Decision(Reservation(ReservationStatus.REJECTED))
        case ReservationStatus.RELEASED if not reservation.lines:
            # the tombstone of a cancellation that was sent before the rejection, and handled after it
            return Decision(Reservation(ReservationStatus.REJECTED))
        case _:
            raise OutOfTurn(reservation, event)


def recall_receipt(receipt: Receipt, event: ReceiptRecalled, context: Context[Shelf]) -> Decision[Receipt]:
    if receipt.counted:
        return Decision(receipt)
    shelf = context.related[event.sku].move(received=event.quantity, available=event.quantity)
    return Decision(Receipt(counted=True), related={event.sku: shelf})


def recall_correction(
    correction: Correction, event: CorrectionRecalled | RefusalRecalled, context: Context[Shelf]
) -> Decision[Correction]:
    if correction.status is not CorrectionStatus.NEW:
        return Decision(correction)
    shelf, known = context.related[event.sku], Correction(sku=event.sku, change=event.change)
    if isinstance(event, RefusalRecalled):
        return Decision(replace(known, status=CorrectionStatus.REFUSED, available=event.available))
    moved = shelf.move(received=event.change, available=event.change)
    applied = replace(known, status=CorrectionStatus.APPLIED, reason=event.reason, available=moved.available)
    return Decision(applied, related={event.sku: moved})
