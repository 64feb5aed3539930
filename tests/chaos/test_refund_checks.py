"""The checks of refunds detect violations."""

from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis.messaging.identity import derived_id
from contracts.notifications import MailKind
from tests.support import refund_checks
from tests.support.in_memory_doctor import World
from tests.support.refund_checks import RefundedOrder

ORDER_ID = uuid4()
LINES = [
    {"sku": "TEA-GREEN", "quantity": 2, "price": {"amount_minor": 500}},
    {"sku": "CUP-WHITE", "quantity": 1, "price": {"amount_minor": 800}},
]
TOTAL = {"amount_minor": 1_800, "currency": "EUR"}
RECEIVED = Counter({"TEA-GREEN": 10, "CUP-WHITE": 10})
Json = dict[str, Any]


def refunded() -> RefundedOrder:
    """All of the order, and one refund that must be refused."""
    order = RefundedOrder(wanted=5)
    order.plan({"order_id": str(ORDER_ID), "lines": LINES, "total": TOTAL})
    return order


def world_of(order: RefundedOrder) -> World:
    key = str(ORDER_ID)
    amounts = {str(each.refund_id): each.amount.model_dump() for each in order.done}
    shown = [{"refund_id": str(id_), "status": status.value} for id_, status in order.expected.items()]
    returns = [
        {"refund_id": str(each.refund_id), "returned": [line.model_dump() for line in each.returned]}
        for each in order.done
        if each.returned
    ]
    parts = [refund_of(id_, amount) for id_, amount in amounts.items()]
    return World(
        orders={key: {"refunds": shown}},
        payments={key: {"refunds": [{"refund_id": id_, "amount": each} for id_, each in amounts.items()]}},
        reservations={key: {"returns": returns}},
        ledger=[{"key": f"{key}:capture", "outcome": "captured", "amount": TOTAL}, *parts],
        shelves=[{"sku": "TEA-GREEN", "received": 10}, {"sku": "CUP-WHITE", "received": 9}],
    )


def refund_of(refund_id: str, amount: Json) -> Json:
    return {"key": f"{ORDER_ID}:part:{refund_id}", "outcome": "refunded", "amount": amount}


def mails_of(order: RefundedOrder) -> Counter[str]:
    return Counter(mail_id(each.refund_id) for each in order.done)


def mail_id(refund_id: UUID) -> str:
    return derived_id("mail", ORDER_ID, MailKind.PAYMENT_REFUNDED, refund_id)


def found(world: World, mails: Counter[str], order: RefundedOrder, copies_max: int = 1) -> list[str]:
    return [
        *refund_checks.of_order(world, ORDER_ID, order),
        *refund_checks.of_ledger(world),
        *refund_checks.of_shelves(world, RECEIVED, [order]),
        *refund_checks.of_mails(mails, ORDER_ID, order, copies_max=copies_max),
    ]


def test_refunds_up_to_the_total_agree() -> None:
    order = refunded()
    assert sum(each.amount.amount_minor for each in order.done) == TOTAL["amount_minor"]
    assert len(order.refused) == 1
    assert found(world_of(order), mails_of(order), order) == []


def paid_twice(world: World, order: RefundedOrder) -> None:
    world.ledger.append(refund_of(str(order.done[0].refund_id), order.done[0].amount.model_dump()))


def refused_one_paid(world: World, order: RefundedOrder) -> None:
    world.ledger.append(refund_of(str(order.refused[0].refund_id), order.refused[0].amount.model_dump()))


def not_paid(world: World, order: RefundedOrder) -> None:
    del world.ledger[-1]


def granted_twice(world: World, order: RefundedOrder) -> None:
    known = world.payments[str(ORDER_ID)]["refunds"]
    known.append(known[0])


def booked_twice(world: World, order: RefundedOrder) -> None:
    booked = world.reservations[str(ORDER_ID)]["returns"]
    booked.append(booked[0])


def not_booked(world: World, order: RefundedOrder) -> None:
    world.reservations[str(ORDER_ID)]["returns"].clear()


def written_off_twice(world: World, order: RefundedOrder) -> None:
    world.shelves[1]["received"] = 8


def unknown_to_the_order(world: World, order: RefundedOrder) -> None:
    world.orders[str(ORDER_ID)]["refunds"].pop()


@pytest.mark.parametrize(
    "damage",
    [
        paid_twice,
        refused_one_paid,
        not_paid,
        granted_twice,
        booked_twice,
        not_booked,
        written_off_twice,
        unknown_to_the_order,
    ],
)
def test_a_refund_that_does_not_count_once_is_reported(
    damage: Callable[[World, RefundedOrder], None],
) -> None:
    order = refunded()
    world = world_of(order)
    damage(world, order)
    assert found(world, mails_of(order), order)


def test_each_refund_has_one_mail_but_for_copies() -> None:
    order = refunded()
    world, mails = world_of(order), mails_of(order)
    mails[mail_id(order.done[0].refund_id)] = 2
    assert found(world, mails, order)
    assert found(world, mails, order, copies_max=2) == []
    mails[mail_id(order.done[0].refund_id)] = 0
    assert found(world, mails, order, copies_max=2)
    mails = mails_of(order) + Counter({mail_id(order.refused[0].refund_id): 1})
    assert found(world, mails, order, copies_max=2)
