"""Opens, refreshes and ends logins, and authenticates access tokens."""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from chassis import telemetry
from chassis.core.execute import execute, load_state
from chassis.messaging.identity import new_id
from chassis.runtime import Runtime
from chassis.telemetry.instruments import counter
from contracts.http.access import LIFETIME, AccessToken, NotValid
from contracts.roles import Role
from user_svc.accounts.aggregates import REFRESH_TOKEN_FAMILIES, USERS
from user_svc.accounts.user import AccountRule, AccountRuleViolation, AccountStatus, User
from user_svc.auth import refresh_tokens
from user_svc.auth.refresh_tokens import FamilyStatus, LoginNotActive, RefreshTokenFamily
from user_svc.signing.signer import TokenSigner

REUSED = counter(
    "user_refresh_tokens_reused_total",
    "Logins that ended because a used refresh token was reused",
    recorded_in="user_svc/accounts/login_service.py",
)
_SECRET_BYTES = 32
_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class IssuedTokens:
    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str = field(repr=False)
    refresh_expires_at: datetime
    user_id: UUID
    roles: tuple[Role, ...]
    access_version: int


@dataclass(frozen=True, slots=True)
class OpenLogin:
    """A login as its user sees it. `refreshed_at`: when it was last used, less ten minutes at most."""

    session_id: UUID
    client: str
    began_at: datetime
    refreshed_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _RefreshToken:
    """Opaque to the client. The secret is 256 random bits, so an unsalted hash of it is enough."""

    sid: UUID
    lineage: bytes = field(repr=False)
    secret: bytes = field(repr=False)

    @classmethod
    def first(cls, sid: UUID) -> "_RefreshToken":
        return cls(sid, secrets.token_bytes(_SECRET_BYTES), secrets.token_bytes(_SECRET_BYTES))

    @classmethod
    def read(cls, token: str) -> "_RefreshToken":
        """Raises LoginNotActive for a token of another format."""
        try:
            raw = urlsafe_b64decode(token.encode())
        except ValueError:
            raise LoginNotActive from None
        if len(raw) != _ID_BYTES + 2 * _SECRET_BYTES:
            raise LoginNotActive
        return cls(UUID(bytes=raw[:_ID_BYTES]), raw[_ID_BYTES:-_SECRET_BYTES], raw[-_SECRET_BYTES:])

    def next(self) -> "_RefreshToken":
        return _RefreshToken(self.sid, self.lineage, secrets.token_bytes(_SECRET_BYTES))

    def __str__(self) -> str:
        return urlsafe_b64encode(self.sid.bytes + self.lineage + self.secret).decode()


class LoginService:
    """`grace`: how long a used refresh token is accepted again, see refresh_tokens.py."""

    def __init__(self, runtime: Runtime, signing: TokenSigner, grace: timedelta) -> None:
        self._runtime = runtime
        self._signing = signing
        self._grace = grace

    async def open(self, user: User, client: str = "") -> IssuedTokens:
        """`client`: the kind of program that logs in, for the user's list of logins."""
        token = _RefreshToken.first(new_id())
        command = refresh_tokens.OpenFamily(
            user.user_id,
            user.epoch,
            _hashed(token.lineage),
            _hashed(token.secret),
            self._runtime.clock(),
            client,
        )
        return await self._tokens(user, token, await self._decide(token.sid, command))

    async def refresh(self, compact: str) -> IssuedTokens:
        """Raises LoginNotActive or TooManyRefreshes."""
        used = _RefreshToken.read(compact)
        if (user := await self._active_user(used.sid)) is None:
            raise LoginNotActive
        token = used.next()
        given = _hashed(token.secret)
        command = refresh_tokens.RotateToken(
            _hashed(used.lineage), _hashed(used.secret), given, self._runtime.clock(), self._grace
        )
        refreshed = await self._decide(used.sid, command)
        if given not in refreshed.siblings:
            REUSED.inc()
            telemetry.log.warning(
                "a used refresh token was reused: the login has ended", user_id=str(user.user_id)
            )
            raise LoginNotActive
        return await self._tokens(user, token, refreshed)

    async def authenticate(self, access_token: str) -> tuple[User, UUID]:
        """The user of the token and the id of the login.

        Raises NotValid, also if the login has already ended.
        """
        token = await self._signing.check(access_token)
        user = await self._active_user(token.sid)
        if user is None or user.user_id != token.user_id:
            raise NotValid("the login has ended")
        return user, token.sid

    async def end(self, sid: UUID) -> None:
        await self._decide(sid, refresh_tokens.EndFamily())

    async def end_of(self, user: User, sid: UUID) -> None:
        """End a login of this user, also one that has ended already. Raises AccountRuleViolation."""
        found: RefreshTokenFamily = await load_state(self._runtime, REFRESH_TOKEN_FAMILIES, str(sid))
        if found.user_id != user.user_id:
            raise AccountRuleViolation(AccountRule.NO_SUCH_LOGIN)
        await self.end(sid)

    async def list_open(self, user: User, after: UUID | None, limit: int) -> list[OpenLogin]:
        """A page of the user's logins, newest first. `after`: the last one of the previous page."""
        where = {"user_id": str(user.user_id), "status": FamilyStatus.OPEN.value, "epoch": user.epoch}
        found = await self._runtime.store.find(
            REFRESH_TOKEN_FAMILIES.kind,
            where,
            after="" if after is None else str(after),
            limit=limit,
            newest_first=True,
        )
        return [_open_login(UUID(loaded.key), REFRESH_TOKEN_FAMILIES.read(loaded)) for loaded in found]

    async def _active_user(self, sid: UUID) -> User | None:
        """None if the login is not open, the account is not active, or all logins were ended since."""
        found: RefreshTokenFamily = await load_state(self._runtime, REFRESH_TOKEN_FAMILIES, str(sid))
        user: User = await load_state(self._runtime, USERS, str(found.user_id))
        alive = (
            found.is_open(self._runtime.clock())
            and user.status is AccountStatus.ACTIVE
            and found.epoch == user.epoch
        )
        return user if alive else None

    async def _tokens(self, user: User, refresh: _RefreshToken, opened: RefreshTokenFamily) -> IssuedTokens:
        assert opened.expires_at is not None
        expires_at = self._runtime.clock() + LIFETIME
        access = AccessToken(
            sub=user.user_id,
            sid=refresh.sid,
            jti=new_id(),
            roles=user.roles,
            exp=expires_at,
            access_version=user.access_version,
        )
        return IssuedTokens(
            await self._signing.access_token(access),
            int(LIFETIME.total_seconds()),
            str(refresh),
            opened.expires_at,
            user.user_id,
            user.roles,
            user.access_version,
        )

    async def _decide(
        self,
        sid: UUID,
        command: refresh_tokens.OpenFamily | refresh_tokens.RotateToken | refresh_tokens.EndFamily,
    ) -> RefreshTokenFamily:
        decided: RefreshTokenFamily = (
            await execute(self._runtime, REFRESH_TOKEN_FAMILIES, str(sid), command)
        ).state
        return decided


def _open_login(sid: UUID, family: RefreshTokenFamily) -> OpenLogin:
    assert family.began_at and family.refreshed_at and family.expires_at, "an open login has times"
    return OpenLogin(sid, family.client, family.began_at, family.refreshed_at, family.expires_at)


def _hashed(secret: bytes) -> str:
    return sha256(secret).hexdigest()
