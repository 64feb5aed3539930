"""The sessions of browsers: opened at login, renewed before their access token expires, ended at logout.

The tokens can only be decrypted with the cookie. The database holds the cookie's SHA-256 and the encrypted
tokens.
"""

import asyncio
import base64
import hashlib
import secrets
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple
from weakref import WeakValueDictionary

from cryptography.fernet import Fernet, InvalidToken
from pydantic import ValidationError
from starlette.requests import HTTPConnection

from chassis.core.execute import execute, load_state
from chassis.runtime import Runtime
from chassis.web.http_client import UpstreamUnavailable
from contracts.http.access import LEEWAY, LIFETIME
from contracts.http.users import Tokens
from contracts.roles import Role
from gateway.auth.access_versions import AccessVersions
from gateway.auth.aggregates import SESSIONS
from gateway.auth.principal import Principal
from gateway.auth.session import EndSession, OpenSession, RenewSession, Session, SessionNotOpen, SessionStatus
from gateway.auth.user_client import UserClient
from gateway.http.cookies import Cookies

_ID_BYTES = 32
_RENEW_BEFORE = timedelta(seconds=60)
_TRUSTED_FOR = timedelta(hours=1)


class _Sealed(NamedTuple):
    access_token: str
    refresh_token: str


class SessionService:
    """`authenticate_session_cookie` and `end` read the session cookie.

    All methods raise StoreUnavailable without the database.
    """

    def __init__(
        self, runtime: Runtime, user_client: UserClient, cookies: Cookies, versions: AccessVersions
    ) -> None:
        self._runtime = runtime
        self._user_client = user_client
        self._cookies = cookies
        self._versions = versions
        self._renewing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def open(self, tokens: Tokens) -> str:
        """Returns the cookie value. Each login gets a new one, which prevents session fixation."""
        cookie = secrets.token_urlsafe(_ID_BYTES)
        now = self._runtime.clock()
        until = now + timedelta(seconds=tokens.expires_in)
        sealed = _seal(cookie, tokens)
        opened = OpenSession(
            tokens.user_id, tokens.roles, now, until, tokens.refresh_expires_at, sealed, tokens.access_version
        )
        await execute(self._runtime, SESSIONS, _key(cookie), opened)
        return cookie

    async def authenticate_session_cookie(self, request: HTTPConnection) -> Principal | None:
        """The user of the session that the cookie names; None without a cookie or a valid session.

        Renews the session's tokens if they expire soon, and leaves the new cookie in
        `request.state.new_cookie`.
        """
        if not (cookie := request.cookies.get(self._cookies.session, "")):
            return None
        session = await self._load(_key(cookie))
        if not self._counts(session):
            return None
        required = await self._versions.required(session.user_id)
        if self._needs_renewal(session, required):
            before, session = session.ends_at, await self._renewed(cookie, required)
            if self._counts(session) and session.ends_at != before:
                request.state.new_cookie = self._cookies.header(
                    self._cookies.session, cookie, session.ends_at
                )
        valid = self._counts(session) and session.access_version >= required
        return self._principal(cookie, session) if valid else None

    async def end(self, request: HTTPConnection) -> None:
        """Ends the session here and revokes its tokens at user_svc."""
        if not (cookie := request.cookies.get(self._cookies.session, "")):
            return
        user = await self.authenticate_session_cookie(request)
        await execute(self._runtime, SESSIONS, _key(cookie), EndSession())
        if user is not None:
            with suppress(UpstreamUnavailable):  # the session has ended, and nothing can decrypt its tokens
                await self._user_client.request("DELETE", "/sessions/current", user=user)

    async def _load(self, key: str) -> Session:
        session: Session = await load_state(self._runtime, SESSIONS, key)
        return session

    def _counts(self, session: Session) -> bool:
        return (
            session.status is SessionStatus.OPEN
            and session.ends_at is not None
            and session.ends_at > self._runtime.clock()
        )

    def _needs_renewal(self, session: Session, required: int) -> bool:
        """Whether the access token expires soon or its version is outdated.

        Also if it seems valid for longer than its lifetime: the clock was set back, and other services would
        reject it.
        """
        if session.access_until is None or session.access_version < required:
            return True
        left = session.access_until - self._runtime.clock()
        return not _RENEW_BEFORE <= left <= LIFETIME + LEEWAY

    async def _renewed(self, cookie: str, required: int) -> Session:
        """One request per instance renews; the others wait. Another instance may renew at the same time."""
        key = _key(cookie)
        async with self._renewing.setdefault(key, asyncio.Lock()):
            session = await self._load(key)
            if not self._counts(session) or not self._needs_renewal(session, required):
                return session
            sealed = _unseal(cookie, session.tokens)
            try:
                response = await self._user_client.request(
                    "POST", "/sessions/refresh", {"refresh_token": sealed.refresh_token}
                )
            except UpstreamUnavailable:
                return session
            try:
                match response.status_code:
                    case 201:
                        return await self._keep(cookie, Tokens.model_validate_json(response.content))
                    case 401 if (await self._load(key)).tokens == session.tokens:
                        return await self._decide(key, EndSession())  # user_svc has ended the login
                    case _:  # another instance has renewed it, or user_svc limits the rate
                        return await self._load(key)
            except (SessionNotOpen, ValidationError):
                return await self._load(key)

    async def _keep(self, cookie: str, tokens: Tokens) -> Session:
        now = self._runtime.clock()
        until = now + timedelta(seconds=tokens.expires_in)
        renewed = RenewSession(
            tokens.roles, now, until, tokens.refresh_expires_at, _seal(cookie, tokens), tokens.access_version
        )
        return await self._decide(_key(cookie), renewed)

    async def _decide(self, key: str, command: RenewSession | EndSession) -> Session:
        session: Session = (await execute(self._runtime, SESSIONS, key, command)).state
        return session

    def _principal(self, cookie: str, session: Session) -> Principal | None:
        """While user_svc is unavailable, a session is trusted for an hour, without the staff role."""
        now = self._runtime.clock()
        roles = tuple(Role(role) for role in session.roles)
        if session.access_until is not None and session.access_until > now:
            access_token = _unseal(cookie, session.tokens).access_token
            return Principal(session.user_id, roles, access_token, _key(cookie))
        if session.proved_at is not None and abs(now - session.proved_at) < _TRUSTED_FOR:
            mere = tuple(role for role in roles if role is not Role.STAFF)
            return Principal(session.user_id, mere, None, _key(cookie))
        return None


def _key(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


def _fernet(cookie: str) -> Fernet:
    """The key is derived from another digest than the document's key, which the database knows."""
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"seal/" + cookie.encode()).digest()))


def _seal(cookie: str, tokens: Tokens) -> str:
    return _fernet(cookie).encrypt(f"{tokens.access_token} {tokens.refresh_token}".encode()).decode()


def _unseal(cookie: str, sealed: str) -> _Sealed:
    try:
        access_token, _, refresh_token = _fernet(cookie).decrypt(sealed).decode().partition(" ")
    except InvalidToken:
        raise AssertionError("the session's tokens are encrypted with another cookie") from None
    return _Sealed(access_token, refresh_token)
