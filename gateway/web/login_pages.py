"""How people come in, and go."""

from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.account_forms import Tokens
from gateway.baskets import guests_key, users_key
from gateway.house import House
from gateway.web.asking import ask
from gateway.web.form import Form, read
from gateway.web.showing import Notice, go, own_path, show

_WRONG = "The e-mail address or the password is wrong."
_UNPROVED = "This account waits for its e-mail address to be proved: follow the link in the mail that we sent."
_NOTICES = {
    "out": Notice("ok", "You are logged out."),
    "everywhere": Notice("ok", "You are logged out, here and everywhere else."),
    "password": Notice("ok", "Your password is changed. Log in with the new one."),
    "sent": Notice("ok", "If this account waits for a proof, a mail with a new link is on its way."),
    "erased": Notice("ok", "Your account is erased. Thank you for having been here."),
}


def routes(house: House) -> APIRouter:
    router = house.pages()

    @router.get("/login")
    async def greet(request: Request, next: str = "/", said: str = "") -> Response:
        return await _page(house, request, Form(), own_path(next), notice=_NOTICES.get(said))

    @router.post("/login")
    async def log_in(request: Request) -> Response:
        form = await read(request, "email", "password", "next")
        form.require(email="Type your e-mail address", password="Type your password")
        then = own_path(form["next"])
        if not form.good:
            return await _page(house, request, form, then, 422)
        credentials = {"email": form["email"], "password": form["password"]}
        answer = await ask(house, form, "POST", "/sessions", credentials)
        match answer.status_code:
            case 201:
                return await logged_in(house, request, Tokens.model_validate_json(answer.content), then)
            case 403:
                form.refused = _UNPROVED
                return await _page(house, request, form, then, 403, unproved=True)
            case 429 | 503 as status:
                page = await _page(house, request, form, then, status)
                page.headers["Retry-After"] = answer.headers.get("Retry-After", "5")
                return page
            case _:  # 401, or an address that cannot be one: one wording for all
                form.refused = _WRONG
                return await _page(house, request, form, then, 422)

    @router.post("/logout")
    async def log_out(request: Request) -> Response:
        return await logged_out(house, request, "/login?said=out")

    return router


async def logged_in(house: House, request: Request, tokens: Tokens, then: str) -> Response:
    """A new session, whatever was before; what a guest had gathered goes into their own basket."""
    await house.sessions.end(request)
    cookie = await house.sessions.open(tokens)
    response = go(then)
    house.cookies.set(response, house.cookies.session, cookie, tokens.refresh_expires_at)
    if secret := request.cookies.get(house.cookies.basket, ""):
        await house.baskets.hand_over(guests_key(secret), users_key(tokens.user_id))
        house.cookies.clear(response, house.cookies.basket)
    return response


async def logged_out(house: House, request: Request, then: str) -> Response:
    await house.sessions.end(request)
    response = go(then)
    house.cookies.clear(response, house.cookies.session)
    return response


async def _page(
    house: House,
    request: Request,
    form: Form,
    then: str,
    status: int = 200,
    *,
    notice: Notice | None = None,
    unproved: bool = False,
) -> Response:
    given: dict[str, Any] = {"form": form, "next": then, "notice": notice, "unproved": unproved}
    return await show(house, request, "login.html", status, secret=True, **given)
