"""A newer version reads what an older one stored, and vice versa."""

from dataclasses import dataclass, replace
from uuid import UUID

from chassis.bus.memory import MemoryStore
from chassis.core.codec import Codec
from chassis.core.definition import ServiceDefinition
from chassis.messaging.envelope import Envelope
from chassis.store import mongodb_documents
from chassis.store.mongodb_documents import entry_of, handled_from
from chassis.store.protocol import NO_TIMES, Change, Handled, HandlingTimes, Loaded
from contracts import orders
from contracts.catalog import CATALOG
from contracts.http.orders import OrderStatus
from order_svc.order import Order
from order_svc.service import order_service
from tests.support.pending_message_factory import NOW, message_processor, pending

SERVICE: ServiceDefinition = order_service()
ORDER, CUSTOMER = UUID(int=7), UUID(int=8)
KEY = str(ORDER)


@dataclass(frozen=True, slots=True)
class LaterOrder(Order):
    """A state with a field that a later version may add."""

    gift_wrapped: bool = False


async def test_messages_of_an_earlier_version_are_repeated_byte_for_byte() -> None:
    """Today's code would neither decide it nor serialise it like that."""
    expected = b'{ "order_id":"%s","reason":"customer",  "since_removed": [1, 2] }' % KEY.encode()
    emitted = Envelope(
        "id-of-old", orders.OrderCancelled.TYPE, "order_svc", KEY, "2024-01-01T00:00:00Z", KEY, "m", expected
    )
    store, state = MemoryStore(), Codec(Order).dump(Order(status=OrderStatus.CONFIRMED, order_id=ORDER))
    handled = Handled("cancel", orders.CancelOrder.TYPE, NOW, ("placed", "confirmed"), (emitted,))
    await store.start(SERVICE.kinds)
    await store.load("orders", [KEY])
    assert await store.save([Change(Loaded("orders", KEY), state, [handled])])
    message = orders.CancelOrder(order_id=ORDER, customer_id=CUSTOMER)
    cancelling = pending(SERVICE, message, "cancel")
    await message_processor(SERVICE, store).process([cancelling])
    assert cancelling.outcome == (emitted,)
    assert (
        isinstance(cancelling.outcome, tuple) and cancelling.outcome[0].wire_message(CATALOG).body == expected
    )
    assert (await store.load("orders", [KEY]))[KEY].version == 1


TIMES = HandlingTimes(NOW, NOW, NOW, NOW, failed_attempts=1, postponed=2)
ENTRY = {
    "id": "m",
    "type": orders.PlaceOrder.TYPE,
    "at": NOW,
    "journey": KEY,
    "from": "new",
    "to": "placed",
    "says": [],
}
"""A handled message as the version before the times has written it, with all fields that it reads."""


def test_a_record_without_times_is_read_and_written_as_before() -> None:
    handled = handled_from(ENTRY)
    assert handled.times == NO_TIMES
    assert entry_of(handled) == ENTRY


def test_an_earlier_version_finds_all_its_fields_beside_the_times() -> None:
    written = entry_of(replace(handled_from(ENTRY), times=TIMES))
    assert written.keys() - ENTRY.keys() == set(mongodb_documents.TIMES)
    assert {name: written[name] for name in ENTRY} == ENTRY
    assert handled_from(written).times == TIMES


def test_an_earlier_version_reads_the_state_of_a_later_one() -> None:
    later = LaterOrder(status=OrderStatus.PLACED, order_id=ORDER, gift_wrapped=True)
    assert Codec(Order).load(Codec(LaterOrder).dump(later)) == Order(
        status=OrderStatus.PLACED, order_id=ORDER
    )


def test_a_later_version_reads_the_state_of_an_earlier_one() -> None:
    earlier = Order(status=OrderStatus.PLACED, order_id=ORDER)
    assert Codec(LaterOrder).load(Codec(Order).dump(earlier)) == LaterOrder(
        status=OrderStatus.PLACED, order_id=ORDER
    )
