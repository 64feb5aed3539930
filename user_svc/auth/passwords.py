"""Hashes and judges passwords outside the event loop, in a few threads with a bounded queue.

Hashing with Argon2id is expensive by design: without a bound, many concurrent logins would block heartbeats
and all other work. Judging whether a password is easy to guess takes up to 0.1 s.
"""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from user_svc.auth.password_policy import PasswordTooCommon, is_common

THREADS = 2
WAITING_MAX = 30

# From OWASP's Password Storage Cheat Sheet. One lane, because the threads provide the parallelism; the event
# loop keeps a core.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

R = TypeVar("R")


class HashingOverloaded(Exception):
    """More passwords are waiting than can be hashed in reasonable time."""


class Hasher(Protocol):
    """The part of argon2.PasswordHasher that is used."""

    def hash(self, password: str) -> str: ...
    def verify(self, hash: str, password: str) -> bool: ...


class Passwords:
    """`in_flight`: how many passwords are being hashed, judged or waiting. More raise HashingOverloaded."""

    def __init__(self, hasher: Hasher | None = None, waiting_max: int = WAITING_MAX) -> None:
        self._hasher: Hasher = hasher or _HASHER
        self._in_flight_max = THREADS + waiting_max
        self.in_flight = 0
        self._threads = ThreadPoolExecutor(THREADS, "passwords")
        # Verified if there is no account, so that an unknown address takes as long as a wrong password.
        self._nobodys_hash = self._hasher.hash(secrets.token_urlsafe())

    async def require_uncommon(self, password: str, email: str, field: str) -> None:
        """Raises PasswordTooCommon, with the name of the form field, if the password is easy to guess."""
        if await self._in_thread(lambda: is_common(password, email)):
            raise PasswordTooCommon(field)

    async def hash(self, password: str) -> str:
        return await self._in_thread(lambda: self._hasher.hash(_normalised(password)))

    async def verify(self, password_hash: str, password: str) -> bool:
        """Whether the password matches. An empty hash never matches, and takes as long."""
        return await self._in_thread(lambda: self._verify(password_hash, password))

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            known = password_hash or self._nobodys_hash
            return self._hasher.verify(known, _normalised(password)) and bool(password_hash)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_thread(self, work: Callable[[], R]) -> R:
        if self.in_flight >= self._in_flight_max:
            raise HashingOverloaded
        self.in_flight += 1
        job = asyncio.get_running_loop().run_in_executor(self._threads, work)
        job.add_done_callback(self._done)
        return await asyncio.shield(job)  # a client that disconnects frees no slot: the thread continues

    def _done(self, job: "asyncio.Future[R]") -> None:
        self.in_flight -= 1


def _normalised(password: str) -> str:
    """Keyboards encode the same letter differently (NIST SP 800-63B, section 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
