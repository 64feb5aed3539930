"""How one comes in and goes, over HTTP. What is one's own is in account_api.py."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from prometheus_client import Counter

from chassis.http import joined
from chassis.runtime import Runtime
from contracts.identity import new_id
from contracts.problem import ALWAYS, answers
from user_svc import account_api, internal_api
from user_svc.accounts import EVEN_S, NotProved
from user_svc.body import BoundedRoute
from user_svc.callers import Owner, network_by, owner_of
from user_svc.claim import claim_key
from user_svc.forms import Address, Credentials, Proof, Refreshing, Registration, Reset
from user_svc.house import House
from user_svc.passwords import Passwords
from user_svc.refusals import BODY, OWNER
from user_svc.settings import Terms
from user_svc.signing import Purpose
from user_svc.throttle import TooManyTries, WrongPassword
from user_svc.views import Registered, TokensGiven, name_version

LOG_INS = Counter("user_log_ins_total", "Tries to log in", ["outcome"])
_OUTCOMES = {WrongPassword: "wrong", NotProved: "unproved", TooManyTries: "throttled"}
_AGAIN = answers(429)


def routes(
    runtime: Runtime,
    *,
    service_token: str,
    passwords: Passwords | None = None,
    even_s: float = EVEN_S,
    terms: Terms | None = None,
) -> APIRouter:
    """`service_token`: what our own services show."""
    house = House(runtime, service_token, passwords, even_s, terms or Terms())
    own = (_registration(house), _resets(house), _sessions(house))
    return joined(*own, account_api.routes(house), internal_api.routes(house))


def _registration(house: House) -> APIRouter:
    router = APIRouter(tags=["registration"], route_class=BoundedRoute, responses=ALWAYS | BODY | _AGAIN)
    network = Depends(network_by(house))

    @router.post("/users", status_code=202)
    async def register(form: Registration, response: Response, network: Annotated[str, network]) -> Registered:
        """Always the same answer: nobody learns here whether an address has an account already."""
        house.throttle.count(_mail_to(form.email), network)
        user_id = form.user_id or new_id()
        await house.accounts.register(user_id, form.email, form.name, form.password)
        response.headers["Location"] = account_api.ME
        return Registered(user_id=user_id)

    @router.post("/proof-requests", status_code=202)
    async def ask_for_proof(form: Address, network: Annotated[str, network]) -> None:
        """Once more the mail with the link, if there is an account that waits for it. Always the same answer."""
        house.throttle.count(_mail_to(form.email), network)
        await house.accounts.ask_for_proof(form.email)

    @router.post("/proofs", status_code=201, responses=OWNER)
    async def prove(form: Proof, response: Response, network: Annotated[str, network]) -> TokensGiven:
        """The link in the mail leads here: whoever has it and knows the password is logged in."""
        link = await house.signing.check_link(form.token, Purpose.PROOF)
        with house.throttle.trying(link.bound_to, network):
            tokens = await house.accounts.prove(link, form.password)
        response.headers["Cache-Control"] = "no-store"
        return TokensGiven.model_validate(tokens)

    return router


def _resets(house: House) -> APIRouter:
    router = APIRouter(
        prefix="/password-resets", tags=["passwords"], route_class=BoundedRoute, responses=ALWAYS | BODY | _AGAIN
    )
    network = Depends(network_by(house))

    @router.post("", status_code=202)
    async def ask_for_reset(form: Address, network: Annotated[str, network]) -> None:
        """A mail with a link, if there is an account. Always the same answer."""
        house.throttle.count(_mail_to(form.email), network)
        await house.accounts.ask_for_reset(form.email)

    @router.post("/confirmations", status_code=204, responses=OWNER)
    async def reset(form: Reset, response: Response) -> None:
        """The link in the mail leads here, once. All log-ins end."""
        link = await house.signing.check_link(form.token, Purpose.RESET)
        name_version(response, await house.accounts.reset_password(link, form.password))

    return router


def _sessions(house: House) -> APIRouter:
    router = APIRouter(prefix="/sessions", tags=["sessions"], route_class=BoundedRoute, responses=ALWAYS)
    owner, network = Depends(owner_of(house)), Depends(network_by(house))

    @router.post("", status_code=201, responses=BODY | OWNER | answers(403, 429))
    async def log_in(form: Credentials, response: Response, network: Annotated[str, network]) -> TokensGiven:
        """401 has one wording. 403: the password is right, but the address is not proved yet."""
        try:
            with house.throttle.trying(claim_key(form.email), network):
                tokens = await house.accounts.log_in(form.email, form.password)
        except Exception as refusal:
            LOG_INS.labels(_OUTCOMES.get(type(refusal), "failed")).inc()
            raise
        LOG_INS.labels("good").inc()
        response.headers["Cache-Control"] = "no-store"
        return TokensGiven.model_validate(tokens)

    @router.post("/refresh", status_code=201, responses=BODY | OWNER | answers(429))
    async def refresh(form: Refreshing, response: Response) -> TokensGiven:
        """A refresh token is good once. Shown again later it ends the log-in: somebody else may have it."""
        response.headers["Cache-Control"] = "no-store"
        return TokensGiven.model_validate(await house.log_ins.refresh(form.refresh_token))

    @router.delete("/current", status_code=204, responses=OWNER)
    async def log_out(who: Annotated[Owner, owner]) -> None:
        await house.log_ins.end(who.sid)

    @router.delete("", status_code=204, responses=OWNER)
    async def log_out_everywhere(who: Annotated[Owner, owner], response: Response) -> None:
        name_version(response, await house.accounts.end_log_ins(who.user))

    return router


def _mail_to(email: str) -> str:
    """Apart from the tries of passwords: asking for a mail must not delay a log-in."""
    return f"mail {claim_key(email)}"
