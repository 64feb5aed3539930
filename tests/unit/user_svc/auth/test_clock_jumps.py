"""Clocks that jump by an hour: code that compares two times keeps working, and locks no user out."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from chassis.core.decision import Context
from chassis.store.memory import MemoryStore
from tests.support.shops.gateway import GatewayFixture
from tests.support.shops.user import UserApp
from user_svc.auth import login_attempts, refresh_tokens
from user_svc.auth.login_attempts import FREE_ATTEMPTS, CountAttempt, NetworkAttempts, TooManyAttempts
from user_svc.auth.refresh_tokens import LoginNotActive, RefreshTokenFamily, RotateToken
from user_svc.signing import key_ring
from user_svc.signing.key_ring import PUBLISHED_BEFORE, KeyRing, RotateKey, SigningKey

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MONTH = timedelta(days=30)
USER = UUID("00000000-0000-7000-8000-000000000001")


def next_key(kid: str, at: datetime) -> SigningKey:
    return SigningKey(kid, "public", "sealed", "ours", at)


def turned(state: KeyRing, kid: str, at: datetime) -> KeyRing:
    return key_ring.decide(state, RotateKey(next_key(kid, at), MONTH, at), Context()).state


@pytest.mark.parametrize("jump", [HOUR, -HOUR, timedelta(days=365), -timedelta(days=365)])
def test_logins_work_after_any_clock_jump(jump: timedelta) -> None:
    before = turned(KeyRing(), "a", NOW)
    at = NOW + jump
    after = turned(before, "b", at)
    assert after.signing("ours", at) is not None
    assert "a" in [key.kid for key in after.keys], "what it signed must stay good"


def test_a_clock_that_ran_ahead_does_not_stop_key_rotation() -> None:
    ahead = turned(turned(KeyRing(), "a", NOW), "b", NOW + timedelta(days=365))
    corrected = turned(ahead, "c", NOW + HOUR)
    newest = max(key.signs_from for key in corrected.keys)
    assert newest <= NOW + HOUR + PUBLISHED_BEFORE
    assert corrected.is_due("ours", MONTH, NOW + MONTH + 2 * HOUR)


async def test_logins_work_an_hour_behind_the_newest_key() -> None:
    store = MemoryStore()
    gateway = UserApp(store)
    await gateway.logged_in_user()
    gateway.later(hours=-1)
    assert (await gateway.log_in()).status_code == 201
    restarted = UserApp(store)
    restarted.now = gateway.now
    assert (await restarted.log_in()).status_code == 201


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_throttle_never_exceeds_its_longest_wait(jump: timedelta) -> None:
    network, now, waits = NetworkAttempts(), NOW, []
    for number in range(20):
        if number == FREE_ATTEMPTS + 3:
            now += jump
        try:
            network = login_attempts.decide(network, CountAttempt("ada", 10, now), Context()).state
        except TooManyAttempts as refused:
            waits.append(refused.wait_s)
            now += timedelta(seconds=refused.wait_s)
    assert waits and max(waits) <= 60


def test_refreshing_works_after_the_clock_is_set_back() -> None:
    state: RefreshTokenFamily = refresh_tokens.decide(
        RefreshTokenFamily(), refresh_tokens.OpenFamily(USER, 0, "line", "t0", NOW), Context()
    ).state
    at, grace = NOW, timedelta(seconds=10)
    for number in range(100):
        if number == 50:
            at -= HOUR
        at += timedelta(minutes=1)
        state = refresh_tokens.decide(
            state, RotateToken("line", f"t{number}", f"t{number + 1}", at, grace), Context()
        ).state
        assert state.siblings == (f"t{number + 1}",)


def test_a_clock_set_back_does_not_revive_a_stolen_token() -> None:
    state: RefreshTokenFamily = refresh_tokens.decide(
        RefreshTokenFamily(), refresh_tokens.OpenFamily(USER, 0, "line", "t0", NOW), Context()
    ).state
    grace = timedelta(seconds=10)
    state = refresh_tokens.decide(state, RotateToken("line", "t0", "t1", NOW, grace), Context()).state
    state = refresh_tokens.decide(
        state, RotateToken("line", "t0", "thief", NOW - HOUR, grace), Context()
    ).state
    with pytest.raises(LoginNotActive):
        refresh_tokens.decide(state, RotateToken("line", "thief", "t9", NOW - HOUR, grace), Context())


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
async def test_a_session_survives_a_jump_of_the_machines_clock(jump: timedelta) -> None:
    gateway = GatewayFixture()
    browser = await gateway.logged_in()
    gateway.now += jump
    page = await browser.get("/orders")
    assert page.status_code == 200
