"""Registrations and erasures that a crash cuts short, and a broker that is away: all comes right in the end."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

from chassis.deadline import SWEEP_AFTER, sweep
from chassis.direct import decide_directly
from chassis.memory import MemoryStore
from chassis.store import Change
from tests.until import until
from tests.user_svc.house import House
from tests.user_svc.test_registration import PROVED, REGISTERED, accounts_with
from user_svc.claim import CLAIM_MAX, Hold, claim_key
from user_svc.service import EMAILS, USERS
from user_svc.user import Erase

ACCESS_CHANGED = "user.access_changed.v1"


async def crashed_after_claim(house: House, user_id: UUID) -> None:
    hold = Hold(user_id, house.runtime.clock())
    await decide_directly(house.runtime, EMAILS, claim_key("ada@example.org"), hold)


async def test_a_claim_without_an_account_blocks_its_address_for_a_minute_only(house: House) -> None:
    await crashed_after_claim(house, uuid4())
    await house.register()
    assert house.said() == []
    house.later(seconds=CLAIM_MAX.total_seconds())
    await house.moved_in()


async def test_a_claim_by_somebody_with_another_address_opens_no_door(house: House) -> None:
    ada = await house.moved_in("augusta@example.org")
    await crashed_after_claim(house, ada.user_id)
    assert (await house.log_in("ada@example.org")).status_code == 401
    assert (await house.moved_in("ada@example.org")).user_id != ada.user_id


async def test_whoever_crashed_after_the_claim_may_go_on_at_once(house: House) -> None:
    user_id = uuid4()
    await crashed_after_claim(house, user_id)
    assert (await house.moved_in(user_id=str(user_id))).user_id == user_id


class SlowStore(MemoryStore):
    """Holds up the write of one account until it is let through."""

    def __init__(self, slow_key: str) -> None:
        super().__init__()
        self._slow_key = slow_key
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def save(self, changes: Sequence[Change], *, together: bool = False) -> bool:
        is_slow = any((change.loaded.kind, change.loaded.key) == ("users", self._slow_key) for change in changes)
        if is_slow and not self.reached.is_set():
            self.reached.set()
            await self.go_on.wait()
        return await super().save(changes, together=together)


async def test_a_registration_that_slept_through_its_claim_makes_no_second_account() -> None:
    sleeper = str(uuid4())
    store = SlowStore(sleeper)
    house = House(store)
    sleeping = asyncio.create_task(house.register(user_id=sleeper))
    await store.reached.wait()
    house.later(seconds=CLAIM_MAX.total_seconds())
    await house.register()
    store.go_on.set()
    assert (await sleeping).status_code == 202
    assert len(await accounts_with(house, "ada@example.org")) == 1
    assert len(house.said()) == 1
    assert (await house.contact(sleeper)).status_code == 404


async def test_an_erasure_that_crashed_half_way_leaves_the_address_free_at_once(house: House) -> None:
    ada = await house.moved_in()
    await decide_directly(house.runtime, USERS, str(ada.user_id), Erase())
    assert (await house.moved_in()).user_id != ada.user_id


async def swept(house: House, count: int) -> None:
    """Run the sweeper until so many events are out."""
    sweeping = asyncio.create_task(
        sweep(house.runtime.service, house.runtime.store, house.runtime.bus, house.runtime.clock, every_s=0.01)
    )
    await until(lambda: len(house.said()) >= count)
    sweeping.cancel()


async def test_what_could_not_be_told_at_registration_is_told_when_the_broker_is_back() -> None:
    house = House(MemoryStore())  # not started: the only sweeper is the one below
    house.broker.away = True
    user_id = (await house.register()).json()["user_id"]
    assert house.said() == []
    house.broker.away = False
    house.later(seconds=SWEEP_AFTER.total_seconds() + 1)
    await swept(house, 1)
    assert house.said() == [(REGISTERED, b'{"user_id":"%s"}' % user_id.encode())]


async def test_an_erasure_that_is_told_does_not_hide_a_registration_that_was_not() -> None:
    house = House(MemoryStore())  # not started: the only sweeper is the one below
    house.broker.away = True
    ada = await house.moved_in()
    house.broker.away = False
    await ada.erase()
    assert house.said_types() == [ACCESS_CHANGED, "user.erased.v1"]
    house.later(seconds=SWEEP_AFTER.total_seconds() + 1)
    await swept(house, 6)  # all that was ever said of her, once more: same ids, same bytes
    assert house.said_types()[2:] == [REGISTERED, PROVED, ACCESS_CHANGED, "user.erased.v1"]


async def test_while_the_database_is_away_the_answer_is_503_and_nothing_is_told(house: House) -> None:
    store = house.runtime.store
    assert isinstance(store, MemoryStore)
    store.away = True
    answer = await house.register()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    store.away = False
    assert house.said() == []
    await house.moved_in()
