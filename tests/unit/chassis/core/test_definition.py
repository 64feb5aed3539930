"""Options of a service definition beyond the messages that an aggregate handles."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from chassis.bus.memory import MemoryStore
from chassis.bus.topology import build
from chassis.bus.topology_model import BrokerUser
from chassis.core.decision import Context, Decision
from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.messaging.catalog import Catalog
from chassis.store.protocol import Change
from contracts import orders
from contracts.catalog import CATALOG
from order_svc.order import Order
from order_svc.service import order_service
from tests.support.pending_message_factory import message_processor, pending

EMITTED = datetime(2026, 1, 1, 12, 0, 0, 500, tzinfo=UTC)
HANDLED = EMITTED + timedelta(minutes=7)
CANCEL = orders.CancelOrder(order_id=UUID(int=1), customer_id=UUID(int=2))


async def run(aggregate: Aggregate[Any], store: MemoryStore) -> None:
    service = ServiceDefinition("order_svc", (aggregate,), catalog=CATALOG)
    await store.start(service.kinds)
    cancelling = pending(service, CANCEL, sent_at=EMITTED)
    await message_processor(service, store, clock=lambda: HANDLED).process([cancelling])
    assert cancelling.outcome == ()


async def test_the_context_gives_the_time_of_sending() -> None:
    reported: list[tuple[Any, ...]] = []

    def decide(state: Order, *message_and_context: Any) -> Decision[Order]:
        reported.append(message_and_context)
        return Decision(state)

    await run(Aggregate("orders", Order(), decide, handles=(orders.CancelOrder,)), MemoryStore())
    assert reported == [(CANCEL, Context({}, EMITTED))]


async def test_each_change_renews_the_retention() -> None:
    written: list[Change] = []

    class Remembering(MemoryStore):
        async def save(self, changes: Any, *, together: bool = False) -> bool:
            written.extend(changes)
            return await super().save(changes, together=together)

    for_ever = Aggregate(
        "orders", Order(), lambda state, message, _: Decision(state), handles=(orders.CancelOrder,)
    )
    await run(for_ever, Remembering())
    await run(replace(for_ever, ttl=timedelta(days=30)), Remembering())
    assert [each.kept_until for each in written] == [None, HANDLED + timedelta(days=30)]


def user_of(service: ServiceDefinition) -> BrokerUser:
    return next(user for user in build([service]).users if user.name == service.name)


def test_a_service_sends_only_commands_named_in_its_definition() -> None:
    plain = order_service()
    gateway = ServiceDefinition("gateway", (), catalog=CATALOG, sends=(orders.PlaceOrder,))
    assert user_of(plain).topics["commands"] == "^(order[.]deadline_passed[.]v1)$"
    assert user_of(gateway).topics["commands"] == "^(order[.]cancel[.]v1|order[.]place[.]v1)$"
    assert user_of(gateway).topics["events"] == "^$"


def test_a_service_with_a_forbidden_command_does_not_load() -> None:
    with pytest.raises(TypeError, match="asked_by does not name it"):
        ServiceDefinition("gateway", (), catalog=CATALOG, sends=(orders.DispatchOrder,))


def test_a_topology_belongs_to_one_program() -> None:
    other = ServiceDefinition("kitchen_svc", (), catalog=Catalog(declared_in="kitchen.catalog"))
    with pytest.raises(ValueError, match=r"contracts/catalog\.py and kitchen/catalog\.py; give them one"):
        build([order_service(), other])
    with pytest.raises(ValueError, match="no services"):
        build([])
