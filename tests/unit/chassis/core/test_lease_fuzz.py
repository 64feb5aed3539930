"""Random copies and faults at three instances: each mail is sent once, and no lease remains."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from chassis.core.definition import EffectLimits, EffectUnavailable
from chassis.store.protocol import Change, StoreRefused, StoreUnavailable
from contracts import orders
from contracts.notifications import MailKind
from notification_svc.mail import Deferred, Deliver, Sent
from tests.simulation import virtual_time
from tests.support.shops.mails import SEND, MailShop, confirmed, message_id, play
from tests.support.two_instances import CONFIRMED, CUSTOMER


class FaultyDatabase:
    """Makes the writes of a shop's store slow, incomplete, refused or of unknown outcome."""

    def __init__(self, shop: MailShop, chance: random.Random) -> None:
        self.works = False
        self._chance = chance
        self._save = shop.store.save
        shop.store.save = self.save  # type: ignore[method-assign]

    async def save(self, changes: Sequence[Change], **how: Any) -> bool:
        fault = 1.0 if self.works else self._chance.random()
        await asyncio.sleep(self._chance.choice([0, 0.002, 0.05]))
        if fault < 0.04:
            raise StoreUnavailable("not done")
        if fault < 0.07 and len(changes) > 1:
            raise StoreRefused("one of them")
        if fault < 0.10 and len(changes) > 1:
            await self._save(changes[: len(changes) // 2], **how)
            return False
        done = await self._save(changes, **how)
        if fault < 0.16:
            raise StoreUnavailable("done")
        return done


class FaultyMailServer:
    """Slow, and often away. `mails`: how many it has taken about each order and kind."""

    def __init__(self, chance: random.Random) -> None:
        self.mails = Counter[tuple[str, MailKind]]()
        self._chance = chance

    async def __call__(self, request: Deliver, attempt: int) -> Any:
        await asyncio.sleep(self._chance.choice([0.05, 1, 4, 12]))
        fault = self._chance.random()
        if fault < 0.15:
            now = virtual_time.now()
            return Deferred(now, now + timedelta(seconds=5), counts=False)
        if fault < 0.25:
            raise EffectUnavailable("away")
        if fault < 0.28:
            raise ValueError("a bug")
        self.mails[str(request.mail.about), request.mail.kind] += 1
        return Sent()


@pytest.mark.parametrize("seed", range(6))
def test_copies_and_faults_in_any_order_cause_one_mail_each(seed: int) -> None:
    """Three instances get copies, deferrals, bugs and lost connections, on a faulty database."""
    chance = random.Random(seed)
    random.seed(seed)

    async def story() -> None:
        limits = EffectLimits(concurrent_max=chance.choice([1, 2, 4]), timeout_s=30.0)
        mail_server = FaultyMailServer(chance)
        shop = MailShop(mail_server, limits)
        database = FaultyDatabase(shop, chance)
        async with shop.instance() as first, shop.instance() as second, shop.instance() as third:
            published = list[Any]()
            for number in range(120):
                await asyncio.sleep(chance.choice([0, 0.01, 0.1, 0.5, 2]))
                if chance.random() < 0.05:
                    shop.broker.cut()
                elif chance.random() < 0.25 and published:
                    shop.publish(*chance.choice(published), copies=chance.choice([1, 2, 5]))
                else:
                    published.append((_message(chance), message_id(number)))
                    shop.publish(*published[-1])
            database.works = True
            await asyncio.sleep(1000)
            for runtime in (first, second, third):
                assert runtime._dispatcher is not None and runtime._dispatcher.in_flight == 0
        assert set(mail_server.mails.values()) == {1}
        for mail in await shop.store.find("mails", limit=100):
            about, kind = mail.key.split(":")
            status = (mail.state or {})["status"]
            assert mail.lease is None
            assert mail_server.mails[about, MailKind(kind)] == 1 or status in ("new", "superseded")

    play(story)


def _message(chance: random.Random) -> Any:
    order_id = confirmed(chance.randrange(8)).order_id
    kind = chance.choice([MailKind.ORDER_CONFIRMED, MailKind.ORDER_DISPATCHED])
    return chance.choice(
        [
            CONFIRMED.model_copy(update={"order_id": order_id}),
            orders.OrderDispatched(order_id=order_id, customer_id=CUSTOMER),
            orders.TrackingRecorded(order_id=order_id, customer_id=CUSTOMER, tracking="TRACK-1"),
            SEND.model_copy(update={"about": order_id, "kind": kind}),
        ]
    )
