"""The inbox: what waits, and which of it becomes the next batch."""

from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID, uuid4

from chassis.bus.protocol import Delivery
from chassis.bus.retry_ladder import RETURNS_SUSPECT
from chassis.core.definition import ServiceDefinition
from chassis.core.inbox import BATCH_MAX, SHARE_MAX, Inbox
from chassis.core.pending_message import PendingMessage
from chassis.messaging.envelope import wrap
from chassis.messaging.message import Message
from chassis.store.lease import Lease
from contracts import orders
from contracts.catalog import CATALOG
from order_svc.service import order_service
from tests.support.pending_message_factory import NOW

SERVICE: ServiceDefinition = order_service()
HOT = UUID(int=7)


async def settle(done: bool) -> None:
    raise AssertionError("the inbox settles nothing")


def delivery(message: Message) -> Delivery:
    wire_message = wrap(message, id=str(uuid4()), source="client", now=NOW).wire_message(CATALOG)
    return Delivery(replace(wire_message, user_id="client"), "order_svc.commands", settle)


def cancel(order_id: UUID | None = None) -> orders.CancelOrder:
    return orders.CancelOrder(order_id=order_id or uuid4(), customer_id=uuid4())


def inbox_with(deliveries: Iterable[Delivery]) -> tuple[Inbox, list[PendingMessage]]:
    inbox = Inbox(SERVICE)
    waiting = [inbox.parse(each, NOW) for each in deliveries]
    for pending in waiting:
        inbox.unsettled += 1
        inbox.put(pending)
    return inbox, waiting


async def test_one_aggregate_gets_its_share_while_others_wait() -> None:
    hot = [delivery(cancel(HOT)) for _ in range(BATCH_MAX)]
    inbox, waiting = inbox_with([*hot, *(delivery(cancel()) for _ in range(BATCH_MAX))])
    batch = inbox.next_batch()
    assert len(batch) == BATCH_MAX
    assert sum(pending.key == str(HOT) for pending in batch) == SHARE_MAX
    assert batch == [pending for pending in waiting if pending in set(batch)]


async def test_one_aggregate_fills_a_batch_if_nothing_else_waits() -> None:
    inbox, waiting = inbox_with(delivery(cancel(HOT)) for _ in range(BATCH_MAX + 1))
    assert inbox.next_batch() == waiting[:BATCH_MAX]


async def test_no_aggregate_is_in_two_batches_at_once() -> None:
    inbox, [first] = inbox_with([delivery(cancel(HOT))])
    assert inbox.next_batch() == [first]
    later = inbox.parse(delivery(cancel(HOT)), NOW)
    inbox.put(later)
    assert inbox.next_batch() == []
    inbox.release([first])
    assert inbox.next_batch() == [later]


async def test_results_of_suspects_are_stored_one_at_a_time() -> None:
    """Their process may die over them, and the broker counts that against every message in hand."""
    returned = [replace(delivery(cancel()), returned=returns) for returns in (RETURNS_SUSPECT, 0)]
    inbox, [suspect, other] = inbox_with(returned)
    for pending in (suspect, other):
        pending.lease = Lease("holder", NOW)
    assert inbox.next_batch() == [other]
    inbox.unsettled -= 1
    assert inbox.next_batch() == [suspect]
