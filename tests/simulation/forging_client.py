"""A client that forges commands of the staff in every way that it can."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from chassis.messaging.envelope import WireMessage, wrap
from chassis.messaging.message import Command
from chassis.messaging.senders import CLIENT, senders
from contracts import inventory, orders, products, users
from contracts.catalog import CATALOG, NAMES
from contracts.roles import Role
from contracts.values import Money
from tests.simulation import virtual_time
from tests.simulation.world import World

_CHEAP = Money(amount_minor=1, currency="EUR")
_UNDER = orders.PlaceOrder.TYPE  # a client may send these
# Headers of a message that its service has checked, or that an operator redrives.
_CLAIMS = {"attempt": 1, "postponed": 1, "origin_exchange": NAMES.commands}
_WAYS: dict[str, Callable[[Command], dict[str, Any]]] = {
    "disguised": lambda command: {},
    "CC": lambda command: {"CC": [command.TYPE]},
    "BCC": lambda command: {"BCC": [command.TYPE]},
    "with claims": lambda command: {
        "BCC": [command.TYPE],
        "origin_user": senders(type(command))[0],
        "origin_key": command.TYPE,
        **_CLAIMS,
    },
}


def forge(
    world: World, number: int, order_ids: Sequence[UUID], sku: str, pick: Callable[[str, Sequence[Any]], Any]
) -> None:
    """Forge one command; `pick` chooses among the options, given a name for the choice.

    Does nothing if the broker is away.
    """
    receipt = UUID(int=(0x05 << 120) | number)
    commands: list[Command] = [
        inventory.ReceiveStock(receipt_id=receipt, sku=sku, quantity=1_000),
        products.ChangePrice(sku=sku, price=_CHEAP),
        users.GrantRole(user_id=receipt, role=Role.STAFF),
        *(orders.DispatchOrder(order_id=order_id) for order_id in order_ids),
    ]
    command, way = pick("forged", commands), pick("way", sorted(_WAYS))
    wrapped = wrap(command, id=f"forged-{number}", source=CLIENT, now=virtual_time.now()).wire_message(
        CATALOG
    )
    headers = {**wrapped.headers, **_WAYS[way](command)}
    wire_message: WireMessage = replace(wrapped, routing_key=_UNDER, headers=headers, user_id=CLIENT)
    world.monitor.forged.add(wire_message.message_id)
    world.trace.note(CLIENT, f"forges, {way}:", world.called(wire_message))
    world.broker.route(wire_message)
