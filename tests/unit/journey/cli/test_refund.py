"""`journey refund` sends one command, with the amount that was given or the price of the pieces."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import typer

from chassis.messaging.message import Message
from contracts.orders import RefundOrder
from contracts.values import ReturnedLine, ReturnTo
from journey.cli import attention
from tests.support.messages import CUSTOMER, ORDER, PRICED, STAFF, TOTAL

PAYMENT = {
    "order_id": str(ORDER),
    "customer_id": str(CUSTOMER),
    "status": "captured",
    "total": TOTAL.model_dump(),
    "cancelled": False,
    "reference": "ref-1",
    "changed_at": None,
}
PLACED = {
    "order_id": str(ORDER),
    "customer_id": str(CUSTOMER),
    "status": "dispatched",
    "awaits": [],
    "deadline_at": None,
    "lines": [line.model_dump() for line in PRICED],
    "total": TOTAL.model_dump(),
    "cancel_reason": None,
    "reject_reason": None,
    "detail": "",
    "changed_at": None,
}


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[RefundOrder]:
    """The commands that are sent."""
    commands: list[RefundOrder] = []

    async def read(service: str, path: str) -> Any:
        known = {"payment_svc": PAYMENT, "order_svc": PLACED}
        return known[service] if path.endswith(str(ORDER)) else None

    async def send(user: str, command: Message, id_: UUID) -> None:
        assert isinstance(command, RefundOrder) and command.refund_id == id_
        commands.append(command)

    monkeypatch.setattr(attention, "_read", read)
    monkeypatch.setattr(attention, "send_once", send)
    return commands


def test_pieces_are_refunded_by_their_price(sent: list[RefundOrder]) -> None:
    attention.refund(ORDER, by=STAFF, to_stock=["KETTLE-BLUE=1"], written_off=["MUG-WHITE=2"])
    [command] = sent
    assert (command.order_id, command.staff_id, command.amount.amount_minor) == (ORDER, STAFF, 3_900)
    assert command.returned == (
        ReturnedLine(sku="KETTLE-BLUE", quantity=1, to=ReturnTo.STOCK),
        ReturnedLine(sku="MUG-WHITE", quantity=2, to=ReturnTo.WRITTEN_OFF),
    )


def test_staff_may_give_the_amount(sent: list[RefundOrder]) -> None:
    attention.refund(ORDER, by=STAFF, amount="5.00", to_stock=["KETTLE-BLUE=1"])
    attention.refund(ORDER, by=STAFF, amount="5.00")
    assert [command.amount.amount_minor for command in sent] == [500, 500]
    assert [len(command.returned) for command in sent] == [1, 0]
    assert sent[0].refund_id != sent[1].refund_id


SETTLED_OUTSIDE = {"settlements": [{"reason": "paid", "amount": TOTAL.model_dump(), "reference": "BANK-815"}]}


def test_pieces_of_a_settled_payment_move_no_money(
    sent: list[RefundOrder], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    attention.refund(ORDER, by=STAFF, to_stock=["KETTLE-BLUE=1"])
    assert "settled outside" not in capsys.readouterr().out
    for name, value in SETTLED_OUTSIDE.items():
        monkeypatch.setitem(PAYMENT, name, value)
    attention.refund(ORDER, by=STAFF, to_stock=["KETTLE-BLUE=1"])
    assert "settled outside: no money moves here" in capsys.readouterr().out
    assert len(sent) == 2
    with pytest.raises(typer.Exit):
        attention.refund(ORDER, by=STAFF, amount="5.00")
    output = capsys.readouterr()
    assert "give the amount back there" in " ".join((output.out + output.err).split())
    assert len(sent) == 2
    attention.show(ORDER)
    shown = capsys.readouterr().out
    assert "settled outside: paid 64.00 EUR under BANK-815" in shown and "a refund books pieces only" in shown


@pytest.mark.parametrize("amount", ["", "5.00"])
def test_pieces_that_come_back_too_late_name_the_remedy(
    amount: str,
    sent: list[RefundOrder],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(PLACED, "returnable_until", "2031-05-20T12:00:00Z")
    monkeypatch.setattr(attention, "utc_now", lambda: datetime(2031, 5, 20, 12, tzinfo=UTC))
    attention.refund(ORDER, by=STAFF, amount=amount, to_stock=["KETTLE-BLUE=1"])
    monkeypatch.setattr(attention, "utc_now", lambda: datetime(2031, 5, 20, 12, 1, tzinfo=UTC))
    with pytest.raises(typer.Exit) as ended:
        attention.refund(ORDER, by=STAFF, amount=amount, to_stock=["KETTLE-BLUE=1"])
    assert ended.value.exit_code == 2
    output = capsys.readouterr()
    text = " ".join((output.out + output.err).split())
    assert "until 2031-05-20 12:00 UTC" in text and "--amount" in text and "journey correct" in text
    attention.refund(ORDER, by=STAFF, amount="5.00")
    assert [len(command.returned) for command in sent] == [1, 0]


def test_a_repeated_refund_is_left_to_order_svc(
    sent: list[RefundOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PLACED, "returnable_until", "2031-05-20T12:00:00Z")
    monkeypatch.setattr(attention, "utc_now", lambda: datetime(2031, 5, 21, tzinfo=UTC))
    attention.refund(ORDER, by=STAFF, to_stock=["KETTLE-BLUE=1"], id_=UUID(int=7))
    assert [command.refund_id for command in sent] == [UUID(int=7)]


@pytest.mark.parametrize(
    ("order", "arguments", "expected"),
    [
        (ORDER, {}, "give an --amount, or pieces"),
        (ORDER, {"to_stock": ["MUG-WHITE"]}, "is not SKU=QUANTITY"),
        (ORDER, {"to_stock": ["MUG-WHITE=0"]}, "quantity"),
        (ORDER, {"to_stock": ["TEAPOT=1"]}, "TEAPOT is not in the order; it has KETTLE-BLUE, MUG-WHITE"),
        (ORDER, {"to_stock": ["MUG-WHITE=1"], "amount": "1.234"}, "is not an amount in EUR"),
        (UUID(int=1), {"amount": "1"}, "there is no payment"),
    ],
)
def test_wrong_arguments_name_the_remedy(
    order: UUID,
    arguments: dict[str, Any],
    expected: str,
    sent: list[RefundOrder],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit) as ended:
        attention.refund(order, by=STAFF, **arguments)
    assert ended.value.exit_code == 2
    output = capsys.readouterr()
    assert expected in " ".join((output.out + output.err).split())
    assert not sent
