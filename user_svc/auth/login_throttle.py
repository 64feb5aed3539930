"""Slows down password guessing without ever locking an account.

Tries are counted for each account from each network, so that whoever guesses from elsewhere delays nobody at home:
after a few failures the next try has to wait, twice as long each time, up to a minute. And from one network only so
many tries in a minute may fail, whatever the account. Whether there is an account makes no difference.

It is all in the memory of this instance: with several instances a guesser gets so many times the tries, and a restart
forgets. The memory is bounded; what was not touched for longest is forgotten first.
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
    """Or no such account: nobody is told which."""


class TooManyAttempts(Exception):
    def __init__(self, wait_s: float) -> None:
        super().__init__("too many tries")
        self.wait_s = max(1, ceil(wait_s))


@dataclass(slots=True)
class _Attempts:
    """`at`: the last one."""

    count: float
    at: datetime


_Book = OrderedDict[tuple[str, str], _Attempts]


class Throttle:
    """`per_minute`: how many tries from one network may fail, or ask for a mail, in a minute."""

    def __init__(self, clock: Callable[[], datetime], per_minute: int) -> None:
        self._clock, self._per_minute = clock, per_minute
        self._pairs, self._networks = _Book(), _Book()

    @contextmanager
    def attempt(self, account: str, network: str) -> Iterator[None]:
        """For the check of a password. Raises TooManyTries instead of letting it happen."""
        self.hit(account, network)  # from the beginning, or a hundred at once would all be the first
        try:
            yield
        except WrongPassword:
            raise
        except BaseException:  # whatever it was, it was no wrong password
            self._take_back(account, network)
            raise
        self._take_back(account, network)
        self._pairs.pop((account, network), None)

    def hit(self, account: str, network: str) -> None:
        """One more try. Raises TooManyTries, and then it was none."""
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
    """The neighbourhood that an address stands for, as one owner often has all of it; empty for no address."""
    parsed = ip_address.parse_ip(address)
    return "" if parsed is None else ip_address.network_of(parsed, ipv4_prefix=24)


def _touched(book: _Book, key: tuple[str, str], now: datetime) -> _Attempts:
    tries = book.setdefault(key, _Attempts(0, now))
    tries.at = min(tries.at, now)  # a clock that was set back must not make anybody wait as long as it was ahead
    book.move_to_end(key)
    if len(book) > _KEPT_MAX:
        book.popitem(last=False)
    return tries
