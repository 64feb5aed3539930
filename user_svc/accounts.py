"""What people do with their accounts: each use is a few decisions, in an order that a crash may end anywhere."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.direct import decide_directly
from chassis.runtime import Runtime
from chassis.service import Aggregate
from contracts.values import NOBODY
from user_svc import session, user
from user_svc.claim import CLAIM_MAX, Claim, Hold, LetGo, Taken, claim_key
from user_svc.passwords import Passwords
from user_svc.service import EMAILS, SESSIONS, USERS
from user_svc.session import SESSION_MAX, TOKEN_BYTES, Session, session_key
from user_svc.user import Abandon, Asked, Erase, Refused, Register, User

# Long enough for the writes of a registration, so that its answer does not tell whether there were any.
EVEN_S = 0.25


@dataclass(frozen=True, slots=True)
class LoggedIn:
    token: str = field(repr=False)
    user_id: UUID
    expires_at: datetime


class Accounts:
    """`even_s`: how long a registration takes after the password is hashed, whatever there was to write."""

    def __init__(self, runtime: Runtime, passwords: Passwords, even_s: float = EVEN_S) -> None:
        self._runtime, self._passwords, self._even_s = runtime, passwords, even_s

    async def register(self, user_id: UUID, email: str, name: str, password: str) -> None:
        """Nobody learns from it whether the address or the id was in use: then nothing happens, as dearly."""
        password_hash = await self._passwords.hash(password)
        async with _at_least(self._even_s):
            try:
                await self._hold(email, user_id)
                await self.change(user_id, Register(user_id, email, name, password_hash, self._runtime.clock()))
            except (Taken, Refused):
                return

    async def log_in(self, email: str, password: str) -> LoggedIn | None:
        """None for a wrong password and for an unknown address, after the same work."""
        claim: Claim = await self._load(EMAILS, claim_key(email))
        holder = await self.user(claim.user_id)
        owns = holder.email == email
        if not await self._passwords.right(holder.password_hash if owns else "", password):
            return None
        token = secrets.token_urlsafe(TOKEN_BYTES)
        opened = session.Open(holder.user_id, self._runtime.clock() + SESSION_MAX)
        await self._decide(SESSIONS, session_key(token), opened)
        return LoggedIn(token, opened.user_id, opened.expires_at)

    async def logged_in(self, token: str) -> User | None:
        """Whose token it is. The account is asked too, so an erased one has no sessions."""
        found: Session = await self._load(SESSIONS, session_key(token))
        if not found.valid(self._runtime.clock()):
            return None
        owner = await self.user(found.user_id)
        return owner if owner.status is user.Status.ACTIVE else None

    async def log_out(self, token: str) -> None:
        await self._decide(SESSIONS, session_key(token), session.End())

    async def user(self, user_id: UUID) -> User:
        found: User = await self._load(USERS, str(user_id))
        return found

    async def change(self, user_id: UUID, asked: Asked) -> User:
        """Raises Refused."""
        changed: User = await self._decide(USERS, str(user_id), asked)
        return changed

    async def erase(self, owner: User) -> None:
        """The account first: a claim that a crash leaves behind belongs to nobody, and gives way to the next."""
        await self.change(owner.user_id, Erase())
        await self._decide(EMAILS, claim_key(owner.email), LetGo(owner.user_id))

    async def _hold(self, email: str, user_id: UUID) -> None:
        key = claim_key(email)
        claim: Claim = await self._load(EMAILS, key)
        if claim.user_id not in (NOBODY, user_id):
            await self._require_void(claim, email)
        await self._decide(EMAILS, key, Hold(user_id, self._runtime.clock(), instead_of=claim.user_id))

    async def _require_void(self, claim: Claim, email: str) -> None:
        """Raises Taken, unless the account for which the address was claimed does not have it and never will."""
        holder = await self.user(claim.user_id)
        if holder.status is user.Status.NEW:
            if claim.at is not None and self._runtime.clock() - claim.at < CLAIM_MAX:
                raise Taken  # perhaps it is being registered just now
            holder = await self.change(claim.user_id, Abandon())
        if holder.status is user.Status.ACTIVE and holder.email == email:
            raise Taken

    async def _load(self, aggregate: Aggregate, key: str) -> Any:
        loaded = (await self._runtime.store.load(aggregate.kind, [key]))[key]
        return aggregate.start if loaded.state is None else aggregate.codec.load(loaded.state)

    async def _decide(self, aggregate: Aggregate, key: str, asked: object) -> Any:
        return (await decide_directly(self._runtime, aggregate, key, asked)).state


@asynccontextmanager
async def _at_least(seconds: float) -> AsyncIterator[None]:
    end = asyncio.get_running_loop().time() + seconds
    yield
    await asyncio.sleep(max(0.0, end - asyncio.get_running_loop().time()))
