"""One's own account over HTTP. Who one is, the access token says: `Authorization: Bearer <access token>`."""

from enum import Enum
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from chassis.http import joined
from contracts.problem import ALWAYS, answers
from user_svc.body import BoundedRoute
from user_svc.callers import Owner, network_by, owner_of
from user_svc.claim import claim_key
from user_svc.forms import Erasure, PasswordChange, PostalAddress, Profile
from user_svc.house import House
from user_svc.refusals import BODY, OWNER
from user_svc.user import AddAddress, Address, ChangeProfile, RemoveAddress
from user_svc.views import Me, name_version

ME = "/users/me"
TAGS: list[str | Enum] = ["own account"]


def routes(house: House) -> APIRouter:
    return joined(_profile(house), _addresses(house), _keys_of_the_house(house))


def _profile(house: House) -> APIRouter:
    router = APIRouter(prefix=ME, route_class=BoundedRoute, tags=TAGS, responses=ALWAYS | OWNER)
    owner = Depends(owner_of(house))

    @router.get("")
    async def show(who: Annotated[Owner, owner], response: Response) -> Me:
        response.headers["Cache-Control"] = "no-store"
        return Me.model_validate(who.user)

    @router.put("", responses=BODY)
    async def change(who: Annotated[Owner, owner], form: Profile) -> Me:
        return Me.model_validate(await house.accounts.change(who.user.user_id, ChangeProfile(form.name)))

    return router


def _addresses(house: House) -> APIRouter:
    router = APIRouter(prefix=f"{ME}/addresses", route_class=BoundedRoute, tags=TAGS, responses=ALWAYS | OWNER)
    owner = Depends(owner_of(house))

    @router.post("", status_code=201, responses=BODY | answers(409))
    async def add(who: Annotated[Owner, owner], form: PostalAddress) -> Me:
        """Takes the place of the address with the same label, so sending twice is one address."""
        asked = AddAddress(Address(**form.model_dump()))
        return Me.model_validate(await house.accounts.change(who.user.user_id, asked))

    @router.delete("/{label}", status_code=204, responses=answers(404))
    async def remove(who: Annotated[Owner, owner], label: str) -> None:
        await house.accounts.change(who.user.user_id, RemoveAddress(label))

    return router


def _keys_of_the_house(house: House) -> APIRouter:
    """What asks for the password once more: an access token can be stolen."""
    router = APIRouter(
        prefix=ME, route_class=BoundedRoute, tags=TAGS, responses=ALWAYS | OWNER | BODY | answers(403, 429)
    )
    owner, network = Depends(owner_of(house)), Depends(network_by(house))

    @router.put("/password", status_code=204)
    async def change_password(
        who: Annotated[Owner, owner], network: Annotated[str, network], form: PasswordChange, response: Response
    ) -> None:
        """All log-ins end, this one too."""
        with house.throttle.trying(claim_key(who.user.email), network):
            name_version(response, await house.accounts.change_password(who.user, form.current, form.new))

    @router.post("/erasure", status_code=204)
    async def erase(
        who: Annotated[Owner, owner], network: Annotated[str, network], form: Erasure, response: Response
    ) -> None:
        """For ever. Nothing personal is kept; orders keep the id, which then stands for nobody."""
        with house.throttle.trying(claim_key(who.user.email), network):
            name_version(response, await house.accounts.erase(who.user, form.password))

    return router
