"""Accounts over HTTP. Who you are is said by `Authorization: Bearer <token>`, from POST /sessions."""

import hmac
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, HTTPException, Response

from chassis.runtime import Runtime
from contracts.identity import new_id
from user_svc.accounts import EVEN_S, Accounts
from user_svc.body import BoundedRoute
from user_svc.forms import (
    Contact,
    Credentials,
    Me,
    PostalAddress,
    Profile,
    Registered,
    Registration,
    SessionOpened,
)
from user_svc.passwords import Busy, Passwords
from user_svc.user import AddAddress, Address, ChangeProfile, Reason, Refused, RemoveAddress, Status, User

_ME = "/users/me"
_STATUS = {
    Reason.NOT_ACTIVE: 404,
    Reason.NO_SUCH_ADDRESS: 404,
    Reason.ADDRESSES_FULL: 409,
}
_BUSY_S = "2"


def routes(
    runtime: Runtime, *, service_token: str, passwords: Passwords | None = None, even_s: float = EVEN_S
) -> APIRouter:
    """`service_token`: what another service shows to be told an address."""
    accounts = Accounts(runtime, passwords or Passwords(), even_s)
    router = APIRouter()
    for part in (
        _doors(accounts),
        _own_account(accounts),
        _own_addresses(accounts),
        _internal(accounts, service_token),
    ):
        router.include_router(part)
    return router


def _doors(accounts: Accounts) -> APIRouter:
    """How one comes in and goes."""
    router = APIRouter(tags=["sessions"], route_class=BoundedRoute)

    @router.post("/users", status_code=202)
    async def register(form: Registration, response: Response) -> Registered:
        """Always the same answer: nobody learns here whether an address has an account already."""
        user_id = form.user_id or new_id()
        with _refusals():
            await accounts.register(user_id, form.email, form.name, form.password)
        response.headers["Location"] = _ME
        return Registered(user_id=user_id)

    @router.post("/sessions", status_code=201)
    async def log_in(form: Credentials, response: Response) -> SessionOpened:
        with _refusals():
            opened = await accounts.log_in(form.email, form.password)
        if opened is None:
            raise _unauthorised("the e-mail address or the password is wrong")
        response.headers["Cache-Control"] = "no-store"
        return SessionOpened(token=opened.token, expires_at=opened.expires_at, user_id=opened.user_id)

    @router.delete("/sessions/current", status_code=204)
    async def log_out(token: Annotated[str, Depends(_bearer)]) -> None:
        if await accounts.logged_in(token) is None:
            raise _unauthorised()
        await accounts.log_out(token)

    return router


def _own_account(accounts: Accounts) -> APIRouter:
    router = APIRouter(prefix=_ME, tags=["own account"], route_class=BoundedRoute)
    owner = Depends(_owner_by(accounts))

    @router.get("")
    async def show(response: Response, user: Annotated[User, owner]) -> Me:
        response.headers["Cache-Control"] = "no-store"
        return Me.model_validate(user)

    @router.put("")
    async def change(form: Profile, user: Annotated[User, owner]) -> Me:
        with _refusals():
            changed = await accounts.change(user.user_id, ChangeProfile(form.name))
        return Me.model_validate(changed)

    @router.delete("", status_code=204)
    async def erase(user: Annotated[User, owner]) -> None:
        """For ever. Nothing personal is kept; orders keep the id, which then stands for nobody."""
        with _refusals():
            await accounts.erase(user)

    return router


def _own_addresses(accounts: Accounts) -> APIRouter:
    router = APIRouter(prefix=f"{_ME}/addresses", tags=["own account"], route_class=BoundedRoute)
    owner = Depends(_owner_by(accounts))

    @router.post("", status_code=201)
    async def add(form: PostalAddress, user: Annotated[User, owner]) -> Me:
        """Takes the place of the address with the same label, so sending twice is one address."""
        with _refusals():
            changed = await accounts.change(user.user_id, AddAddress(Address(**form.model_dump())))
        return Me.model_validate(changed)

    @router.delete("/{label}", status_code=204)
    async def remove(label: str, user: Annotated[User, owner]) -> None:
        with _refusals():
            await accounts.change(user.user_id, RemoveAddress(label))

    return router


def _internal(accounts: Accounts, service_token: str) -> APIRouter:
    """For services, not for people: keep it off the public side."""
    router = APIRouter(prefix="/internal", tags=["internal"], route_class=BoundedRoute)

    @router.get("/contacts/{user_id}")
    async def contact(user_id: UUID, token: Annotated[str, Depends(_bearer)]) -> Contact:
        """To whom mail for a user goes; 404 if nobody has the id any more."""
        if not hmac.compare_digest(token.encode(), service_token.encode()):
            raise _unauthorised("this is not the service token")
        user = await accounts.user(user_id)
        if user.status is not Status.ACTIVE:
            raise HTTPException(404, "nobody has this id")
        return Contact(name=user.name, email=user.email)

    return router


def _bearer(authorization: Annotated[str, Header()] = "") -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _unauthorised()
    return token.strip()


def _owner_by(accounts: Accounts) -> Callable[[str], Awaitable[User]]:
    async def owner(token: Annotated[str, Depends(_bearer)]) -> User:
        user = await accounts.logged_in(token)
        if user is None:
            raise _unauthorised()
        return user

    return owner


def _unauthorised(detail: str = "log in first, and send the token as Authorization: Bearer") -> HTTPException:
    return HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})


@contextmanager
def _refusals() -> Iterator[None]:
    """A rule's no, in HTTP's words."""
    try:
        yield
    except Busy:
        raise HTTPException(429, "too many passwords are waiting", headers={"Retry-After": _BUSY_S}) from None
    except Refused as refused:
        raise HTTPException(_STATUS[refused.reason], str(refused)) from None
