"""Slows down password guessing without ever locking an account.

Attempts are counted per account and network, so guessing from another network does not delay the owner. After
FREE_ATTEMPTS failures the next attempt must wait; the wait doubles each time, up to WAIT_S_MAX. The number of
failed attempts per minute from one network is limited as well, across all accounts. Unknown accounts are
counted the same way.

The counts are in the memory of this instance: several instances multiply the attempts, and a restart resets
them. The memory is bounded; the least recently used entries are evicted first.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from chassis.web import ip_address

FREE_ATTEMPTS = 5
FORGOTTEN_AFTER = timedelta(minutes=15)
WAIT_S_MAX = 60
_KEPT_MAX = 10_000


class WrongPassword(Exception):
    """The password is wrong, or there is no such account: the response does not say which."""


class TooManyAttempts(Exception):
    def __init__(self, wait_s: float) -> None:
        super().__init__("too many attempts")
        self.wait_s = max(1, ceil(wait_s))


@dataclass(slots=True)
class _Attempts:
    """`at`: the time of the last attempt."""

    count: float
    at: datetime


_Book = OrderedDict[tuple[str, str], _Attempts]


class Throttle:
    """`per_minute`: how many attempts from one network may fail, or request a mail, per minute."""

    def __init__(self, clock: Callable[[], datetime], per_minute: int) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._pairs = _Book()
        self._networks = _Book()

    @contextmanager
    def attempt(self, account: str, network: str) -> Iterator[None]:
        """Wraps the check of a password. Raises TooManyAttempts before the check."""
        # count before the check, or many concurrent attempts would all pass as the first
        self.hit(account, network)
        try:
            yield
        except WrongPassword:
            raise
        except BaseException:  # any other error says nothing about the password
            self._take_back(account, network)
            raise
        self._take_back(account, network)
        self._pairs.pop((account, network), None)

    def hit(self, account: str, network: str) -> None:
        """Counts an attempt. Raises TooManyAttempts, and then does not count it."""
        now = self._clock()
        pair = _touched(self._pairs, (account, network), now)
        if now - pair.at >= FORGOTTEN_AFTER:
            pair.count = 0
        if pair.count >= FREE_ATTEMPTS:
            wait = timedelta(seconds=min(WAIT_S_MAX, 2 ** min(pair.count - FREE_ATTEMPTS, 6)))
            if now < pair.at + wait:
                raise TooManyAttempts((pair.at + wait - now).total_seconds())
        whole = _touched(self._networks, (network, ""), now)
        whole.count = max(0.0, whole.count - (now - whole.at).total_seconds() * self._per_minute / 60)
        whole.at = now
        if whole.count > self._per_minute - 1:
            raise TooManyAttempts((whole.count - self._per_minute + 1) * 60 / self._per_minute)
        pair.count, pair.at = pair.count + 1, now
        whole.count += 1

    def _take_back(self, account: str, network: str) -> None:
        for book, key in ((self._pairs, (account, network)), (self._networks, (network, ""))):
            if key in book:
                book[key].count = max(0.0, book[key].count - 1)


def network_of(address: str) -> str:
    """The network of an address, because one owner often has all of it; "" if the address is unparsable."""
    parsed = ip_address.parse_ip(address)
    return "" if parsed is None else ip_address.network_of(parsed, ipv4_prefix=24)


def _touched(book: _Book, key: tuple[str, str], now: datetime) -> _Attempts:
    tries = book.setdefault(key, _Attempts(0, now))
    tries.at = min(tries.at, now)  # a clock that was set back must not extend the wait
    book.move_to_end(key)
    if len(book) > _KEPT_MAX:
        book.popitem(last=False)
    return tries
