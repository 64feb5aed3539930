"""Password hashing is expensive, but does not block other requests."""

import asyncio
import threading

from argon2 import PasswordHasher

from chassis.bus.memory import MemoryStore
from tests.support.shops.user import CHEAP, UserApp
from user_svc.auth.passwords import THREADS, Passwords


class StuckHasher:
    """Every hash blocks until it is released."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.release.set()
        self.entered = 0

    def hash(self, password: str) -> str:
        self.entered += 1
        self.release.wait(90)
        return CHEAP.hash(password)

    def verify(self, hash: str, password: str) -> bool:
        self.release.wait(90)
        return CHEAP.verify(hash, password)


async def test_excess_hashing_requests_are_rejected_without_blocking() -> None:
    hasher = StuckHasher()
    user_app = UserApp(MemoryStore(), passwords=Passwords(hasher, waiting_max=2))
    await user_app.runtime.start()
    hasher.release.clear()
    try:
        waiting = [asyncio.create_task(user_app.register(f"user{n}@example.org")) for n in range(THREADS + 2)]
        while hasher.entered < 1 + THREADS or user_app.passwords.in_flight < THREADS + 2:
            await asyncio.sleep(0.001)
        for response in (await user_app.register("late@example.org"), await user_app.log_in()):
            assert response.status_code == 429
            assert int(response.headers["retry-after"]) > 0
            assert response.headers["content-type"] == "application/problem+json"
        assert (await user_app.http.get("/readyz")).status_code == 200
    finally:
        hasher.release.set()
    assert {response.status_code for response in await asyncio.gather(*waiting)} == {202}
    assert (await user_app.register("late@example.org")).status_code == 202
    await user_app.runtime.stop()


async def test_a_disconnected_client_keeps_its_hashing_slot_until_done() -> None:
    hasher = StuckHasher()
    passwords = Passwords(hasher, waiting_max=0)
    hasher.release.clear()
    asked = [asyncio.create_task(passwords.hash("a password")) for _ in range(THREADS)]
    while passwords.in_flight < THREADS:
        await asyncio.sleep(0)
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert passwords.in_flight == THREADS
    hasher.release.set()
    async with asyncio.timeout(60):
        while passwords.in_flight:
            await asyncio.sleep(0.005)


async def test_a_password_is_stored_as_argon2id_of_documented_cost() -> None:
    kept = await Passwords().hash("correct horse")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PasswordHasher().verify(kept, "correct horse")


async def test_right_wrong_broken_and_missing_hashes_are_distinguished() -> None:
    passwords = Passwords(CHEAP)
    kept = await passwords.hash("correct horse")
    assert await passwords.verify(kept, "correct horse")
    assert not await passwords.verify(kept, "Correct horse")
    assert not await passwords.verify("no hash at all", "correct horse")
    assert not await passwords.verify("", "correct horse")


class YesHasher:
    """Accepts every password."""

    def hash(self, password: str) -> str:
        return "a hash"

    def verify(self, hash: str, password: str) -> bool:
        return True


async def test_an_unknown_user_has_no_valid_password() -> None:
    passwords = Passwords(YesHasher())
    assert await passwords.verify("a hash", "correct horse")
    assert not await passwords.verify("", "correct horse")


async def test_unicode_forms_of_a_password_are_equal() -> None:
    passwords = Passwords(CHEAP)
    assert await passwords.verify(await passwords.hash("sch\u00f6n und gut"), "scho\u0308n und gut")
    assert not await passwords.verify(await passwords.hash("sch\u00f6n und gut"), "schon und gut")
