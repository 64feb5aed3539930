"""A database that was set back is brought to what its service published, and to nothing else."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chassis.bus.memory import MemoryStore
from chassis.core.definition import ServiceDefinition
from chassis.core.roll_forward import RolledForward, RollForward, WrittenMeanwhile, past_decisions
from chassis.messaging.envelope import Envelope, wrap
from chassis.messaging.identity import derived_id
from chassis.messaging.message import Message
from chassis.store.protocol import Change, Loaded
from contracts import inventory, orders, payments
from contracts.catalog import CATALOG
from inventory_svc.service import inventory_service
from order_svc.service import order_service
from payment_svc.service import payment_service
from tests.support.messages import AUTHORIZED, CONFIRMED, DISPATCHED, ORDER, PLACED, RESERVED

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
RECEIVED = inventory.StockReceived(receipt_id=ORDER, sku=PLACED.lines[0].sku, quantity=2)


def event(
    message: Message, seconds: float, *, id: str = "", causation_id: str = ""
) -> tuple[Envelope, Message]:
    at = NOON + timedelta(seconds=seconds)
    id_ = id or f"id of {type(message).__name__}"
    return wrap(message, id=id_, source=message.OWNER, now=at, causation_id=causation_id), message


def caused(cause: tuple[Envelope, Message], message: Message, seconds: float) -> tuple[Envelope, Message]:
    """An event that its owner emitted as the first message of its decision about the cause."""
    id_ = derived_id(cause[0].id, message.OWNER, 0)
    return event(message, seconds, id=id_, causation_id=cause[0].id)


async def rolled(
    service: ServiceDefinition, store: MemoryStore, events: list[tuple[Envelope, Message]]
) -> RolledForward:
    return await RollForward(service, store).run(past_decisions(service, events))


async def state_of(store: MemoryStore, kind: str, key: object = ORDER) -> dict[str, Any]:
    return (await store.load(kind, [str(key)]))[str(key)].state or {}


async def test_events_of_unknown_cause_are_recalled_and_kept() -> None:
    store = MemoryStore()
    placed = event(PLACED, 0, causation_id="a client's command")
    found = [placed, event(CONFIRMED, 2, causation_id="of no journal"), event(DISPATCHED, 3)]
    result = await rolled(order_service(), store, found)
    assert (result.recalled, result.decided) == (3, 0)
    assert (await state_of(store, "orders"))["status"] == "dispatched"
    emitted = await store.emitted("orders", {str(ORDER): ["a client's command"]})
    assert emitted == {"a client's command": (placed[0],)}


async def test_a_late_event_does_not_contradict_published_events() -> None:
    """The goods were rejected after the cancellation, but sent before it."""
    store = MemoryStore()
    rejected = event(inventory.StockRejected(order_id=ORDER, short=()), 1)
    cancelled = orders.OrderCancelled(
        order_id=ORDER, customer_id=PLACED.customer_id, reason=orders.CancelReason.CUSTOMER
    )
    found = [event(PLACED, 0), rejected, event(cancelled, 2)]
    result = await rolled(order_service(), store, found)
    assert not result.left
    assert (await state_of(store, "orders"))["cancel_reason"] == "customer"


async def test_a_new_event_is_left_to_the_service() -> None:
    store = MemoryStore()
    found = [event(PLACED, 0), event(RESERVED, 1), event(AUTHORIZED, 2)]
    result = await rolled(order_service(), store, found)
    assert result.new == 1 and not result.left
    assert (await state_of(store, "orders"))["status"] == "placed"


async def test_stock_moves_in_its_original_order() -> None:
    """The second order took what the cancellation of the first one had released."""
    store = MemoryStore()
    second = PLACED.model_copy(update={"order_id": RECEIVED.receipt_id, "lines": PLACED.lines[:1]})
    first = second.model_copy(update={"order_id": PLACED.customer_id})
    cancelled = orders.OrderCancelled(
        order_id=first.order_id,
        customer_id=PLACED.customer_id,
        reason=orders.CancelReason.CUSTOMER,
        after_confirmation=False,
    )
    both = [event(each, 1, id=f"placed {number}") for number, each in enumerate((first, second))]
    released = event(cancelled, 3)
    found = [
        *both,
        event(RECEIVED, 0, causation_id="a delivery of goods"),
        released,
        caused(both[1], inventory.StockReserved(order_id=second.order_id), 5),
        caused(released, inventory.StockReleased(order_id=first.order_id), 4),
        caused(both[0], inventory.StockReserved(order_id=first.order_id), 2),
    ]
    result = await rolled(inventory_service(), store, found)
    assert not result.left
    shelf = await state_of(store, "shelves", RECEIVED.sku)
    assert (shelf["received"], shelf["available"], shelf["reserved"]) == (2, 0, 2)
    assert (await state_of(store, "reservations", first.order_id))["status"] == "released"


async def test_a_rejection_is_recalled_after_a_cancellation_sent_before_it() -> None:
    """The cancellation was handled later and led to no event, so only the time of its sending is known."""
    store = MemoryStore()
    placed = event(PLACED, 0)
    cancelled = orders.OrderCancelled(
        order_id=ORDER, customer_id=PLACED.customer_id, reason=orders.CancelReason.CUSTOMER
    )
    rejected = caused(placed, inventory.StockRejected(order_id=ORDER, short=()), 2)
    result = await rolled(inventory_service(), store, [placed, event(cancelled, 1), rejected])
    assert not result.left
    assert (await state_of(store, "reservations"))["status"] == "rejected"


async def test_a_command_to_itself_has_the_time_of_its_cause() -> None:
    store = MemoryStore()
    found = [event(PLACED, 0), event(RESERVED, 1)]
    await rolled(payment_service(), store, found)
    [(loaded, envelopes)] = await store.unpublished("payments", NOON + timedelta(days=1), 10)
    assert (loaded.state or {})["status"] == "authorizing"
    [authorize] = [each for each in envelopes if each.type == payments.Authorize.TYPE]
    assert authorize.sent_at == NOON + timedelta(seconds=1), "a provider forgets the key of an old request"


async def test_a_join_is_completed_by_the_event_that_completed_it() -> None:
    """So the command has the same id, and the events that follow from it have theirs."""
    store = MemoryStore()
    placed, reserved = event(PLACED, 0), event(RESERVED, 1)
    authorize_id = derived_id(placed[0].id, "payment_svc", 0)  # the order arrived after the goods
    authorized = event(AUTHORIZED, 2, causation_id=authorize_id)
    await rolled(payment_service(), store, [placed, reserved, authorized])
    [(_, envelopes)] = await store.unpublished("payments", NOON + timedelta(days=1), 10)
    assert [each.id for each in envelopes if each.type == payments.Authorize.TYPE] == [authorize_id]


async def test_messages_that_the_backup_has_handled_change_nothing() -> None:
    store = MemoryStore()
    found = [event(PLACED, 0, causation_id="placed"), event(CONFIRMED, 2)]
    await rolled(order_service(), store, found)
    again = await rolled(order_service(), store, found)
    assert (again.known, again.recalled) == (2, 0)


async def test_an_instance_that_runs_is_noticed() -> None:
    class Busy(MemoryStore):
        async def save(self, changes: Any, *, together: bool = False) -> bool:
            return False

    with pytest.raises(WrittenMeanwhile, match="an instance of order_svc runs"):
        await rolled(order_service(), Busy(), [event(PLACED, 0)])


async def test_a_state_that_cannot_be_read_is_left_alone() -> None:
    store = MemoryStore()
    await store.save([Change(Loaded("orders", str(ORDER)), {"status": "of a later version"})])
    result = await rolled(order_service(), store, [event(CONFIRMED, 0)])
    assert "cannot be read" in next(iter(result.left))


def test_the_journal_may_hold_an_event_twice() -> None:
    placed = event(PLACED, 0)
    assert len(past_decisions(order_service(), [placed, placed])) == 1
    assert placed[0].type in CATALOG
