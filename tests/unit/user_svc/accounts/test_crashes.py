"""Registrations and erasures that a crash interrupts, and a broker outage:
the outcome is complete in the end.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

from chassis.bus.memory import MemoryStore
from chassis.core.execute import execute
from chassis.core.sweeper import SWEEP_AFTER, sweep_unpublished
from chassis.store.protocol import Change
from tests.support.eventually import until
from tests.support.shops.user import UserApp
from tests.unit.user_svc.accounts.test_registration import PROVED, REGISTERED, accounts_with
from user_svc.accounts.aggregates import EMAILS, USERS
from user_svc.accounts.email_reservation import RESERVATION_MAX, Reserve, reservation_key
from user_svc.accounts.user import Erase

ACCESS_CHANGED = "user.access_changed.v1"


async def crashed_after_claim(user_app: UserApp, user_id: UUID) -> None:
    hold = Reserve(user_id, user_app.runtime.clock())
    await execute(user_app.runtime, EMAILS, reservation_key("ada@example.org"), hold)


async def test_a_reservation_without_account_blocks_its_address_one_minute(user_app: UserApp) -> None:
    await crashed_after_claim(user_app, uuid4())
    await user_app.register()
    assert user_app.published_messages() == []
    user_app.later(seconds=RESERVATION_MAX.total_seconds())
    await user_app.logged_in_user()


async def test_a_reservation_for_another_address_gives_no_access(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user("augusta@example.org")
    await crashed_after_claim(user_app, ada.user_id)
    assert (await user_app.log_in("ada@example.org")).status_code == 401
    assert (await user_app.logged_in_user("ada@example.org")).user_id != ada.user_id


async def test_a_registration_continues_after_a_crash_with_its_reservation(user_app: UserApp) -> None:
    user_id = uuid4()
    await crashed_after_claim(user_app, user_id)
    assert (await user_app.logged_in_user(user_id=str(user_id))).user_id == user_id


class SlowStore(MemoryStore):
    """Blocks the write of one account until it is released."""

    def __init__(self, slow_key: str) -> None:
        super().__init__()
        self._slow_key = slow_key
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def save(self, changes: Sequence[Change], *, together: bool = False) -> bool:
        is_slow = any(
            (change.loaded.kind, change.loaded.key) == ("users", self._slow_key) for change in changes
        )
        if is_slow and not self.reached.is_set():
            self.reached.set()
            await self.go_on.wait()
        return await super().save(changes, together=together)


async def test_a_registration_after_its_reservation_expired_makes_no_account() -> None:
    sleeper = str(uuid4())
    store = SlowStore(sleeper)
    user_app = UserApp(store)
    sleeping = asyncio.create_task(user_app.register(user_id=sleeper))
    await store.reached.wait()
    user_app.later(seconds=RESERVATION_MAX.total_seconds())
    await user_app.register()
    store.go_on.set()
    assert (await sleeping).status_code == 202
    assert len(await accounts_with(user_app, "ada@example.org")) == 1
    assert len(user_app.published_messages()) == 1
    assert (await user_app.contact(sleeper)).status_code == 404


async def test_an_interrupted_erasure_frees_the_address_at_once(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    await execute(user_app.runtime, USERS, str(ada.user_id), Erase())
    assert (await user_app.logged_in_user()).user_id != ada.user_id


async def swept(user_app: UserApp, count: int) -> None:
    """Run the sweeper until this many events are published."""
    runtime = user_app.runtime
    sweeping = asyncio.create_task(
        sweep_unpublished(runtime.service, runtime.store, runtime.bus, clock=runtime.clock, every_s=0.01)
    )
    await until(lambda: len(user_app.published_messages()) >= count)
    sweeping.cancel()


async def test_a_registration_during_a_broker_outage_is_announced_later() -> None:
    user_app = UserApp(MemoryStore())  # not started: the only sweeper is the one below
    user_app.broker.away = True
    user_id = (await user_app.register()).json()["user_id"]
    assert user_app.published_messages() == []
    user_app.broker.away = False
    user_app.later(seconds=SWEEP_AFTER.total_seconds() + 1)
    await swept(user_app, 1)
    assert user_app.published_messages() == [(REGISTERED, b'{"user_id":"%s"}' % user_id.encode())]


async def test_a_published_erasure_does_not_hide_an_unpublished_registration() -> None:
    user_app = UserApp(MemoryStore())  # not started: the only sweeper is the one below
    user_app.broker.away = True
    ada = await user_app.logged_in_user()
    user_app.broker.away = False
    await ada.erase()
    assert user_app.published_types() == [ACCESS_CHANGED, "user.erased.v1"]
    user_app.later(seconds=SWEEP_AFTER.total_seconds() + 1)
    await swept(user_app, 6)  # all her events, published again with the same ids and the same bytes
    assert user_app.published_types()[2:] == [REGISTERED, PROVED, ACCESS_CHANGED, "user.erased.v1"]


async def test_without_the_database_the_response_is_503_without_events(user_app: UserApp) -> None:
    store = user_app.runtime.store
    assert isinstance(store, MemoryStore)
    store.away = True
    response = await user_app.register()
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    store.away = False
    assert user_app.published_messages() == []
    await user_app.logged_in_user()
