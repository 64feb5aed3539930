"""When `journey watch` ends: an order is at rest, or a message without an order is handled."""

import pytest
from rich.console import Console

from chassis.messaging.message import Message
from contracts import inventory, orders, users
from journey.admin.diagnosis.journey_history import HistoryEntry, JourneyHistory
from journey.admin.endpoints import ShopEndpoints
from journey.cli import watch
from tests.support.stuck_order_fixtures import BEGAN, ID

NOWHERE = ShopEndpoints("local", "", "", {}, {}, "", "")


def step(service: str, kind: str, handled_type: type[Message], status: str) -> HistoryEntry:
    return HistoryEntry(
        service, kind, ID, f"{handled_type.__name__} at {service}", handled_type.TYPE, BEGAN, "", status, ()
    )


PLACED = step("order_svc", "orders", orders.PlaceOrder, "placed")
CONFIRMED = step("order_svc", "orders", orders.OrderConfirmed, "confirmed")
HELD = step("inventory_svc", "reservations", orders.OrderPlaced, "held")
RECEIVED = step("inventory_svc", "receipts", inventory.ReceiveStock, "counted")
GRANTED = step("user_svc", "users", users.GrantRole, "active")


@pytest.mark.parametrize(
    ("trail", "ends"),
    [
        (JourneyHistory(), False),
        (JourneyHistory([PLACED, HELD]), False),
        (JourneyHistory([PLACED, CONFIRMED]), True),
        (JourneyHistory([HELD], silent=["order_svc"]), False),
        (JourneyHistory([RECEIVED]), True),
        (JourneyHistory([GRANTED]), True),
    ],
    ids=["nothing", "placed", "confirmed", "an order of which order_svc does not tell", "goods", "a role"],
)
async def test_watching_ends_when_all_is_done(
    monkeypatch: pytest.MonkeyPatch, trail: JourneyHistory, ends: bool
) -> None:
    async def fetch(*_asked: object) -> JourneyHistory:
        return trail

    monkeypatch.setattr(watch, "fetch", fetch)
    monkeypatch.setattr(watch, "_QUIET_S", 0.0)
    assert await watch.watch(NOWHERE, ID, Console(quiet=True), wait_s=30.0 if ends else 0.1) is ends
