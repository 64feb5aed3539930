"""A catalog holds the messages of one program; two programs in one process can have different ones."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from chassis.core.decision import Context, Decision
from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.messaging.catalog import Catalog, UnknownMessageType
from chassis.messaging.envelope import Envelope, Forged, Malformed, WireMessage, parse, wrap
from chassis.messaging.message import Command, Event, Message, Owner, Sender
from contracts import orders
from contracts.catalog import CATALOG

NOW = datetime(2026, 1, 2, tzinfo=UTC)

SHOP = Owner("order", service="order_svc")


class ShopOrder(Event, owner=SHOP, type="order.placed.v1", subject="number"):
    number: str


KITCHEN = Owner("order", service="kitchen_svc")


class KitchenOrder(Event, owner=KITCHEN, type="order.placed.v1", subject="table"):
    table: str


SHOPS = Catalog(SHOP, declared_in="tests.shops")
KITCHENS = Catalog(KITCHEN, declared_in="tests.kitchens")


def received(message: Message, catalog: Catalog) -> WireMessage:
    """As a broker delivers it, with the user that it has verified."""
    envelope = wrap(message, id="m-1", source=message.OWNER, now=NOW)
    return replace(envelope.wire_message(catalog), user_id=message.OWNER)


def test_two_programs_in_one_process_disagree_about_an_owner() -> None:
    shop_order, kitchen_order = ShopOrder(number="7"), KitchenOrder(table="7")
    for message, catalog, other in ((shop_order, SHOPS, KITCHENS), (kitchen_order, KITCHENS, SHOPS)):
        wire_message = received(message, catalog)
        assert parse(wire_message, catalog, reader="reader_svc")[1] == message
        with pytest.raises(Forged, match=f"must come from {other['order.placed.v1'].OWNER}"):
            parse(wire_message, other, reader="reader_svc")


def test_each_catalog_has_its_own_roles() -> None:
    assert SHOPS.role_of("order_svc") == "order_svc" and SHOPS.role_of("kitchen_svc") == "other"
    assert KITCHENS.role_of("kitchen_svc") == "kitchen_svc" and KITCHENS.role_of("order_svc") == "other"
    assert SHOPS.sent_by("order_svc") == (ShopOrder,) and KITCHENS.sent_by("kitchen_svc") == (KitchenOrder,)


def test_one_catalog_has_one_owner_for_a_prefix() -> None:
    with pytest.raises(
        ValueError, match=r"'order' belongs to order_svc already.*for kitchen_svc in tests\.shops"
    ):
        Catalog(SHOP, KITCHEN, declared_in="tests.shops")


def test_a_missing_type_names_the_file_to_write() -> None:
    with pytest.raises(UnknownMessageType, match=r"'gift\.wrap\.v1'.*Catalog\(…\) in tests/shops\.py"):
        SHOPS["gift.wrap.v1"]
    stored = Envelope("m-1", "gift.wrap.v1", "gift_svc", "7", "", "", "", b"{}")
    with pytest.raises(UnknownMessageType, match=r"'gift\.wrap\.v1'"):
        stored.wire_message(SHOPS)


def test_an_unknown_type_on_the_wire_names_the_catalog() -> None:
    dispatched = orders.OrderDispatched(order_id=UUID(int=1), customer_id=UUID(int=2))
    with pytest.raises(Malformed, match=r"'order\.dispatched\.v1'.*tests/shops\.py"):
        parse(received(dispatched, CATALOG), SHOPS, reader="reader_svc")


def test_a_definition_with_an_uncatalogued_message_does_not_load() -> None:
    with pytest.raises(TypeError, match=r"add its owner to Catalog\(…\) in tests/shops\.py") as error:
        ServiceDefinition("gift_svc", (_aggregate(orders.OrderConfirmed),), catalog=SHOPS)
    assert "OrderConfirmed of contracts/orders.py" in str(error.value)


def test_a_late_declared_message_names_the_missing_import() -> None:
    owner = Owner("late", service="late_svc")
    catalog = Catalog(owner, declared_in="tests.shops")

    class TooLate(Event, owner=owner, type="late.said.v1", subject="x"):
        x: str

    with pytest.raises(
        TypeError, match=r"import tests/unit/contracts/test_catalog\.py above the Catalog\(…\) in tests/shops"
    ):
        ServiceDefinition("late_svc", (_aggregate(TooLate),), catalog=catalog)


def test_a_definition_handles_the_class_of_its_own_catalog() -> None:
    with pytest.raises(TypeError, match=r"'order\.placed\.v1' of tests/shops\.py is ShopOrder"):
        ServiceDefinition("reader_svc", (_aggregate(KitchenOrder),), catalog=SHOPS)


def test_an_owner_has_each_type_once() -> None:
    with pytest.raises(TypeError, match=r"'order\.placed\.v1' is already used by ShopOrder"):

        class Again(Event, owner=SHOP, type="order.placed.v1", subject="number"):
            number: str

    assert SHOP.messages == {"order.placed.v1": ShopOrder}


def test_a_rejected_declaration_leaves_nothing_behind() -> None:
    owner = Owner("gift", service="gift_svc")
    with pytest.raises(TypeError, match="to itself"):

        class Impossible(
            Command, owner=owner, type="gift.wrap.v1", sender=Sender.SELF, asked_by=("gateway",)
        ):
            x: int

    assert not owner.messages


def test_a_message_without_an_owner_names_the_lines_to_write() -> None:
    with pytest.raises(TypeError, match=r"write GIFT = Owner\(\"gift\", service=…\) above it") as error:
        type("WrapGift", (Command,), {"__module__": "contracts.gifts"}, type="gift.wrap.v1")
    assert "contracts/gifts.py" in str(error.value) and "owner=GIFT" in str(error.value)


def test_a_type_begins_with_the_prefix_of_its_owner() -> None:
    with pytest.raises(
        TypeError, match=r"'gift\.wrap\.v1' must begin with 'order\.', the prefix of order_svc"
    ):
        type("WrapGift", (Command,), {"__module__": "contracts.gifts"}, type="gift.wrap.v1", owner=SHOP)


def _decide(state: str, message: Message, _: Context[object]) -> Decision[str]:
    return Decision(state)


def _aggregate(handled: type[Message]) -> Aggregate[str]:
    return Aggregate("kind", "", _decide, handles=(handled,))
