"""A command that counts once prints its id before it is sent, so that a person can repeat it."""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from chassis.bus.protocol import BusUnavailable
from chassis.messaging.message import Command
from contracts.http.payments import PaymentStatus
from contracts.inventory import CorrectStock, ReceiveStock
from contracts.orders import PlaceOrder, RefundOrder
from journey.cli import app as cli
from journey.cli import attention, sending
from tests.unit.journey.cli.test_attention import payment

ORDER, STAFF = "01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8058"
COMMANDS: dict[type[Command], tuple[Sequence[str], str, str]] = {
    RefundOrder: (("refund", ORDER, "--by", STAFF, "--amount", "1.00"), "refund_id", "--id"),
    ReceiveStock: (("receive", "TEA-GREEN", "5"), "receipt_id", "--id"),
    CorrectStock: (("correct", "TEA-GREEN", "--by=-1", "--reason=count"), "correction_id", "--id"),
    PlaceOrder: (("place", "TEA-GREEN=1", "--customer", STAFF), "order_id", "--order"),
}


class Shop:
    """Takes commands. `silent`: without confirming them."""

    endpoints = None

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.silent = False

    async def send(self, _: str, *commands: Command) -> None:
        self.sent += commands
        if self.silent:
            raise BusUnavailable("no confirmation")


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop()

    async def running(_: object) -> Shop:
        return made

    async def paid(_: UUID) -> Any:
        return payment(1, PaymentStatus.CAPTURED)

    monkeypatch.setattr(sending, "running_shop", running)
    monkeypatch.setattr(cli, "running_shop", running)
    monkeypatch.setattr(attention, "_payment", paid)
    return made


@pytest.mark.parametrize("contract", COMMANDS)
def test_an_unconfirmed_run_is_repeated_under_the_printed_id(shop: Shop, contract: type[Command]) -> None:
    arguments, field, option = COMMANDS[contract]
    shop.silent = True
    ended = CliRunner().invoke(cli.app, arguments)
    assert ended.exit_code != 0
    [repeat] = re.findall(rf"{option} ([0-9a-f-]{{36}})", ended.output)
    shop.silent = False
    assert CliRunner().invoke(cli.app, [*arguments, option, repeat]).exit_code == 0
    first, second = shop.sent
    assert isinstance(first, contract) and first == second and str(getattr(first, field)) == repeat


@pytest.mark.parametrize("contract", COMMANDS)
def test_two_runs_without_an_id_are_two_commands(shop: Shop, contract: type[Command]) -> None:
    arguments, field, _ = COMMANDS[contract]
    for _ in range(2):
        assert CliRunner().invoke(cli.app, arguments).exit_code == 0
    assert len({getattr(command, field) for command in shop.sent}) == 2


@pytest.mark.parametrize("contract", COMMANDS)
def test_what_is_no_id_is_refused(shop: Shop, contract: type[Command]) -> None:
    arguments, _, option = COMMANDS[contract]
    ended = CliRunner().invoke(cli.app, [*arguments, option, "the same"])
    assert ended.exit_code == 2 and "UUID" in ended.output and shop.sent == []
