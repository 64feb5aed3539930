"""Accounts over HTTP: the door checks the outline of what is sent, user_svc decides, and its answer is passed on."""

from typing import Annotated, TypeVar
from urllib.parse import quote

import httpx
from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ValidationError

from chassis.http import joined
from contracts.problem import Problem, answers
from gateway import account_forms as forms
from gateway.house import House
from gateway.limits import QUOTA_EXCEEDED
from gateway.problems import Refusal, named, of_status, said_in
from gateway.strict_json import StrictRoute
from gateway.upstream import Away
from gateway.visitor import Visitor

_API, _ME = "/api/v1", "/users/me"
Read = TypeVar("Read", bound=BaseModel)


def routes(house: House) -> APIRouter:
    return joined(_registration(house), _log_ins(house), _passwords(house), _own_account(house))


def _registration(house: House) -> APIRouter:
    router = house.api("registration", prefix=_API, route_class=StrictRoute, responses=answers(503))
    ask = house.accounts.ask

    @router.post("/users", status_code=202)
    async def register(form: forms.Registration, response: Response) -> forms.Registered:
        """Opens an account. The answer is the same if the address has one already: its owner is told by mail."""
        answer = _good(await ask("POST", "/users", form.model_dump()))
        response.headers["Location"] = _API + _ME
        return _read(forms.Registered, answer)

    @router.post("/proof-requests", status_code=202)
    async def ask_for_proof(form: forms.ByEmail) -> None:
        """Sends the mail with the link once more, if there is such an account."""
        _good(await ask("POST", "/proof-requests", form.model_dump()))

    @router.post("/proofs", status_code=201, responses=answers(401))
    async def prove(form: forms.Proof, response: Response) -> forms.Tokens:
        """Proves the e-mail address by the token that was sent to it, and logs in."""
        return _tokens(response, await ask("POST", "/proofs", form.model_dump()))

    return router


def _log_ins(house: House) -> APIRouter:
    router = house.api("log-in", prefix=_API, route_class=StrictRoute, responses=answers(401, 503))
    ask = house.accounts.ask

    @router.post("/sessions", status_code=201)
    async def log_in(form: forms.Credentials, response: Response) -> forms.Tokens:
        """For programs: tokens. (Browsers log in on the page, and get a cookie instead.)"""
        return _tokens(response, await ask("POST", "/sessions", form.model_dump()))

    @router.post("/sessions/refresh", status_code=201)
    async def refresh(form: forms.Refresh, response: Response) -> forms.Tokens:
        """The next pair of tokens. Each refresh token counts once; using an old one ends the whole log-in."""
        return _tokens(response, await ask("POST", "/sessions/refresh", form.model_dump()))

    @router.delete("/sessions/current", status_code=204)
    async def log_out(request: Request, response: Response, member: Annotated[Visitor, Depends(house.member)]) -> None:
        """Ends this log-in."""
        if member.session_key:
            await house.sessions.end(request)
        else:
            _good(await ask("DELETE", "/sessions/current", visitor=member))
        _forget(house, response)

    @router.delete("/sessions", status_code=204)
    async def log_out_everywhere(
        request: Request, response: Response, member: Annotated[Visitor, Depends(house.member)]
    ) -> None:
        """Ends all your log-ins."""
        _good(await ask("DELETE", "/sessions", visitor=member))
        await _end_here(house, request, response)

    return router


def _passwords(house: House) -> APIRouter:
    router = house.api("passwords", prefix=_API, route_class=StrictRoute, responses=answers(503))
    ask = house.accounts.ask

    @router.post("/password-resets", status_code=202)
    async def ask_for_reset(form: forms.ByEmail) -> None:
        """Sends a mail with a link by which to choose a new password, if there is such an account."""
        _good(await ask("POST", "/password-resets", form.model_dump()))

    @router.post("/password-resets/confirmations", status_code=204, responses=answers(401))
    async def reset(form: forms.NewPasswordByMail) -> None:
        """Sets a new password by the token from the mail, and ends all log-ins."""
        _good(await ask("POST", "/password-resets/confirmations", form.model_dump()))

    @router.put("/users/me/password", status_code=204, responses=answers(401, 403))
    async def change_password(
        form: forms.PasswordChange,
        request: Request,
        response: Response,
        member: Annotated[Visitor, Depends(house.member)],
    ) -> None:
        """Sets a new password, and ends all log-ins."""
        _good(await ask("PUT", f"{_ME}/password", form.model_dump(), visitor=member))
        await _end_here(house, request, response)

    return router


def _own_account(house: House) -> APIRouter:
    router = house.api("own account", prefix=_API + _ME, route_class=StrictRoute, responses=answers(401, 404, 503))
    ask = house.accounts.ask
    Member = Annotated[Visitor, Depends(house.member)]

    @router.get("")
    async def show(member: Member) -> forms.Me:
        """Your name, your e-mail address, and where your parcels go."""
        return _read(forms.Me, _good(await ask("GET", _ME, visitor=member)))

    @router.put("")
    async def change(form: forms.Profile, member: Member) -> forms.Me:
        """Changes your name."""
        return _read(forms.Me, _good(await ask("PUT", _ME, form.model_dump(), visitor=member)))

    @router.post("/addresses", status_code=201, responses=answers(409))
    async def add_address(form: forms.PostalAddress, member: Member) -> forms.Me:
        """Adds an address, or replaces the one with the same label."""
        return _read(forms.Me, _good(await ask("POST", f"{_ME}/addresses", form.model_dump(), visitor=member)))

    @router.delete("/addresses/{label}", status_code=204)
    async def remove_address(
        label: Annotated[str, Path(max_length=40, pattern="[^.]", examples=["home"])], member: Member
    ) -> None:
        """Forgets an address."""
        path = f"{_ME}/addresses/{quote(label, safe='')}"
        _good(await ask("DELETE", path, visitor=member))

    @router.post("/erasure", status_code=204, responses=answers(403))
    async def erase(form: forms.Erasure, request: Request, response: Response, member: Member) -> None:
        """Forgets you for ever. Orders keep an id that then stands for nobody."""
        _good(await ask("POST", f"{_ME}/erasure", form.model_dump(), visitor=member))
        await _end_here(house, request, response)

    return router


async def _end_here(house: House, request: Request, response: Response) -> None:
    """user_svc has ended the log-in already; so does the session, if this is one."""
    await house.sessions.end(request)
    _forget(house, response)


def _forget(house: House, response: Response) -> None:
    house.cookies.clear(response, house.cookies.session)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'


def _good(answer: httpx.Response) -> httpx.Response:
    """A no of user_svc becomes ours, in its own words."""
    if answer.is_success:
        return answer
    if answer.status_code >= 500 or answer.is_redirect:
        raise Away("user_svc")
    said, usual = said_in(answer), _usual(answer)
    worded = usual.model_copy(
        update={"detail": said.detail or usual.detail, "errors": said.errors}
        | ({} if said.type == "about:blank" else {"type": said.type, "title": said.title})
    )
    kept = {name: answer.headers[name] for name in ("Retry-After", "WWW-Authenticate") if name in answer.headers}
    raise Refusal(problem=worded, headers=kept)


def _usual(answer: httpx.Response) -> Problem:
    asked_with_token = "authorization" in answer.request.headers
    match answer.status_code:
        case 429:
            return named("too-many", type=QUOTA_EXCEEDED)
        case 401 if not asked_with_token:
            return named("wrong-log-in")
        case status:
            return of_status(status)


def _tokens(response: Response, answer: httpx.Response) -> forms.Tokens:
    response.headers["Cache-Control"] = "no-store"
    return _read(forms.Tokens, _good(answer))


def _read(kind: type[Read], answer: httpx.Response) -> Read:
    """Another version of user_svc may say more than we know; what it must say it has to."""
    try:
        return kind.model_validate_json(answer.content)
    except ValidationError:
        raise Away("user_svc") from None
