"""Routes for other services: the public keys of access tokens, and the recipient of a mail."""

from fastapi import APIRouter, Depends, HTTPException, Response

from chassis.web.jwks import JWKS_PATH
from chassis.web.problems import ALWAYS, problem_responses
from contracts.http.users import Recipient
from contracts.notifications import MailKind
from contracts.values import Id
from user_svc.dependencies import UserDependencies
from user_svc.http.dependencies import service_dependency
from user_svc.http.errors import LOGIN_RESPONSES
from user_svc.http.strict_body import BoundedRoute
from user_svc.http.views import JsonWebKey, JsonWebKeySet

JWKS_MAX_AGE_S = 300


def routes(deps: UserDependencies) -> APIRouter:
    router = APIRouter(tags=["internal"], route_class=BoundedRoute, responses=ALWAYS)

    @router.get(JWKS_PATH)
    async def keys(response: Response) -> JsonWebKeySet:
        """The public keys (RFC 7517). A new key is published half an hour before it signs."""
        response.headers["Cache-Control"] = f"public, max-age={JWKS_MAX_AGE_S}"
        return JsonWebKeySet(keys=[JsonWebKey(kid=kid, x=x) for kid, x in await deps.signing.published()])

    @router.get(
        "/internal/contacts/{user_id}",
        responses=LOGIN_RESPONSES | problem_responses(404),
        response_model_exclude_unset=True,
        dependencies=[Depends(service_dependency(deps))],
    )
    async def contact(
        user_id: Id, response: Response, kind: MailKind | None = None, about: Id | None = None
    ) -> Recipient:
        """The recipient of a mail to this user; 404 if the user is unknown or erased.

        `kind` and `about` identify the mail.
        """
        response.headers["Cache-Control"] = "no-store"
        user = await deps.accounts.user(user_id)
        if not user.exists:
            raise HTTPException(404, "there is no user with this id")
        email = user.email
        match kind:
            case MailKind.ADDRESS_PROOF if user.email_change and user.requests_change(about):
                email = user.email_change.email
                link_token: str | None = await deps.email_changes.link_token(user)
            case MailKind.USER_REGISTERED | MailKind.ADDRESS_PROOF:
                link_token = await deps.accounts.proof_token(user)
            case MailKind.PASSWORD_RESET:
                link_token = await deps.accounts.reset_token(user)
            case _:
                link_token = None
        if kind is MailKind.PASSWORD_CHANGED and (former := user.former_email(about)):
            return Recipient(name=user.name, email=former, address_changed=True)
        found = Recipient(name=user.name, email=email, link_token=link_token)
        newer = user.superseding(kind, about) if kind and about else None
        return found if newer is None else found.model_copy(update={"superseded_by": newer})

    return router
