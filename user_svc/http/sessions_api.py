"""Registration, login, logout and password resets over HTTP. The user's own account is in account_api.py."""

from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from chassis.messaging.identity import new_id
from chassis.runtime import Runtime
from chassis.telemetry.instruments import Label, counter
from chassis.web.app import flatten_routers
from chassis.web.problems import ALWAYS, problem_responses
from contracts.http.users import PasswordResetConfirmation, Proof, Refresh, Registered, Tokens
from user_svc.accounts.account_service import MIN_RESPONSE_S, AddressNotProved
from user_svc.accounts.email_reservation import reservation_key
from user_svc.auth.login_attempts import TooManyAttempts
from user_svc.auth.login_throttle import WrongPassword
from user_svc.auth.passwords import Passwords
from user_svc.dependencies import UserDependencies
from user_svc.http import account_api, internal_api, staff_api
from user_svc.http.dependencies import (
    AuthenticatedUser,
    client_dependency,
    network_dependency,
    user_dependency,
)
from user_svc.http.errors import BODY_RESPONSES, LOGIN_RESPONSES
from user_svc.http.forms import EmailBody, LoginBody, RegistrationBody
from user_svc.http.strict_body import BoundedRoute
from user_svc.http.views import set_version_headers
from user_svc.settings import AuthPolicy
from user_svc.signing.signer import LinkPurpose

LOGINS = counter(
    "user_log_ins_total",
    "Login attempts",
    labels=(Label("outcome", "`good`, `wrong`, `unproved`, `throttled` or `failed`"),),
    recorded_in="user_svc/http/sessions_api.py",
)
_OUTCOMES = {WrongPassword: "wrong", AddressNotProved: "unproved", TooManyAttempts: "throttled"}
_AGAIN = problem_responses(429)


def routes(
    runtime: Runtime,
    *,
    service_tokens: Callable[[], Sequence[str]],
    passwords: Passwords | None = None,
    min_response_s: float = MIN_RESPONSE_S,
    policy: AuthPolicy | None = None,
) -> APIRouter:
    """`service_tokens`: each authenticates the shop's other services; see chassis/web/service_token.py."""
    deps = UserDependencies(runtime, service_tokens, passwords, min_response_s, policy or AuthPolicy())
    own = (_registration(deps), _resets(deps), _sessions(deps))
    return flatten_routers(*own, account_api.routes(deps), internal_api.routes(deps), staff_api.routes(deps))


def _registration(deps: UserDependencies) -> APIRouter:
    router = APIRouter(
        tags=["registration"], route_class=BoundedRoute, responses=ALWAYS | BODY_RESPONSES | _AGAIN
    )
    network, client = Depends(network_dependency(deps)), Depends(client_dependency(deps))

    @router.post("/users", status_code=202)
    async def register(
        form: RegistrationBody, response: Response, network: Annotated[str, network]
    ) -> Registered:
        """The response is always the same: it does not reveal whether the address already has an account."""
        await deps.accounts.require_uncommon(form.password, form.email)
        await deps.throttle.hit(_mail_throttle_key(form.email), network)
        user_id = form.user_id or new_id()
        await deps.accounts.register(user_id, form.email, form.name, form.password)
        response.headers["Location"] = account_api.ME
        return Registered(user_id=user_id)

    @router.post("/proof-requests", status_code=202)
    async def ask_for_proof(form: EmailBody, network: Annotated[str, network]) -> None:
        """Sends the mail with the proof link again, if there is an unproved account. The response is always
        the same.
        """
        await deps.throttle.hit(_mail_throttle_key(form.email), network)
        await deps.accounts.ask_for_proof(form.email)

    @router.post("/proofs", status_code=201, responses=LOGIN_RESPONSES)
    async def prove(
        form: Proof, response: Response, network: Annotated[str, network], client: Annotated[str, client]
    ) -> Tokens:
        """The link in the mail leads here. The link and the password together log in.

        After the confirmation of a changed address all other logins have ended.
        """
        link = await deps.signing.check_link(form.token, LinkPurpose.PROOF)
        proved = deps.accounts.prove if link.request_id is None else deps.email_changes.confirm
        async with deps.throttle.attempt(link.email_key, network):
            tokens = await proved(link, form.password, client)
        response.headers["Cache-Control"] = "no-store"
        set_version_headers(response, tokens)
        return Tokens.model_validate(tokens)

    return router


def _resets(deps: UserDependencies) -> APIRouter:
    router = APIRouter(
        prefix="/password-resets",
        tags=["passwords"],
        route_class=BoundedRoute,
        responses=ALWAYS | BODY_RESPONSES | _AGAIN,
    )
    network = Depends(network_dependency(deps))

    @router.post("", status_code=202)
    async def ask_for_reset(form: EmailBody, network: Annotated[str, network]) -> None:
        """Sends a mail with a reset link, if there is an account. The response is always the same."""
        await deps.throttle.hit(_mail_throttle_key(form.email), network)
        await deps.accounts.ask_for_reset(form.email)

    @router.post("/confirmations", status_code=204, responses=LOGIN_RESPONSES)
    async def reset(form: PasswordResetConfirmation, response: Response) -> None:
        """The link in the mail leads here and works once. All logins end."""
        link = await deps.signing.check_link(form.token, LinkPurpose.RESET)
        set_version_headers(response, await deps.accounts.reset_password(link, form.password))

    return router


def _sessions(deps: UserDependencies) -> APIRouter:
    router = APIRouter(prefix="/sessions", tags=["sessions"], route_class=BoundedRoute, responses=ALWAYS)
    authenticated, network = Depends(user_dependency(deps)), Depends(network_dependency(deps))
    client = Depends(client_dependency(deps))

    @router.post(
        "", status_code=201, responses=BODY_RESPONSES | LOGIN_RESPONSES | problem_responses(403, 429)
    )
    async def log_in(
        form: LoginBody, response: Response, network: Annotated[str, network], client: Annotated[str, client]
    ) -> Tokens:
        """All 401 responses have the same text.

        403: the password is right, but the address is not proved yet.
        """
        try:
            async with deps.throttle.attempt(reservation_key(form.email), network):
                tokens = await deps.accounts.log_in(form.email, form.password, client)
        except Exception as error:
            LOGINS.labels(_OUTCOMES.get(type(error), "failed")).inc()
            raise
        LOGINS.labels("good").inc()
        response.headers["Cache-Control"] = "no-store"
        return Tokens.model_validate(tokens)

    @router.post(
        "/refresh", status_code=201, responses=BODY_RESPONSES | LOGIN_RESPONSES | problem_responses(429)
    )
    async def refresh(form: Refresh, response: Response) -> Tokens:
        """A refresh token can be used once. Reuse ends the login, because the token may have been stolen."""
        response.headers["Cache-Control"] = "no-store"
        return Tokens.model_validate(await deps.logins.refresh(form.refresh_token))

    @router.delete("/current", status_code=204, responses=LOGIN_RESPONSES)
    async def log_out(current_user: Annotated[AuthenticatedUser, authenticated]) -> None:
        await deps.logins.end(current_user.sid)

    @router.delete("", status_code=204, responses=LOGIN_RESPONSES)
    async def log_out_everywhere(
        current_user: Annotated[AuthenticatedUser, authenticated], response: Response
    ) -> None:
        set_version_headers(response, await deps.accounts.end_all_logins(current_user.user))

    return router


def _mail_throttle_key(email: str) -> str:
    """A separate key: requesting a mail must not delay a login."""
    return f"mail {reservation_key(email)}"
