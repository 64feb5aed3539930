"""Slows down password guessing without ever locking an account.

Attempts are counted per account and network, so guessing from another network does not delay the owner. The
limits are in login_attempts.py. Unknown accounts are counted the same way.

The counts are in the database, one document per network: all instances share them, and a restart does not
reset them. Look-ups of customers by staff are counted likewise, by staff member in place of the network.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from weakref import WeakValueDictionary

from chassis import telemetry
from chassis.core.definition import Aggregate
from chassis.core.execute import execute
from chassis.messaging.identity import derived_id
from chassis.runtime import Runtime
from chassis.store.protocol import StoreUnavailable
from chassis.web import ip_address
from user_svc.auth import login_attempts
from user_svc.auth.login_attempts import CountAttempt, NetworkAttempts, TakeBack

# Many logins of one network may be written at once. With fewer ids they could not tell whether they were
# counted.
LOGIN_ATTEMPTS = Aggregate(
    kind="login_attempts",
    start=NetworkAttempts(),
    decide=login_attempts.decide,
    handles=(),
    handled_max=50,
    ttl=timedelta(days=1),
)


class WrongPassword(Exception):
    """The password is wrong, or there is no such account: the response does not say which."""


class Throttle:
    """`per_minute`: how many attempts from one network may fail, or request a mail, per minute."""

    def __init__(self, runtime: Runtime, per_minute: int) -> None:
        self._runtime = runtime
        self._per_minute = per_minute
        # Attempts of one network write one document. Those of this instance take turns, so that only other
        # instances cause write conflicts.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def attempt(self, account: str, network: str) -> AsyncIterator[None]:
        """Wraps the check of a password. Raises TooManyAttempts before the check."""
        # count before the check, or many concurrent attempts would all pass as the first
        await self.hit(account, network)
        try:
            yield
        except WrongPassword:
            raise
        except BaseException:  # any other error says nothing about the password
            await self._take_back(account, network, succeeded=False)
            raise
        await self._take_back(account, network, succeeded=True)

    async def hit(self, account: str, network: str) -> None:
        """Counts an attempt. Raises TooManyAttempts, and then does not count it; or StoreUnavailable."""
        await self._execute(CountAttempt(account, self._per_minute, self._runtime.clock()), network)

    async def _take_back(self, account: str, network: str, *, succeeded: bool) -> None:
        try:
            await self._execute(TakeBack(account, succeeded), network)
        except StoreUnavailable as error:  # one attempt more is counted, which delays nothing by itself
            telemetry.log.warning("a login attempt stays counted", error=str(error))

    async def _execute(self, command: CountAttempt | TakeBack, network: str) -> None:
        key = derived_id("login attempts", network)
        async with self._turns.setdefault(key, asyncio.Lock()):
            await execute(self._runtime, LOGIN_ATTEMPTS, key, command)


def network_of(address: str) -> str:
    """The network of an address, because one owner often has all of it; "" if the address is unparsable."""
    parsed = ip_address.parse_ip(address)
    return "" if parsed is None else ip_address.network_of(parsed, ipv4_prefix=24)
