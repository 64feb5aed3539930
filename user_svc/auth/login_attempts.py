"""The attempts of one network to log in: one document, so that all instances count together.

Two limits hold at once. After FREE_ATTEMPTS failures for one account the next attempt must wait; the wait
doubles each time, up to WAIT_S_MAX. The number of failed attempts per minute is limited across all accounts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chassis.clock import CLOCK_SKEW_MAX
from chassis.core.decision import Context, Decision

FREE_ATTEMPTS = 5
FORGOTTEN_AFTER = timedelta(minutes=15)
WAIT_S_MAX = 60
# How many accounts of one network are remembered; beyond them the oldest attempts are forgotten.
ACCOUNTS_MAX = 200


class TooManyAttempts(Exception):
    def __init__(self, wait_s: float) -> None:
        super().__init__("too many attempts")
        self.wait_s = max(1, int(-(-wait_s // 1)))  # rounded up


@dataclass(frozen=True, slots=True)
class Attempts:
    """`at`: the time of the last attempt."""

    count: float
    at: datetime

    def elapsed_s(self, now: datetime) -> float:
        """Seconds since the last attempt.

        A time in the future is that of an instance whose clock is ahead, so no time has passed. If it is
        further ahead than any tolerated clock skew, the clock was set back: then the longest wait is over,
        because nothing else would ever end it.
        """
        if self.at - now > CLOCK_SKEW_MAX:
            return WAIT_S_MAX
        return max(0.0, (now - self.at).total_seconds())

    def wait_s(self, now: datetime) -> float:
        """How long the account's next attempt must wait; 0 or less if it need not."""
        if self.count < FREE_ATTEMPTS:
            return 0.0
        wait_s: float = 2.0 ** min(self.count - FREE_ATTEMPTS, 6)
        return min(WAIT_S_MAX, wait_s) - self.elapsed_s(now)


@dataclass(frozen=True, slots=True)
class NetworkAttempts:
    """`failures`: those of all accounts that count; they leak away at the permitted rate.

    `accounts`: the attempts by account, under a hash of its address.
    """

    failures: Attempts | None = None
    accounts: Mapping[str, Attempts] = field(default_factory=dict)

    def recent(self, now: datetime) -> dict[str, Attempts]:
        """The accounts whose attempts still count, oldest first."""
        kept = {
            account: attempts
            for account, attempts in self.accounts.items()
            if attempts.elapsed_s(now) < FORGOTTEN_AFTER.total_seconds()
        }
        return dict(sorted(kept.items(), key=lambda item: item[1].at))

    def failures_now(self, now: datetime, per_minute: int) -> float:
        if self.failures is None:
            return 0.0
        return max(0.0, self.failures.count - self.failures.elapsed_s(now) * per_minute / 60)


@dataclass(frozen=True, slots=True)
class CountAttempt:
    """Count an attempt before its password is checked.

    `per_minute`: how many attempts of the network may fail in a minute.
    """

    account: str
    per_minute: int
    at: datetime


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Take back a counted attempt that did not fail.

    `succeeded`: the password was right, so earlier failures of the account are forgotten.
    """

    account: str
    succeeded: bool


def decide(
    network: NetworkAttempts, command: CountAttempt | TakeBack, _: Context[object]
) -> Decision[NetworkAttempts]:
    """Raises TooManyAttempts; then nothing is counted."""
    match command:
        case CountAttempt():
            return Decision(_counted(network, command))
        case TakeBack(account, succeeded):
            return Decision(_taken_back(network, account, succeeded))


def _counted(network: NetworkAttempts, command: CountAttempt) -> NetworkAttempts:
    now, per_minute = command.at, command.per_minute
    accounts = network.recent(now)
    attempts = accounts.pop(command.account, Attempts(0, now))
    if (wait_s := attempts.wait_s(now)) > 0:
        raise TooManyAttempts(wait_s)
    failures = network.failures_now(now, per_minute)
    if failures > per_minute - 1:
        raise TooManyAttempts((failures - per_minute + 1) * 60 / per_minute)
    accounts[command.account] = Attempts(attempts.count + 1, now)
    newest = dict(list(accounts.items())[-ACCOUNTS_MAX:])
    return NetworkAttempts(Attempts(failures + 1, now), newest)


def _taken_back(network: NetworkAttempts, account: str, succeeded: bool) -> NetworkAttempts:
    accounts = dict(network.accounts)
    attempts = accounts.pop(account, None)
    if attempts is not None and not succeeded:
        accounts[account] = replace(attempts, count=max(0.0, attempts.count - 1))
    failures = network.failures
    if failures is not None:
        failures = replace(failures, count=max(0.0, failures.count - 1))
    return NetworkAttempts(failures, accounts)
