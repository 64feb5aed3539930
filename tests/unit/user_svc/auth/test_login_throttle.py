"""Repeated guessing is slowed down more and more, and delays no other user."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from chassis.bus.memory import MemoryStore
from chassis.core.decision import Context
from tests.support.shops.user import PASSWORD, SERVICE_TOKEN, UserApp
from user_svc.auth.login_attempts import (
    ACCOUNTS_MAX,
    FREE_ATTEMPTS,
    CountAttempt,
    NetworkAttempts,
    TakeBack,
    TooManyAttempts,
    decide,
)
from user_svc.auth.login_throttle import network_of
from user_svc.settings import AuthPolicy

HERE, THERE = "192.0.2.7", "198.51.100.7"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Guesser:
    """Tries passwords with a controlled clock."""

    def __init__(self, per_minute: int = 1_000) -> None:
        self.now = NOW
        self.per_minute = per_minute
        self.networks: dict[str, NetworkAttempts] = {}

    def begin(self, account: str = "ada", network: str = "here") -> None:
        """Count an attempt. Raises TooManyAttempts."""
        self._decide(CountAttempt(account, self.per_minute, self.now), network)

    def end(self, account: str = "ada", network: str = "here", *, succeeded: bool) -> None:
        self._decide(TakeBack(account, succeeded), network)

    def guess(self, account: str = "ada", network: str = "here", *, right: bool = False) -> int:
        """The wait in seconds; 0 if the password was checked."""
        try:
            self.begin(account, network)
        except TooManyAttempts as refused:
            return refused.wait_s
        if right:
            self.end(account, network, succeeded=True)
        return 0

    def waits(self) -> Iterator[int]:
        """The waits of successive attempts, each made when the throttle allows it."""
        while True:
            wait_s = self.guess()
            yield wait_s
            self.now += timedelta(seconds=wait_s)

    def _decide(self, command: CountAttempt | TakeBack, network: str) -> None:
        before = self.networks.get(network, NetworkAttempts())
        self.networks[network] = decide(before, command, Context()).state


def test_the_wait_doubles_after_five_failures_up_to_a_minute() -> None:
    guesser = Guesser()
    reported = [wait for _, wait in zip(range(5_000), guesser.waits(), strict=False)]
    assert reported[:FREE_ATTEMPTS] == [0] * 5
    assert [wait for wait in reported if wait][:9] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert max(reported) == 60


def test_a_try_that_has_to_wait_is_not_counted() -> None:
    guesser = Guesser()
    for _ in range(100):
        guesser.guess()
    assert guesser.guess() == 1


def test_success_or_fifteen_minutes_reset_the_failures() -> None:
    for forget in (lambda g: g.guess(right=True), lambda g: setattr(g, "now", g.now + timedelta(minutes=15))):
        guesser = Guesser()
        for _ in range(FREE_ATTEMPTS - 1):
            guesser.guess()
        forget(guesser)
        assert [guesser.guess() for _ in range(FREE_ATTEMPTS + 1)] == [0] * 5 + [1]


def test_neither_another_account_nor_another_network_is_delayed() -> None:
    guesser = Guesser()
    for _ in range(50):
        guesser.guess()
    assert guesser.guess() > 0
    assert guesser.guess(network="there", right=True) == 0
    assert guesser.guess(account="bob", right=True) == 0


def test_failures_per_network_and_minute_are_limited() -> None:
    guesser = Guesser(per_minute=30)
    assert [guesser.guess(f"user{n}") for n in range(30)] == [0] * 30
    assert guesser.guess("another") == 2
    assert guesser.guess("another", network="there") == 0
    guesser.now += timedelta(seconds=2)
    assert guesser.guess("another") == 0
    assert guesser.guess("another") > 0


def test_many_correct_logins_are_not_delayed() -> None:
    guesser = Guesser(per_minute=30)
    assert {guesser.guess(f"user{n}", right=True) for n in range(200)} == {0}


def test_pending_login_attempts_count_as_failures() -> None:
    guesser = Guesser()
    for _ in range(FREE_ATTEMPTS):
        guesser.begin()
    assert guesser.guess(right=True) == 1
    for _ in range(FREE_ATTEMPTS):
        guesser.end(succeeded=False)
    assert guesser.guess(right=True) == 0


def test_a_network_remembers_a_bounded_number_of_accounts() -> None:
    guesser = Guesser(per_minute=10 * ACCOUNTS_MAX)
    for number in range(5 * ACCOUNTS_MAX):
        guesser.guess(f"user{number}")
        guesser.guess("ada")
        guesser.now += timedelta(milliseconds=1)
    assert len(guesser.networks["here"].accounts) == ACCOUNTS_MAX
    assert guesser.guess("ada") > 0  # her attempts were never the oldest


def test_accounts_without_recent_attempts_are_forgotten() -> None:
    guesser = Guesser()
    guesser.guess("ada")
    guesser.now += timedelta(minutes=15)
    guesser.guess("bob")
    assert set(guesser.networks["here"].accounts) == {"bob"}


@pytest.mark.parametrize("ahead_s", [1, 30])
def test_alternating_between_skewed_clocks_gains_no_attempt(ahead_s: int) -> None:
    """The clock of one instance is ahead of the other's, by less than readiness reports."""
    guesser = Guesser()
    for _ in range(FREE_ATTEMPTS):
        guesser.guess()
    for behind_s in (ahead_s, 0) * 10:
        guesser.now = NOW - timedelta(seconds=behind_s)
        assert guesser.guess() == 1


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("::ffff:192.0.2.99", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", ""),
        ("nowhere", ""),
    ],
)
def test_addresses_of_one_network_count_together(address: str, network: str) -> None:
    assert network_of(address) == network


# over HTTP


async def test_a_remote_guesser_does_not_delay_the_user(user_app: UserApp) -> None:
    await user_app.logged_in_user()
    for _ in range(FREE_ATTEMPTS):
        assert (await user_app.log_in(password="wrong password", of=THERE)).status_code == 401
    refused = await user_app.log_in(of=THERE)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.headers["content-type"] == "application/problem+json"
    assert (await user_app.log_in(of="198.51.100.200")).status_code == 429  # the same network
    assert (await user_app.log_in(of=HERE)).status_code == 201
    user_app.later(seconds=1)
    assert (await user_app.log_in(of=THERE)).status_code == 201


async def test_an_unknown_address_is_throttled_like_a_known_one(user_app: UserApp) -> None:
    await user_app.logged_in_user()
    for who in ("ada", "eve"):
        responses = [
            await user_app.log_in(f"{who}@example.org", "wrong password", of=f"{who}") for _ in range(7)
        ]
        assert [response.status_code for response in responses] == [401] * 5 + [429] * 2
        user_app.later(minutes=15)


async def test_two_hundred_concurrent_attempts_run_five_at_a_time(user_app: UserApp) -> None:
    await user_app.logged_in_user()
    responses = await asyncio.gather(*(user_app.log_in(password="wrong password") for _ in range(200)))
    statuses = [response.status_code for response in responses]
    assert statuses.count(401) == FREE_ATTEMPTS
    assert statuses.count(429) == 195


async def test_the_address_is_believed_only_together_with_the_service_token(user_app: UserApp) -> None:
    await user_app.logged_in_user()
    body = {"email": "ada@example.org", "password": "wrong password"}
    for number in range(7):
        headers = {
            "X-Client-Address": f"10.0.{number}.1",
            "X-Service-Token": SERVICE_TOKEN + "?" * (number % 2),
        }
        headers |= {} if number % 2 else {"X-Service-Token": ""}
        response = await user_app.http.post("/sessions", json=body, headers=headers)
        assert response.status_code == (401 if number < FREE_ATTEMPTS else 429)


@pytest.mark.parametrize(
    ("method", "path", "wrong"),
    [
        ("PUT", "/users/me/password", {"current": "wrong password", "new": "staple of the horse"}),
        ("POST", "/users/me/erasure", {"password": "wrong password"}),
    ],
)
async def test_a_stolen_access_token_cannot_guess_the_password(
    user_app: UserApp, method: str, path: str, wrong: dict[str, str]
) -> None:
    ada = await user_app.logged_in_user()
    responses = [await ada(method, path, wrong) for _ in range(6)]
    assert [response.status_code for response in responses] == [403] * 5 + [429]


async def test_two_instances_share_the_throttle(user_app: UserApp) -> None:
    await user_app.logged_in_user()
    instances = [user_app.http, user_app.new_client()]
    form = {"email": "ada@example.org", "password": "wrong password"}
    responses = [await instances[number % 2].post("/sessions", json=form) for number in range(8)]
    assert [response.status_code for response in responses] == [401] * FREE_ATTEMPTS + [429] * 3


async def test_mails_to_one_mailbox_are_limited(user_app: UserApp) -> None:
    for path, body in (
        ("/users", {"email": "ada@example.org", "name": "Ada", "password": PASSWORD}),
        ("/proof-requests", {"email": "bob@example.org"}),
        ("/password-resets", {"email": "eve@example.org"}),
    ):
        responses = [await user_app.ask("POST", path, body) for _ in range(6)]
        assert [response.status_code for response in responses] == [202] * 5 + [429]


async def test_requesting_mails_does_not_delay_the_login(user_app: UserApp) -> None:
    await user_app.logged_in_user()
    for _ in range(8):
        await user_app.ask("POST", "/password-resets", {"email": "ada@example.org"})
    assert (await user_app.log_in()).status_code == 201


async def test_how_many_may_fail_is_a_setting() -> None:
    user_app = UserApp(MemoryStore(), policy=AuthPolicy(tries_per_minute=2))
    statuses = [(await user_app.log_in(f"user{n}@example.org")).status_code for n in range(3)]
    assert statuses == [401, 401, 429]
