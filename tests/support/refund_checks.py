"""What must be true of the refunds that staff have made, in all services and outside. Pure functions."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from chassis.messaging.identity import derived_id, new_id
from contracts.http.orders import RefundStatus
from contracts.notifications import MailKind
from contracts.orders import RefundOrder
from contracts.values import Money, ReturnedLine, ReturnTo
from tests.support.in_memory_doctor import World

Json = dict[str, Any]


@dataclass
class RefundedOrder:
    """The refunds of an order. The first `granted` amount to its total, so that every other is refused.

    `wanted`: how many of them staff make.
    """

    wanted: int = 0
    granted: int = 0
    planned: list[RefundOrder] = field(default_factory=list)

    def plan(self, order: Json) -> None:
        if not self.planned:
            self.planned = up_to_the_total(order)
            self.granted = len(self.planned)
        while len(self.planned) < self.wanted:
            self.planned.append(_refund(order, 1))

    @property
    def done(self) -> list[RefundOrder]:
        return self.planned[: min(self.wanted, self.granted)]

    @property
    def refused(self) -> list[RefundOrder]:
        return self.planned[self.granted : self.wanted]

    @property
    def expected(self) -> dict[UUID, RefundStatus]:
        done = {refund.refund_id: RefundStatus.DONE for refund in self.done}
        return done | {refund.refund_id: RefundStatus.REFUSED for refund in self.refused}


def up_to_the_total(order: Json) -> list[RefundOrder]:
    """Refunds of a piece that goes to the stock, of an amount, of another piece that is written off,
    and of the rest.
    """
    pieces = [line for line in order["lines"] for _ in range(line["quantity"])]
    total_minor = order["total"]["amount_minor"]
    refunds = [_of_piece(order, pieces[0], ReturnTo.STOCK), _refund(order, total_minor // 5)]
    if len(pieces) > 1:
        refunds.append(_of_piece(order, pieces[-1], ReturnTo.WRITTEN_OFF))
    left_minor = total_minor - sum(refund.amount.amount_minor for refund in refunds)
    return [*refunds, _refund(order, left_minor)]


def _of_piece(order: Json, line: Json, to: ReturnTo) -> RefundOrder:
    """A refund of half its price."""
    returned = ReturnedLine(sku=line["sku"], quantity=1, to=to)
    return _refund(order, line["price"]["amount_minor"] // 2, returned)


def _refund(order: Json, amount_minor: int, *returned: ReturnedLine) -> RefundOrder:
    return RefundOrder(
        order_id=UUID(order["order_id"]),
        refund_id=new_id(),
        staff_id=new_id(),
        amount=Money(amount_minor=amount_minor, currency=order["total"]["currency"]),
        returned=returned,
    )


def of_order(world: World, order_id: UUID, refunded: RefundedOrder) -> Iterator[str]:
    """How the services and the card provider differ from what staff have sent."""
    key = str(order_id)
    shown = world.orders.get(key, {}).get("refunds", ())
    paid = world.payments.get(key, {}).get("refunds", ())
    booked = world.reservations.get(key, {}).get("returns", ())
    entries = [each for each in world.ledger if each["key"].startswith(f"{key}:")]
    amounts = [(str(refund.refund_id), refund.amount.amount_minor) for refund in refunded.done]
    returns = [
        (str(refund.refund_id), _goods(line.model_dump() for line in refund.returned))
        for refund in refunded.done
        if refund.returned
    ]
    found_and_due: dict[str, tuple[list[Any], list[Any]]] = {
        "order_svc": (
            [(each["refund_id"], each["status"]) for each in shown],
            [(str(refund_id), status.value) for refund_id, status in refunded.expected.items()],
        ),
        "payment_svc": ([(each["refund_id"], each["amount"]["amount_minor"]) for each in paid], amounts),
        "the card provider": (
            [(each["key"], _minor(each)) for each in entries if each["outcome"] == "refunded"],
            [(f"{key}:part:{refund_id}", amount_minor) for refund_id, amount_minor in amounts],
        ),
        "inventory_svc": ([(each["refund_id"], _goods(each["returned"])) for each in booked], returns),
    }
    for where, (found, due) in found_and_due.items():
        if Counter(found) != Counter(due):
            yield f"order {key}: {where} has the refunds {found}, expected {due}"


def of_ledger(world: World) -> Iterator[str]:
    """No order has more refunded than captured."""
    captured, refunded = Counter[str](), Counter[str]()
    for entry in world.ledger:
        moved = {"captured": captured, "refunded": refunded}.get(entry["outcome"], Counter())
        moved[entry["key"].partition(":")[0]] += _minor(entry)
    for order_id, amount_minor in (refunded - captured).items():
        yield f"order {order_id}: {amount_minor} more refunded than captured"


def of_mails(
    message_ids: Counter[str], order_id: UUID, refunded: RefundedOrder, *, copies_max: int
) -> Iterator[str]:
    """Each refund that is done has one mail; the same copy may arrive `copies_max` times."""
    for refund in (*refunded.done, *refunded.refused):
        copies = message_ids[derived_id("mail", order_id, MailKind.PAYMENT_REFUNDED, refund.refund_id)]
        is_due = refund in refunded.done
        if not is_due <= copies <= copies_max * is_due:
            yield f"order {order_id}, refund {refund.refund_id}: {copies} mails, expected {int(is_due)}"


def of_shelves(world: World, received: Counter[str], orders: Iterable[RefundedOrder]) -> Iterator[str]:
    """`received`: the pieces that came in. Those that are written off leave the books."""
    pieces = received.copy()
    for refund in (refund for order in orders for refund in order.done):
        for line in refund.returned:
            pieces[line.sku] -= line.quantity if line.to is ReturnTo.WRITTEN_OFF else 0
    for shelf in world.shelves:
        if shelf["received"] != pieces[shelf["sku"]]:
            yield f"{shelf['sku']}: {shelf['received']} received, expected {pieces[shelf['sku']]}"


def _goods(lines: Iterable[Json]) -> tuple[tuple[str, str, int], ...]:
    return tuple(sorted((line["sku"], line["to"], line["quantity"]) for line in lines))


def _minor(entry: Json) -> int:
    return int(entry["amount"]["amount_minor"])
