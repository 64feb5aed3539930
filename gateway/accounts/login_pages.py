"""The login page, and logout."""

from typing import Any

from fastapi import APIRouter, Request, Response

from contracts.http.users import Tokens
from gateway.accounts.dependencies import AccountDependencies
from gateway.accounts.form_submit import submit
from gateway.basket.repository import guest_basket_key, user_basket_key
from gateway.web.form import SubmittedForm, read_form
from gateway.web.templating import Notice, local_path, redirect, render_page

_WRONG = "The e-mail address or the password is wrong."
_UNPROVED = "Please verify your e-mail address first: follow the link in the e-mail that we sent."
_NOTICES = {
    "out": Notice("ok", "You are logged out."),
    "everywhere": Notice("ok", "You are logged out on all devices."),
    "password": Notice("ok", "Your password has been changed. Log in with the new one."),
    "sent": Notice(
        "ok", "If this account still needs verification, an e-mail with a new link is on its way."
    ),
    "erased": Notice("ok", "Your account has been erased. Thank you for visiting."),
}


def routes(deps: AccountDependencies) -> APIRouter:
    router = deps.page_router()

    @router.get("/login")
    async def greet(request: Request, next: str = "/", said: str = "") -> Response:
        return await _page(deps, request, SubmittedForm(), local_path(next), notice=_NOTICES.get(said))

    @router.post("/login")
    async def log_in(request: Request) -> Response:
        form = await read_form(request, "email", "password", "next")
        form.require(email="Type your e-mail address", password="Type your password")
        then = local_path(form["next"])
        if not form.is_valid:
            return await _page(deps, request, form, then, 422)
        credentials = {"email": form["email"], "password": form["password"]}
        user_response = await submit(deps, form, "POST", "/sessions", credentials)
        match user_response.status_code:
            case 201:
                return await log_in_and_redirect(
                    deps, request, Tokens.model_validate_json(user_response.content), then
                )
            case 403:
                form.error = _UNPROVED
                return await _page(deps, request, form, then, 403, unproved=True)
            case 429 | 503 as status:
                page = await _page(deps, request, form, then, status)
                page.headers["Retry-After"] = user_response.headers.get("Retry-After", "5")
                return page
            case _:  # 401, or 422 for a malformed address: the same message for both
                form.error = _WRONG
                return await _page(deps, request, form, then, 422)

    @router.post("/logout")
    async def log_out(request: Request) -> Response:
        return await log_out_and_redirect(deps, request, "/login?said=out")

    return router


async def log_in_and_redirect(
    deps: AccountDependencies, request: Request, tokens: Tokens, then: str
) -> Response:
    """Starts a new session and merges the guest's basket into the user's."""
    await deps.sessions.end(request)
    cookie = await deps.sessions.open(tokens)
    response = redirect(then)
    deps.cookies.set(response, deps.cookies.session, cookie, tokens.refresh_expires_at)
    if secret := request.cookies.get(deps.cookies.basket, ""):
        await deps.baskets.hand_over(guest_basket_key(secret), user_basket_key(tokens.user_id))
        deps.cookies.clear(response, deps.cookies.basket)
    return response


async def log_out_and_redirect(deps: AccountDependencies, request: Request, then: str) -> Response:
    await deps.sessions.end(request)
    response = redirect(then)
    deps.cookies.clear(response, deps.cookies.session)
    return response


async def _page(
    deps: AccountDependencies,
    request: Request,
    form: SubmittedForm,
    then: str,
    status: int = 200,
    *,
    notice: Notice | None = None,
    unproved: bool = False,
) -> Response:
    given: dict[str, Any] = {"form": form, "next": then, "notice": notice, "unproved": unproved}
    return await render_page(deps, request, "login.html", status, secret=True, **given)
