"""Routes of the user's own account. `Authorization: Bearer <access token>` identifies the user."""

from enum import Enum
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from chassis.web.app import flatten_routers
from chassis.web.problems import ALWAYS, problem_responses
from contracts.http.users import Erasure, Me, OwnSession, PasswordChange, PostalAddress, Profile, SessionPage
from contracts.values import Id
from user_svc.accounts.email_reservation import reservation_key
from user_svc.accounts.user import AddAddress, Address, ChangeProfile, RemoveAddress
from user_svc.dependencies import UserDependencies
from user_svc.http.dependencies import AuthenticatedUser, network_dependency, user_dependency
from user_svc.http.errors import BODY_RESPONSES, LOGIN_RESPONSES
from user_svc.http.forms import EmailChangeBody
from user_svc.http.strict_body import BoundedRoute
from user_svc.http.views import set_version_headers

ME = "/users/me"
TAGS: list[str | Enum] = ["own account"]


def routes(deps: UserDependencies) -> APIRouter:
    return flatten_routers(_profile(deps), _addresses(deps), _sessions(deps), _password_protected(deps))


def _profile(deps: UserDependencies) -> APIRouter:
    router = APIRouter(prefix=ME, route_class=BoundedRoute, tags=TAGS, responses=ALWAYS | LOGIN_RESPONSES)
    authenticated = Depends(user_dependency(deps))

    @router.get("")
    async def show(current_user: Annotated[AuthenticatedUser, authenticated], response: Response) -> Me:
        response.headers["Cache-Control"] = "no-store"
        return Me.model_validate(current_user.user)

    @router.put("", responses=BODY_RESPONSES)
    async def change(current_user: Annotated[AuthenticatedUser, authenticated], form: Profile) -> Me:
        return Me.model_validate(
            await deps.accounts.change(current_user.user.user_id, ChangeProfile(form.name))
        )

    @router.delete("/email-change", status_code=204)
    async def drop_email_change(current_user: Annotated[AuthenticatedUser, authenticated]) -> None:
        """Drops a change of the e-mail address that is not confirmed yet."""
        await deps.email_changes.drop(current_user.user)

    return router


def _addresses(deps: UserDependencies) -> APIRouter:
    router = APIRouter(
        prefix=f"{ME}/addresses", route_class=BoundedRoute, tags=TAGS, responses=ALWAYS | LOGIN_RESPONSES
    )
    authenticated = Depends(user_dependency(deps))

    @router.post("", status_code=201, responses=BODY_RESPONSES | problem_responses(409))
    async def add(current_user: Annotated[AuthenticatedUser, authenticated], form: PostalAddress) -> Me:
        """Replaces the address with the same label, so a repeated request has no effect."""
        command = AddAddress(Address(**form.model_dump()))
        return Me.model_validate(await deps.accounts.change(current_user.user.user_id, command))

    @router.delete("/{label}", status_code=204, responses=problem_responses(404))
    async def remove(current_user: Annotated[AuthenticatedUser, authenticated], label: str) -> None:
        await deps.accounts.change(current_user.user.user_id, RemoveAddress(label))

    return router


def _sessions(deps: UserDependencies) -> APIRouter:
    """The user's open sessions, which are logins."""
    router = APIRouter(
        prefix=f"{ME}/sessions", route_class=BoundedRoute, tags=TAGS, responses=ALWAYS | LOGIN_RESPONSES
    )
    authenticated = Depends(user_dependency(deps))

    @router.get("")
    async def list_sessions(
        current_user: Annotated[AuthenticatedUser, authenticated],
        response: Response,
        after: Annotated[Id | None, Query(description="the `next` of the previous page")] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> SessionPage:
        response.headers["Cache-Control"] = "no-store"
        found = await deps.logins.list_open(current_user.user, after, limit + 1)
        now = deps.clock()
        items = [
            OwnSession.model_validate(login).model_copy(
                update={"current": login.session_id == current_user.sid}
            )
            for login in found[:limit]
            if now < login.expires_at
        ]
        return SessionPage(items=items, next=found[limit - 1].session_id if len(found) > limit else None)

    @router.delete("/{session_id}", status_code=204, responses=problem_responses(404))
    async def log_out_session(
        session_id: Id, current_user: Annotated[AuthenticatedUser, authenticated], response: Response
    ) -> None:
        """Ends one login. The access tokens of all logins become outdated: refresh yours."""
        set_version_headers(response, await deps.accounts.end_login(current_user.user, session_id))

    return router


def _password_protected(deps: UserDependencies) -> APIRouter:
    """Routes that require the password again, because an access token can be stolen."""
    router = APIRouter(
        prefix=ME,
        route_class=BoundedRoute,
        tags=TAGS,
        responses=ALWAYS | LOGIN_RESPONSES | BODY_RESPONSES | problem_responses(403, 429),
    )
    authenticated, network = Depends(user_dependency(deps)), Depends(network_dependency(deps))

    @router.put("/password", status_code=204)
    async def change_password(
        current_user: Annotated[AuthenticatedUser, authenticated],
        network: Annotated[str, network],
        form: PasswordChange,
        response: Response,
    ) -> None:
        """Ends all logins, including this one."""
        async with deps.throttle.attempt(reservation_key(current_user.user.email), network):
            set_version_headers(
                response, await deps.accounts.change_password(current_user.user, form.current, form.new)
            )

    @router.post("/email-change", status_code=202)
    async def change_email(
        current_user: Annotated[AuthenticatedUser, authenticated],
        network: Annotated[str, network],
        form: EmailChangeBody,
    ) -> None:
        """Sends a mail to the new address, whose link and the password confirm the change. The response does
        not reveal whether the address belongs to another account.
        """
        async with deps.throttle.attempt(reservation_key(current_user.user.email), network):
            await deps.email_changes.request(current_user.user, form.email, form.password)

    @router.post("/erasure", status_code=204)
    async def erase(
        current_user: Annotated[AuthenticatedUser, authenticated],
        network: Annotated[str, network],
        form: Erasure,
        response: Response,
    ) -> None:
        """Irreversible. All personal data is deleted; orders keep the user id,
        which then refers to no account.
        """
        async with deps.throttle.attempt(reservation_key(current_user.user.email), network):
            set_version_headers(response, await deps.accounts.erase(current_user.user, form.password))

    return router
