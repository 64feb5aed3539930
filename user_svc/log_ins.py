"""Who is logged in: opens a log-in, refreshes and ends it, and says whose access token it is."""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from prometheus_client import Counter

from chassis import telemetry
from chassis.direct import decide_directly, load_directly
from chassis.runtime import Runtime
from contracts.access import LIFETIME, AccessToken, NotValid
from contracts.identity import new_id
from contracts.roles import Role
from user_svc import family
from user_svc.family import Family, NotOpen
from user_svc.service import FAMILIES, USERS
from user_svc.signing import Signing
from user_svc.user import Status, User

REUSED = Counter("user_refresh_tokens_reused_total", "Log-ins that ended because a used refresh token came again")
_SECRET_BYTES = 32
_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class Tokens:
    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str = field(repr=False)
    refresh_expires_at: datetime
    user_id: UUID
    roles: tuple[Role, ...]
    access_version: int


@dataclass(frozen=True, slots=True)
class _RefreshToken:
    """Opaque to its owner. Random, so that a plain hash of it is enough: nobody guesses 256 bits."""

    sid: UUID
    lineage: bytes = field(repr=False)
    secret: bytes = field(repr=False)

    @classmethod
    def first(cls, sid: UUID) -> "_RefreshToken":
        return cls(sid, secrets.token_bytes(_SECRET_BYTES), secrets.token_bytes(_SECRET_BYTES))

    @classmethod
    def read(cls, token: str) -> "_RefreshToken":
        """Raises NotOpen for what was never one of ours."""
        try:
            raw = urlsafe_b64decode(token.encode())
        except ValueError:
            raise NotOpen from None
        if len(raw) != _ID_BYTES + 2 * _SECRET_BYTES:
            raise NotOpen
        return cls(UUID(bytes=raw[:_ID_BYTES]), raw[_ID_BYTES:-_SECRET_BYTES], raw[-_SECRET_BYTES:])

    def next(self) -> "_RefreshToken":
        return _RefreshToken(self.sid, self.lineage, secrets.token_bytes(_SECRET_BYTES))

    def __str__(self) -> str:
        return urlsafe_b64encode(self.sid.bytes + self.lineage + self.secret).decode()


class LogIns:
    """`grace`: how long a refresh token that was just used may come again, see family.py."""

    def __init__(self, runtime: Runtime, signing: Signing, grace: timedelta) -> None:
        self._runtime, self._signing, self._grace = runtime, signing, grace

    async def open(self, owner: User) -> Tokens:
        token = _RefreshToken.first(new_id())
        asked = family.Open(
            owner.user_id, owner.epoch, _hashed(token.lineage), _hashed(token.secret), self._runtime.clock()
        )
        return await self._tokens(owner, token, await self._decide(token.sid, asked))

    async def refresh(self, compact: str) -> Tokens:
        """Raises NotOpen or TooOften."""
        used = _RefreshToken.read(compact)
        if (owner := await self._owner(used.sid)) is None:
            raise NotOpen
        token = used.next()
        given = _hashed(token.secret)
        asked = family.Refresh(_hashed(used.lineage), _hashed(used.secret), given, self._runtime.clock(), self._grace)
        refreshed = await self._decide(used.sid, asked)
        if given not in refreshed.siblings:
            REUSED.inc()
            telemetry.log.warning("a used refresh token came again: the log-in is ended", user_id=str(owner.user_id))
            raise NotOpen
        return await self._tokens(owner, token, refreshed)

    async def who(self, access_token: str) -> tuple[User, UUID]:
        """Whose token it is, and the id of the log-in. Raises NotValid also when that is over before its time."""
        token = await self._signing.check(access_token)
        owner = await self._owner(token.sid)
        if owner is None or owner.user_id != token.user_id:
            raise NotValid("the log-in is over")
        return owner, token.sid

    async def end(self, sid: UUID) -> None:
        await self._decide(sid, family.End())

    async def _owner(self, sid: UUID) -> User | None:
        """None unless the log-in is open, its account there, and no end to all of them was made since."""
        found: Family = await load_directly(self._runtime, FAMILIES, str(sid))
        owner: User = await load_directly(self._runtime, USERS, str(found.user_id))
        alive = found.is_open(self._runtime.clock()) and owner.status is Status.ACTIVE and found.epoch == owner.epoch
        return owner if alive else None

    async def _tokens(self, owner: User, refresh: _RefreshToken, opened: Family) -> Tokens:
        assert opened.until is not None
        expires_at = self._runtime.clock() + LIFETIME
        access = AccessToken(
            sub=owner.user_id,
            sid=refresh.sid,
            jti=new_id(),
            roles=owner.roles,
            exp=expires_at,
            access_version=owner.access_version,
        )
        return Tokens(
            await self._signing.access_token(access),
            int(LIFETIME.total_seconds()),
            str(refresh),
            opened.until,
            owner.user_id,
            owner.roles,
            owner.access_version,
        )

    async def _decide(self, sid: UUID, asked: family.Open | family.Refresh | family.End) -> Family:
        decided: Family = (await decide_directly(self._runtime, FAMILIES, str(sid), asked)).state
        return decided


def _hashed(secret: bytes) -> str:
    return sha256(secret).hexdigest()
