"""A fake of user_svc with its HTTP contract: real access tokens, in-memory logins, and no rules."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response

from chassis.messaging.identity import new_id
from contracts.http.access import LIFETIME, AccessToken, sign
from contracts.roles import Role

PASSWORD = "correct horse battery"
REFRESH_LIFETIME = timedelta(days=30)


@dataclass
class Account:
    email: str
    user_id: UUID
    roles: tuple[Role, ...] = (Role.CUSTOMER,)
    password: str = PASSWORD
    name: str = "Ada"
    access_version: int = 0


@dataclass
class LogIn:
    """A refresh token family: the newest token, and the previous one, valid for a moment after a refresh."""

    account: Account
    newest: str = ""
    before: str = ""


@dataclass
class RecordedRequest:
    method: str
    path: str
    headers: dict[str, str]
    json: Any = None


@dataclass
class FakeUserService:
    """`away`: no request gets a response.

    `requests`: all received requests. `kid`: the id of the signing key.
    """

    clock: Callable[[], datetime]
    kid: str = "first"
    away: bool = False
    requests: list[RecordedRequest] = field(default_factory=list)
    accounts: dict[str, Account] = field(default_factory=dict)
    log_ins: dict[UUID, LogIn] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys = {self.kid: Ed25519PrivateKey.generate()}
        self.app = fake_user_app(self)

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        return _Switched(self)

    @property
    def jwks_asked(self) -> int:
        return sum(requests.path.endswith("jwks.json") for requests in self.requests)

    def has(self, email: str, *roles: Role) -> Account:
        return self.accounts.setdefault(email, Account(email, new_id(), (Role.CUSTOMER, *roles)))

    def access_token(self, account: Account, sid: UUID | None = None, **changed: Any) -> str:
        token = AccessToken(
            sub=account.user_id,
            sid=sid or new_id(),
            jti=new_id(),
            roles=account.roles,
            exp=self.clock() + LIFETIME,
            access_version=account.access_version,
        )
        return sign(self.keys[self.kid], self.kid, token.model_copy(update=changed), self.clock())

    def tokens(self, sid: UUID) -> JSONResponse:
        log_in = self.log_ins[sid]
        log_in.before, log_in.newest = log_in.newest, f"refresh-{new_id().hex}"
        body = {
            "access_token": self.access_token(log_in.account, sid),
            "token_type": "Bearer",
            "expires_in": int(LIFETIME.total_seconds()),
            "refresh_token": log_in.newest,
            "refresh_expires_at": (self.clock() + REFRESH_LIFETIME).isoformat(),
            "user_id": str(log_in.account.user_id),
            "roles": log_in.account.roles,
            "access_version": log_in.account.access_version,
        }
        return JSONResponse(body, 201)


class _Switched(httpx.AsyncBaseTransport):
    def __init__(self, users: FakeUserService) -> None:
        self._users = users
        self._to = httpx.ASGITransport(users.app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._users.away:
            raise httpx.ConnectError("away")
        return await self._to.handle_async_request(request)


def fake_user_app(users: FakeUserService) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def listen(request: Request, call_next: Any) -> Any:
        users.requests.append(RecordedRequest(request.method, request.url.path, dict(request.headers)))
        return await call_next(request)

    @app.get("/.well-known/jwks.json")
    async def jwks() -> Any:
        return {"keys": [_jwk(kid, key) for kid, key in users.keys.items()]}

    _log_ins(app, users)
    _accounts(app, users)
    return app


def _accounts(app: FastAPI, users: FakeUserService) -> None:
    @app.post("/users")
    async def register(form: dict[str, Any]) -> Any:
        return JSONResponse({"user_id": str(users.has(form["email"]).user_id)}, 202)

    @app.put("/users/me")
    @app.post("/users/me/addresses", status_code=201)
    @app.get("/users/me")
    async def me(authorization: Annotated[str, Header()]) -> Any:
        account = next(a for a in users.accounts.values() if str(a.user_id) == _claims(authorization)["sub"])
        return {
            "user_id": str(account.user_id),
            "email": account.email,
            "name": account.name,
            "addresses": [],
        }

    @app.put("/users/me/password", status_code=204)
    @app.delete("/users/me/addresses/{label}", status_code=204)
    @app.post("/users/me/erasure", status_code=204)
    @app.delete("/users/me/sessions/{session_id}", status_code=204)
    @app.delete("/sessions", status_code=204)
    @app.delete("/users/me/email-change", status_code=204)
    @app.post("/users/me/email-change", status_code=202)
    @app.post("/proof-requests", status_code=202)
    async def done() -> None: ...

    @app.post("/proofs")
    @app.post("/password-resets/confirmations")
    async def by_mail() -> Any:
        return _no(401)

    @app.post("/password-resets", status_code=202)
    async def reset(form: dict[str, Any]) -> Response:
        return (
            _no(429, **{"Retry-After": "7"})
            if form["email"] == "hasty@example.org"
            else Response(status_code=202)
        )


def _log_ins(app: FastAPI, users: FakeUserService) -> None:
    @app.post("/sessions")
    async def log_in(form: dict[str, Any]) -> Any:
        account = users.accounts.get(form["email"])
        if account is None or form["password"] != account.password:
            return _no(401)
        sid = new_id()
        users.log_ins[sid] = LogIn(account)
        return users.tokens(sid)

    @app.post("/sessions/refresh")
    async def refresh(form: dict[str, Any]) -> Any:
        for sid, log_in in users.log_ins.items():
            if form["refresh_token"] in (log_in.newest, log_in.before):
                return users.tokens(sid)
        return _no(401)

    @app.get("/users/me/sessions")
    async def list_sessions() -> Any:
        return {"items": [], "next": None}

    @app.delete("/sessions/current", status_code=204)
    async def log_out(authorization: Annotated[str, Header()]) -> None:
        users.log_ins.pop(_sid(authorization), None)


def _no(status: int, **headers: str) -> JSONResponse:
    return JSONResponse(
        {"title": "No", "status": status, "detail": "user_svc says no"}, status, headers=headers
    )


def _claims(authorization: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(
        authorization.removeprefix("Bearer "), options={"verify_signature": False}
    )
    return claims


def _sid(authorization: str) -> UUID:
    return UUID(_claims(authorization)["sid"])


def _jwk(kid: str, key: Ed25519PrivateKey) -> dict[str, str]:
    x = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x}
