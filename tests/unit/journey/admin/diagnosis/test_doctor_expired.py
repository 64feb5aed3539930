"""The doctor with services that deleted documents by their retention rules: that is no violation."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from chassis.retention import bring_in_accord
from chassis.store.protocol import Handled
from journey.admin.diagnosis.promises import HELD, MAILS, MONEY, STOCK
from journey.admin.registry import SERVICES
from payment_svc.simulator import LEDGER as BOOK
from tests.unit.journey.admin.diagnosis.test_doctor import NOW, Town, examined

KEPT = timedelta(days=3_650)
LONG_AGO, LATELY = KEPT + timedelta(days=5), timedelta(days=30)
ENDED = {"orders": {"status": "dispatched"}, "reservations": {"status": "dispatched"}}


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    made = Town()
    await made.open()
    yield made


async def look(town: Town, **how: Any) -> Any:
    """After the services have dated their documents, as they do at their start."""
    for name, store in town.stores.items():
        for aggregate in SERVICES[name]().aggregates:
            if aggregate.ttl is not None:
                await bring_in_accord(name, aggregate, store, clock=lambda: NOW)
    return await examined(town, **how)


async def dispatched(town: Town, ago: timedelta, **but: Any) -> str:
    """An order with all its documents; its mail has another kind than that of a confirmed order."""
    key = await town.confirmed(1, ago, **{**ENDED, "mails": None, **but})
    if but.get("mails", True) is not None:
        mail = {"status": "sent", "about": key, "kind": "order_dispatched"}
        await town.put("notification_svc", "mails", f"{key}:order_dispatched", mail, ago)
    await town.shelf(sold=1)
    return key


@pytest.mark.parametrize("gone", ["reservations", "payments", "mails"])
@pytest.mark.parametrize("recent", [False, True])
async def test_what_has_expired_of_an_old_order_is_no_damage(town: Town, gone: str, recent: bool) -> None:
    await dispatched(town, LONG_AGO, **{gone: None})
    assert await look(town, since=NOW - 2 * LONG_AGO if recent else None) == {}


@pytest.mark.parametrize(
    ("gone", "promise"), [("reservations", STOCK), ("payments", MONEY), ("mails", MAILS)], ids=str
)
async def test_what_is_missing_of_a_younger_order_is_damage(town: Town, gone: str, promise: str) -> None:
    await dispatched(town, LATELY, **{gone: None})
    assert (await look(town)).keys() == {promise}


async def test_goods_of_an_old_order_that_is_still_confirmed_do_not_expire(town: Town) -> None:
    await town.confirmed(1, LONG_AGO, reservations=None, payments=None, mails=None)
    await town.shelf(sold=1)
    assert (await look(town)).keys() == {STOCK}, "its payment and its mail do"


async def confirmation_of(town: Town, key: str, ago: timedelta) -> None:
    """order_svc records when it was confirmed."""
    handled = Handled("1", "payment.authorized.v1", NOW - ago, ("placed", "confirmed"), (), key)
    [loaded] = (await town.stores["order_svc"].load("orders", [key])).values()
    document = town.stores["order_svc"]._kinds["orders"][key]
    town.stores["order_svc"]._kinds["orders"][key] = type(document)(loaded, (handled,))


@pytest.mark.parametrize(
    ("confirmed", "broken"), [(LONG_AGO, set()), (LATELY, {MONEY})], ids=["long ago", "lately"]
)
async def test_the_payment_of_an_order_that_was_dispatched_late_expires_before_it(
    town: Town, confirmed: timedelta, broken: set[str]
) -> None:
    key = await dispatched(town, timedelta(days=1), payments=None)
    await confirmation_of(town, key, confirmed)
    assert (await look(town)).keys() == broken


@pytest.mark.parametrize(
    ("goods", "payment", "promise"),
    [("held", "authorized", HELD), ("committed", "dropped", STOCK), ("dispatched", "captured", MONEY)],
    ids=str,
)
async def test_goods_and_money_for_an_order_that_is_gone_too_early_are_damage(
    town: Town, goods: str, payment: str, promise: str
) -> None:
    key = await town.confirmed(
        1, LATELY, orders=None, mails=None, reservations={"status": goods}, payments={"status": payment}
    )
    await town.shelf(sold=0)
    broken = await look(town)
    assert promise in broken
    assert all(key in each for name in broken.keys() - {HELD} for each in broken[name].broken)


async def test_goods_that_are_held_for_an_order_are_damage_however_old_it_was(town: Town) -> None:
    await town.confirmed(
        1, LONG_AGO, orders=None, mails=None, payments=None, reservations={"status": "committed"}
    )
    await town.shelf(sold=0)
    assert (await look(town)).keys() == {STOCK}


async def test_what_is_left_of_an_order_that_has_expired_is_no_damage(town: Town) -> None:
    await town.confirmed(1, LONG_AGO, orders=None, mails=None, reservations={"status": "dispatched"})
    other: Any = {"orders": {"status": "cancelled"}, "mails": {"kind": "order_cancelled"}, BOOK: None}
    await town.confirmed(2, LONG_AGO, reservations=None, payments=None, **other)
    await town.shelf(sold=1)
    assert await look(town) == {}, "the shop is old enough: its order may have taken the piece"


async def test_more_pieces_sold_than_taken_are_damage_while_no_order_can_have_expired(town: Town) -> None:
    await dispatched(town, LATELY)
    await town.shelf(sold=2)
    assert (await look(town)).keys() == {STOCK}


async def test_fewer_pieces_sold_than_taken_are_always_damage(town: Town) -> None:
    await dispatched(town, LONG_AGO)
    await town.shelf(sold=0)
    assert (await look(town)).keys() == {STOCK}
