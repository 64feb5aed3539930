"""For services, not for people: the keys by which access tokens are checked, and to whom a mail goes."""

from fastapi import APIRouter, Depends, HTTPException, Response

from contracts.notifications import MailKind
from contracts.problem import ALWAYS, answers
from contracts.values import Id
from user_svc.body import BoundedRoute
from user_svc.callers import service_of
from user_svc.house import House
from user_svc.refusals import OWNER
from user_svc.views import Contact, WebKey, WebKeys

JWKS_MAX_AGE_S = 300


def routes(house: House) -> APIRouter:
    router = APIRouter(tags=["internal"], route_class=BoundedRoute, responses=ALWAYS)

    @router.get("/.well-known/jwks.json")
    async def keys(response: Response) -> WebKeys:
        """The public keys. The next one is here half an hour before it signs."""
        response.headers["Cache-Control"] = f"public, max-age={JWKS_MAX_AGE_S}"
        return WebKeys(keys=[WebKey(kid=kid, x=x) for kid, x in await house.signing.published()])

    @router.get(
        "/internal/contacts/{user_id}",
        responses=OWNER | answers(404),
        response_model_exclude_unset=True,
        dependencies=[Depends(service_of(house))],
    )
    async def contact(
        user_id: Id, response: Response, kind: MailKind | None = None, about: Id | None = None
    ) -> Contact:
        """To whom mail for a user goes; 404 if nobody has the id any more. `kind` and `about`: for which mail."""
        response.headers["Cache-Control"] = "no-store"
        user = await house.accounts.user(user_id)
        if not user.exists:
            raise HTTPException(404, "nobody has this id")
        match kind:
            case MailKind.USER_REGISTERED | MailKind.ADDRESS_PROOF:
                link_token: str | None = await house.accounts.proof_token(user)
            case MailKind.PASSWORD_RESET:
                link_token = await house.accounts.reset_token(user)
            case _:
                link_token = None
        found = Contact(name=user.name, email=user.email, link_token=link_token)
        newer = user.superseding(kind, about) if kind and about else None
        return found if newer is None else found.model_copy(update={"superseded_by": newer})

    return router
