"""What the pages learn about a command: it was sent, it was not, or that is unknown."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from chassis.bus.protocol import BusUnavailable, Unroutable
from chassis.messaging.envelope import WireMessage
from chassis.messaging.identity import new_id
from contracts import orders
from operations import broker as broker_module
from operations.broker import Broker, CommandNotConfirmed, CommandNotSent

COMMAND = orders.DispatchOrder(order_id=new_id())
Outcome = Callable[[], list[Exception | None]]


def confirmed() -> list[Exception | None]:
    return [None]


def refused() -> list[Exception | None]:
    return [Unroutable("no queue")]


def lost() -> list[Exception | None]:
    return [BusUnavailable("the channel was closed")]


def silent() -> list[Exception | None]:
    raise TimeoutError


def broken() -> list[Exception | None]:
    raise BusUnavailable("the connection was closed")


class ScriptedBus:
    """Responds to the audit entry, then to the command."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = [*outcomes]

    async def start(self) -> None:
        """It is connected."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def publish(self, wire_messages: Sequence[WireMessage]) -> list[Exception | None]:
        return self.outcomes.pop(0)()


@pytest.mark.parametrize(
    ("audit", "command", "error"),
    [
        (lost, confirmed, CommandNotSent),
        (silent, confirmed, CommandNotSent),
        (broken, confirmed, CommandNotSent),
        (confirmed, refused, CommandNotSent),
        (confirmed, lost, CommandNotConfirmed),
        (confirmed, silent, CommandNotConfirmed),
        (confirmed, broken, CommandNotConfirmed),
    ],
)
async def test_only_a_command_that_went_out_is_unknown(
    monkeypatch: pytest.MonkeyPatch, audit: Outcome, command: Outcome, error: type[Exception]
) -> None:
    bus: Any = ScriptedBus(audit, command)
    monkeypatch.setattr(broker_module, "RabbitBus", lambda url: bus)
    broker: Any = object.__new__(Broker)
    broker._settings = type("Settings", (), {"broker_url": staticmethod(lambda: "amqp://somewhere")})
    with pytest.raises(CommandNotSent) as raised:
        await broker.send_command(COMMAND, "staff")
    assert type(raised.value) is error
    sentence = raised.value.sentence("it counts once")
    assert sentence.startswith("Not sent: ") == (error is CommandNotSent)
    assert sentence.endswith("; it counts once") == (error is CommandNotConfirmed)
