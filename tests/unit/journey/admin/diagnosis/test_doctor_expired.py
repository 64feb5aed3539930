"""The doctor with services that deleted documents by their retention rules: that is no violation."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from chassis.retention import bring_in_accord
from chassis.store.protocol import Handled
from journey.admin.diagnosis.promises import HELD, LEDGER, MAILS, MONEY, STOCK
from journey.admin.registry import SERVICES
from payment_svc.simulator import LEDGER as BOOK
from tests.unit.journey.admin.diagnosis.test_doctor import EUR, NOW, FakeServices, examined, number

KEPT = timedelta(days=3_650)
LONG_AGO, LATELY = KEPT + timedelta(days=5), timedelta(days=30)
ENDED = {"orders": {"status": "dispatched"}, "reservations": {"status": "dispatched"}}


@pytest.fixture
async def services() -> AsyncIterator[FakeServices]:
    made = FakeServices()
    await made.open()
    yield made


async def look(services: FakeServices, **how: Any) -> Any:
    """After the services have dated their documents, as they do at their start."""
    for name, store in services.stores.items():
        for aggregate in SERVICES[name]().aggregates:
            if aggregate.ttl is not None:
                await bring_in_accord(name, aggregate, store, clock=lambda: NOW)
    return await examined(services, **how)


async def dispatched(services: FakeServices, ago: timedelta, **but: Any) -> str:
    """An order with all its documents; its mail has another kind than that of a confirmed order."""
    key = await services.confirmed(1, ago, **{**ENDED, "mails": None, **but})
    if but.get("mails", True) is not None:
        mail = {"status": "sent", "about": key, "kind": "order_dispatched"}
        await services.put("notification_svc", "mails", f"{key}:order_dispatched", mail, ago)
    await services.shelf(sold=1)
    return key


@pytest.mark.parametrize("gone", ["reservations", "payments", "mails"])
@pytest.mark.parametrize("recent", [False, True])
async def test_what_has_expired_of_an_old_order_is_no_damage(
    services: FakeServices, gone: str, recent: bool
) -> None:
    await dispatched(services, LONG_AGO, **{gone: None})
    assert await look(services, since=NOW - 2 * LONG_AGO if recent else None) == {}


@pytest.mark.parametrize(
    ("gone", "promise"), [("reservations", STOCK), ("payments", MONEY), ("mails", MAILS)], ids=str
)
async def test_what_is_missing_of_a_younger_order_is_damage(
    services: FakeServices, gone: str, promise: str
) -> None:
    await dispatched(services, LATELY, **{gone: None})
    assert (await look(services)).keys() == {promise}


PART = {"amount_minor": 200, "currency": "EUR"}


async def booked(services: FakeServices, effect: str, amount: dict[str, Any]) -> None:
    """Another entry in the provider's ledger for the order."""
    entry = {"effect": effect, "asked": "", "reference": "r", "amount": amount, "outcome": "refunded"}
    await services.put("payment_svc", BOOK, f"{number(1)}:{effect}", entry, LONG_AGO)


@pytest.mark.parametrize("ledger", [PART, EUR], ids=["a refund of a part", "a settlement or all parts"])
async def test_a_refunded_order_without_its_expired_payment_is_no_damage(
    services: FakeServices, ledger: dict[str, Any]
) -> None:
    await dispatched(services, LONG_AGO, payments=None)
    await booked(services, "refund_part", ledger)
    assert await look(services) == {}


async def test_more_refunded_than_captured_is_damage_without_the_expired_payment(
    services: FakeServices,
) -> None:
    await dispatched(services, LONG_AGO, payments=None)
    await booked(services, "refund_part", PART)
    await booked(services, "refund", EUR)
    [sentence] = (await look(services))[LEDGER].broken
    assert "-200 net at the provider, its total is 500" in sentence


async def test_a_refund_of_a_younger_missing_payment_is_damage(services: FakeServices) -> None:
    await dispatched(services, LATELY, payments=None)
    await booked(services, "refund_part", PART)
    assert (await look(services)).keys() == {MONEY, LEDGER}


async def test_goods_of_an_old_confirmed_order_do_not_expire(services: FakeServices) -> None:
    await services.confirmed(1, LONG_AGO, reservations=None, payments=None, mails=None)
    await services.shelf(sold=1)
    assert (await look(services)).keys() == {STOCK}, "its payment and its mail do"


async def confirmation_of(services: FakeServices, key: str, ago: timedelta) -> None:
    """order_svc records when it was confirmed."""
    handled = Handled("1", "payment.authorized.v1", NOW - ago, ("placed", "confirmed"), (), key)
    [loaded] = (await services.stores["order_svc"].load("orders", [key])).values()
    document = services.stores["order_svc"]._kinds["orders"][key]
    services.stores["order_svc"]._kinds["orders"][key] = type(document)(loaded, (handled,))


@pytest.mark.parametrize(
    ("confirmed", "broken"), [(LONG_AGO, set()), (LATELY, {MONEY})], ids=["long ago", "lately"]
)
async def test_the_payment_may_expire_before_a_late_dispatched_order(
    services: FakeServices, confirmed: timedelta, broken: set[str]
) -> None:
    key = await dispatched(services, timedelta(days=1), payments=None)
    await confirmation_of(services, key, confirmed)
    assert (await look(services)).keys() == broken


@pytest.mark.parametrize(
    ("goods", "payment", "promise"),
    [("held", "authorized", HELD), ("committed", "dropped", STOCK), ("dispatched", "captured", MONEY)],
    ids=str,
)
async def test_goods_and_money_of_a_prematurely_missing_order_are_violations(
    services: FakeServices, goods: str, payment: str, promise: str
) -> None:
    key = await services.confirmed(
        1, LATELY, orders=None, mails=None, reservations={"status": goods}, payments={"status": payment}
    )
    await services.shelf(sold=0)
    broken = await look(services)
    assert promise in broken
    assert all(key in each for name in broken.keys() - {HELD} for each in broken[name].broken)


async def test_reserved_goods_of_an_old_order_are_a_violation(services: FakeServices) -> None:
    await services.confirmed(
        1, LONG_AGO, orders=None, mails=None, payments=None, reservations={"status": "committed"}
    )
    await services.shelf(sold=0)
    assert (await look(services)).keys() == {STOCK}


async def test_remains_of_an_expired_order_are_no_violation(services: FakeServices) -> None:
    await services.confirmed(1, LONG_AGO, orders=None, mails=None, reservations={"status": "dispatched"})
    other: Any = {"orders": {"status": "cancelled"}, "mails": {"kind": "order_cancelled"}, BOOK: None}
    await services.confirmed(2, LONG_AGO, reservations=None, payments=None, **other)
    await services.shelf(sold=1)
    assert await look(services) == {}, "the shop is old enough: its order may have taken the piece"


async def test_unexplained_sales_are_a_violation_before_any_order_can_expire(services: FakeServices) -> None:
    await dispatched(services, LATELY)
    await services.shelf(sold=2)
    assert (await look(services)).keys() == {STOCK}


async def test_fewer_pieces_sold_than_taken_are_always_damage(services: FakeServices) -> None:
    await dispatched(services, LONG_AGO)
    await services.shelf(sold=0)
    assert (await look(services)).keys() == {STOCK}
