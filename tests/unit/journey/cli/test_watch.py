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


def entry(service: str, kind: str, handled_type: type[Message], status: str) -> HistoryEntry:
    return HistoryEntry(
        service, kind, ID, f"{handled_type.__name__} at {service}", handled_type.TYPE, BEGAN, "", status, ()
    )


PLACED = entry("order_svc", "orders", orders.PlaceOrder, "placed")
CONFIRMED = entry("order_svc", "orders", orders.OrderConfirmed, "confirmed")
HELD = entry("inventory_svc", "reservations", orders.OrderPlaced, "held")
RECEIVED = entry("inventory_svc", "receipts", inventory.ReceiveStock, "counted")
GRANTED = entry("user_svc", "users", users.GrantRole, "active")


@pytest.mark.parametrize(
    ("history", "ends"),
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
async def test_watch_ends_when_the_journey_is_at_rest(
    monkeypatch: pytest.MonkeyPatch, history: JourneyHistory, ends: bool
) -> None:
    async def fetch(*_asked: object) -> JourneyHistory:
        return history

    monkeypatch.setattr(watch, "fetch", fetch)
    monkeypatch.setattr(watch, "_QUIET_S", 0.0)
    assert await watch.watch(NOWHERE, ID, Console(quiet=True), wait_s=30.0 if ends else 0.1) is ends
