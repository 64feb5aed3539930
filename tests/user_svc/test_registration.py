"""Coming in: one account for each address, whatever goes wrong, and nobody learns who has one."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis.deadline import SWEEP_AFTER, sweep
from chassis.direct import decide_directly
from chassis.memory import MemoryStore
from chassis.store import Change
from tests.user_svc.house import CHEAP, PASSWORD, House
from user_svc.body import BODY_BYTES_MAX
from user_svc.claim import CLAIM_MAX, Hold, claim_key
from user_svc.passwords import Passwords
from user_svc.service import EMAILS, USERS
from user_svc.user import Erase

REGISTERED = "user.registered.v1"
WAIT_S_MAX = 10.0


async def accounts_with(house: House, email: str) -> list[str]:
    found = await house.runtime.store.find("users", {"email": email}, limit=100)
    return [loaded.key for loaded in found]


async def test_a_new_account_is_accepted_and_told_by_its_id_only(house: House) -> None:
    answer = await house.register()
    user_id = answer.json()["user_id"]
    assert answer.status_code == 202
    assert answer.headers["location"] == "/users/me"
    assert house.said() == [(REGISTERED, b'{"user_id":"%s"}' % user_id.encode())]
    assert (await house.log_in()).json()["user_id"] == user_id


async def test_neither_password_nor_address_is_told_or_kept_in_clear_beside_the_account(house: House) -> None:
    await house.register("ada.lovelace@example.org", name="Augusta")
    for parcel in house.broker.tapped:
        assert not any(word in repr(parcel) for word in ("lovelace", "Augusta", PASSWORD))
    store = house.runtime.store
    assert PASSWORD not in repr(await store.find("users"))
    assert "lovelace" not in repr(await store.find("emails"))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"email": "ada"}, "email"),
        ({"email": None}, "email"),
        ({"email": {"$ne": None}}, "email"),
        ({"email": ["ada@example.org"]}, "email"),
        ({"email": "аda@example.org"}, "email"),
        ({"email": f"{'a' * 250}@example.org"}, "email"),
        ({"name": ""}, "name"),
        ({"name": " \t "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "Ada\r\nBcc: all@example.org"}, "name"),
        ({"name": 7}, "name"),
        ({"password": "short77"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"password": {"$ne": None}}, "password"),
        ({"password": 1234567890}, "password"),
        ({"user_id": "7"}, "user_id"),
        ({"user_id": {"$gt": ""}}, "user_id"),
        ({"user_id": str(UUID(int=0))}, "user_id"),
        ({"role": "admin"}, "role"),
        ({"password_hash": "x", "status": "erased"}, "password_hash"),
    ],
)
async def test_bad_input_is_named_and_not_repeated(house: House, fields: dict[str, Any], named: str) -> None:
    answer = await house.register(**fields)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert f"body.{named}:" in answer.json()["detail"]
    assert PASSWORD not in answer.text
    assert not any(value in answer.text for value in fields.values() if isinstance(value, str) and len(value) > 3)
    assert house.said() == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[]", 422),
        (b"\xff\xfe", 422),
        (b"[" * 10_000, 400),
        (b'{"email": "ada@example.org", "name": "\\ud800", "password": "long enough"}', 422),
        (b'{"\\ud800": 1}', 422),
        (b'{"name": NaN}', 422),
        (b'{"name": "' + b"x" * BODY_BYTES_MAX + b'"}', 413),
    ],
)
async def test_a_body_that_is_no_form_is_refused_without_a_crash(house: House, body: bytes, status: int) -> None:
    answer = await house.http.post("/users", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_form_that_is_not_json_is_refused(house: House) -> None:
    answer = await house.http.post("/users", data={"email": "ada@example.org", "name": "Ada", "password": PASSWORD})
    assert answer.status_code == 422


class CountingHasher:
    """Argon2, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def hash(self, password: str) -> str:
        self.asked += 1
        return CHEAP.hash(password)

    def verify(self, hash: str, password: str) -> bool:
        self.asked += 1
        return CHEAP.verify(hash, password)


async def test_an_address_that_is_taken_gets_the_same_answer_for_the_same_work() -> None:
    hasher = CountingHasher()
    house = House(MemoryStore(), passwords=Passwords(hasher), even_s=0.1)
    loop, took = asyncio.get_running_loop(), []
    answers = []
    for spelling in ("ada@example.org", " ADA@example.org"):
        asked, begin = hasher.asked, loop.time()
        answers.append(await house.register(spelling, password=f"password of {spelling}"))
        took.append(loop.time() - begin)
        assert hasher.asked == asked + 1
    assert min(took) >= 0.099  # both wait for the same moment: a lower bound, never exceeded by chance
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].headers == answers[1].headers
    assert answers[0].json().keys() == answers[1].json().keys()
    assert len(house.said()) == 1
    assert (await house.log_in(password="password of ada@example.org")).status_code == 201
    assert (await house.log_in(password="password of  ADA@example.org")).status_code == 401


async def test_of_many_at_once_with_one_address_one_gets_it(house: House) -> None:
    answers = await asyncio.gather(*(house.register() for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert len(await accounts_with(house, "ada@example.org")) == 1
    assert len(house.said()) == 1


async def test_sending_a_registration_twice_is_one_account_as_it_was_first(house: House) -> None:
    user_id = str(uuid4())
    first = await house.register(user_id=user_id)
    again = await house.register(user_id=user_id, name="Eve", password="another password")
    assert first.json() == again.json() == {"user_id": user_id}
    assert len(house.said()) == 1
    assert (await house.contact(user_id)).json() == {"name": "Ada", "email": "ada@example.org"}
    assert (await house.log_in()).status_code == 201


async def test_the_same_registration_many_times_at_once_is_one_account(house: House) -> None:
    user_id = str(uuid4())
    await asyncio.gather(*(house.register(user_id=user_id) for _ in range(10)))
    assert len(house.said()) == 1
    assert (await house.log_in()).json()["user_id"] == user_id


async def test_somebodys_id_with_another_address_changes_nothing_and_blocks_no_address(house: House) -> None:
    ada = await house.moved_in()
    assert (await house.register("eve@example.org", user_id=str(ada.user_id))).status_code == 202
    assert (await ada.me())["email"] == "ada@example.org"
    assert (await house.log_in("eve@example.org")).status_code == 401
    assert (await house.moved_in("eve@example.org")).user_id != ada.user_id


async def test_one_new_id_with_two_addresses_at_once_gets_one_and_leaves_the_other_free(house: House) -> None:
    user_id, emails = str(uuid4()), ["ada@example.org", "eve@example.org"]
    await asyncio.gather(*(house.register(email, user_id=user_id) for email in emails))
    assert len(house.said()) == 1
    entries = [(await house.log_in(email)).status_code for email in emails]
    assert sorted(entries) == [201, 401]
    await house.moved_in(emails[entries.index(401)])


async def crashed_after_claim(house: House, user_id: UUID) -> None:
    hold = Hold(user_id, house.runtime.clock())
    await decide_directly(house.runtime, EMAILS, claim_key("ada@example.org"), hold)


async def test_a_claim_without_an_account_blocks_its_address_for_a_minute_only(house: House) -> None:
    await crashed_after_claim(house, uuid4())
    await house.register()
    assert house.said() == []
    house.later(seconds=CLAIM_MAX.total_seconds())
    await house.register()
    assert len(house.said()) == 1
    assert (await house.log_in()).status_code == 201


async def test_a_claim_by_somebody_with_another_address_opens_no_door(house: House) -> None:
    ada = await house.moved_in("augusta@example.org")
    await crashed_after_claim(house, ada.user_id)
    assert (await house.log_in("ada@example.org")).status_code == 401
    assert (await house.moved_in("ada@example.org")).user_id != ada.user_id


async def test_whoever_crashed_after_the_claim_may_go_on_at_once(house: House) -> None:
    user_id = uuid4()
    await crashed_after_claim(house, user_id)
    await house.register(user_id=str(user_id))
    assert (await house.log_in()).json()["user_id"] == str(user_id)


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
    async with asyncio.timeout(WAIT_S_MAX):
        while len(house.said()) < count:
            await asyncio.sleep(0.01)
    sweeping.cancel()


async def test_what_could_not_be_told_at_registration_is_told_when_the_broker_is_back() -> None:
    house = House(MemoryStore())  # not started: the only sweeper is the one below
    house.broker.away = True
    user_id = (await house.register()).json()["user_id"]
    assert (await house.log_in()).status_code == 201
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
    await ada("DELETE", "/users/me")
    assert [type_ for type_, _ in house.said()] == ["user.erased.v1"]
    house.later(seconds=SWEEP_AFTER.total_seconds() + 1)
    await swept(house, 3)  # all that was ever said of her, once more: same ids, same bytes
    assert [type_ for type_, _ in house.said()][1:] == [REGISTERED, "user.erased.v1"]


async def test_while_the_database_is_away_the_answer_is_503_and_nothing_is_told(house: House) -> None:
    store = house.runtime.store
    assert isinstance(store, MemoryStore)
    store.away = True
    answer = await house.register()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    store.away = False
    assert house.said() == []
    await house.moved_in()
