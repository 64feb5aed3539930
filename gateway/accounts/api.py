"""The HTTP API of accounts. It validates the shape of requests and forwards them to user_svc."""

from typing import Annotated, TypeVar
from urllib.parse import quote

import httpx
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ValidationError

from chassis.web.app import flatten_routers
from chassis.web.http_client import UpstreamUnavailable
from chassis.web.problems import Problem, parse_problem, problem_responses
from chassis.web.strict_json import StrictRoute
from contracts.http import users
from contracts.http.users import Tokens
from contracts.values import Id
from gateway.accounts.dependencies import AccountDependencies
from gateway.auth.principal import Principal
from gateway.http.problems import ProblemError, make_problem, problem_for_status
from gateway.http.rate_limit import QUOTA_EXCEEDED

_API, _ME = "/api/v1", "/users/me"
Read = TypeVar("Read", bound=BaseModel)


def routes(deps: AccountDependencies) -> APIRouter:
    own = (_own_account(deps), _email_change(deps), _own_sessions(deps))
    return flatten_routers(_registration(deps), _logins(deps), _passwords(deps), *own)


def _registration(deps: AccountDependencies) -> APIRouter:
    router = deps.api_router(
        "registration", prefix=_API, route_class=StrictRoute, responses=problem_responses(503)
    )
    send = deps.user_client.request

    @router.post("/users", status_code=202)
    async def register(form: users.Registration, response: Response) -> users.Registered:
        """Opens an account. The response is the same if the address already has one:
        its owner gets an e-mail.
        """
        user_response = _require_success(await send("POST", "/users", form.model_dump()))
        response.headers["Location"] = _API + _ME
        return _read(users.Registered, user_response)

    @router.post("/proof-requests", status_code=202)
    async def ask_for_proof(form: users.EmailAddressOnly) -> None:
        """Sends the e-mail with the verification link again,
        if there is an unverified account with the address.
        """
        _require_success(await send("POST", "/proof-requests", form.model_dump()))

    @router.post("/proofs", status_code=201, responses=problem_responses(401))
    async def prove(form: users.Proof, response: Response) -> Tokens:
        """Verifies the e-mail address by the token from the e-mail, and logs in.

        If it is a changed address, all other logins end.
        """
        return _tokens(response, await send("POST", "/proofs", form.model_dump()))

    return router


def _logins(deps: AccountDependencies) -> APIRouter:
    router = deps.api_router(
        "log-in", prefix=_API, route_class=StrictRoute, responses=problem_responses(401, 503)
    )
    send = deps.user_client.request

    @router.post("/sessions", status_code=201)
    async def log_in(form: users.Credentials, response: Response) -> Tokens:
        """Logs in an API client and returns tokens. Browsers log in on a page and get a cookie instead."""
        return _tokens(response, await send("POST", "/sessions", form.model_dump()))

    @router.post("/sessions/refresh", status_code=201)
    async def refresh(form: users.Refresh, response: Response) -> Tokens:
        """Returns the next pair of tokens.

        A refresh token is valid once; reusing an old one ends the login.
        """
        return _tokens(response, await send("POST", "/sessions/refresh", form.model_dump()))

    @router.delete("/sessions/current", status_code=204)
    async def log_out(
        request: Request, response: Response, user: Annotated[Principal, Depends(deps.require_user)]
    ) -> None:
        """Ends this login."""
        if user.session_key:
            await deps.sessions.end(request)
        else:
            _require_success(await send("DELETE", "/sessions/current", user=user))
        _clear_session(deps, response)

    @router.delete("/sessions", status_code=204)
    async def log_out_everywhere(
        request: Request, response: Response, user: Annotated[Principal, Depends(deps.require_user)]
    ) -> None:
        """Ends all your logins."""
        _require_success(await send("DELETE", "/sessions", user=user))
        await _end_session(deps, request, response)

    return router


def _passwords(deps: AccountDependencies) -> APIRouter:
    router = deps.api_router(
        "passwords", prefix=_API, route_class=StrictRoute, responses=problem_responses(503)
    )
    send = deps.user_client.request

    @router.post("/password-resets", status_code=202)
    async def ask_for_reset(form: users.EmailAddressOnly) -> None:
        """Sends an e-mail with a link to choose a new password, if there is an account with the address."""
        _require_success(await send("POST", "/password-resets", form.model_dump()))

    @router.post("/password-resets/confirmations", status_code=204, responses=problem_responses(401))
    async def reset(form: users.PasswordResetConfirmation) -> None:
        """Sets a new password by the token from the e-mail, and ends all logins."""
        _require_success(await send("POST", "/password-resets/confirmations", form.model_dump()))

    @router.put("/users/me/password", status_code=204, responses=problem_responses(401, 403))
    async def change_password(
        form: users.PasswordChange,
        request: Request,
        response: Response,
        user: Annotated[Principal, Depends(deps.require_user)],
    ) -> None:
        """Sets a new password, and ends all logins."""
        _require_success(await send("PUT", f"{_ME}/password", form.model_dump(), user=user))
        await _end_session(deps, request, response)

    return router


def _own_account(deps: AccountDependencies) -> APIRouter:
    router = deps.api_router(
        "own account", prefix=_API + _ME, route_class=StrictRoute, responses=problem_responses(401, 404, 503)
    )
    send = deps.user_client.request
    CurrentUser = Annotated[Principal, Depends(deps.require_user)]

    @router.get("")
    async def show(user: CurrentUser) -> users.Me:
        """Your name, e-mail address and postal addresses."""
        return _read(users.Me, _require_success(await send("GET", _ME, user=user)))

    @router.put("")
    async def change(form: users.Profile, user: CurrentUser) -> users.Me:
        """Changes your name."""
        return _read(users.Me, _require_success(await send("PUT", _ME, form.model_dump(), user=user)))

    @router.post("/addresses", status_code=201, responses=problem_responses(409))
    async def add_address(form: users.PostalAddress, user: CurrentUser) -> users.Me:
        """Adds an address, or replaces the one with the same label."""
        return _read(
            users.Me, _require_success(await send("POST", f"{_ME}/addresses", form.model_dump(), user=user))
        )

    @router.delete("/addresses/{label}", status_code=204)
    async def remove_address(
        label: Annotated[str, Path(max_length=40, pattern="[^.]", examples=["home"])], user: CurrentUser
    ) -> None:
        """Removes an address."""
        path = f"{_ME}/addresses/{quote(label, safe='')}"
        _require_success(await send("DELETE", path, user=user))

    @router.post("/erasure", status_code=204, responses=problem_responses(403))
    async def erase(form: users.Erasure, request: Request, response: Response, user: CurrentUser) -> None:
        """Erases your personal data permanently.

        Orders keep your user id, which then identifies no person.
        """
        _require_success(await send("POST", f"{_ME}/erasure", form.model_dump(), user=user))
        await _end_session(deps, request, response)

    return router


def _email_change(deps: AccountDependencies) -> APIRouter:
    router = deps.api_router(
        "own account",
        prefix=f"{_API}{_ME}/email-change",
        route_class=StrictRoute,
        responses=problem_responses(401, 503),
    )
    send, path = deps.user_client.request, f"{_ME}/email-change"

    @router.post("", status_code=202, responses=problem_responses(403))
    async def request_email_change(
        form: users.EmailChangeRequest, user: Annotated[Principal, Depends(deps.require_user)]
    ) -> None:
        """Sends an e-mail to the new address. Its token confirms the change at POST /api/v1/proofs.

        The response is the same if the address belongs to another account.
        """
        _require_success(await send("POST", path, form.model_dump(), user=user))

    @router.delete("", status_code=204)
    async def drop_email_change(user: Annotated[Principal, Depends(deps.require_user)]) -> None:
        """Drops a change of the e-mail address that is not confirmed yet."""
        _require_success(await send("DELETE", path, user=user))

    return router


def _own_sessions(deps: AccountDependencies) -> APIRouter:
    router = deps.api_router(
        "own account",
        prefix=f"{_API}{_ME}/sessions",
        route_class=StrictRoute,
        responses=problem_responses(401, 503),
    )
    send = deps.user_client.request

    @router.get("")
    async def list_sessions(
        user: Annotated[Principal, Depends(deps.require_user)],
        after: Annotated[Id | None, Query(description="the `next` of the previous page")] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> users.SessionPage:
        """Your open sessions: each is a login by password, in a browser or a program. Newest first."""
        path = f"{_ME}/sessions?limit={limit}" + (f"&after={after}" if after else "")
        return _read(users.SessionPage, _require_success(await send("GET", path, user=user)))

    @router.delete("/{session_id}", status_code=204, responses=problem_responses(404))
    async def log_out_session(session_id: Id, user: Annotated[Principal, Depends(deps.require_user)]) -> None:
        """Ends one of your sessions at once. Access tokens of the others become outdated: refresh yours."""
        _require_success(await send("DELETE", f"{_ME}/sessions/{session_id}", user=user))

    return router


async def _end_session(deps: AccountDependencies, request: Request, response: Response) -> None:
    """Ends the browser session, if there is one. user_svc has already revoked the tokens."""
    await deps.sessions.end(request)
    _clear_session(deps, response)


def _clear_session(deps: AccountDependencies, response: Response) -> None:
    deps.cookies.clear(response, deps.cookies.session)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'


def _require_success(user_response: httpx.Response) -> httpx.Response:
    """Raises an error response of user_svc as a problem of the gateway, with user_svc's texts."""
    if user_response.is_success:
        return user_response
    if user_response.status_code >= 500 or user_response.is_redirect:
        raise UpstreamUnavailable("user_svc")
    reported, usual = parse_problem(user_response), _default_problem(user_response)
    worded = usual.model_copy(
        update={"detail": reported.detail or usual.detail, "errors": reported.errors}
        | ({} if reported.type == "about:blank" else {"type": reported.type, "title": reported.title})
    )
    kept = {
        name: user_response.headers[name]
        for name in ("Retry-After", "WWW-Authenticate")
        if name in user_response.headers
    }
    raise ProblemError(problem=worded, headers=kept)


def _default_problem(user_response: httpx.Response) -> Problem:
    asked_with_token = "authorization" in user_response.request.headers
    match user_response.status_code:
        case 429:
            return make_problem("too-many", type=QUOTA_EXCEEDED)
        case 401 if not asked_with_token:
            return make_problem("wrong-log-in")
        case status:
            return problem_for_status(status)


def _tokens(response: Response, user_response: httpx.Response) -> Tokens:
    response.headers["Cache-Control"] = "no-store"
    return _read(Tokens, _require_success(user_response))


def _read(kind: type[Read], user_response: httpx.Response) -> Read:
    """Ignores fields that a newer user_svc adds. Raises UpstreamUnavailable for an invalid response."""
    try:
        return kind.model_validate_json(user_response.content)
    except ValidationError:
        raise UpstreamUnavailable("user_svc") from None
