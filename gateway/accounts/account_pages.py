"""The account page: name, addresses, password, sessions and erasure."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response

from chassis.web.app import flatten_routers
from gateway.accounts.dependencies import AccountDependencies
from gateway.accounts.form_submit import load_account, load_sessions, require_password, submit
from gateway.accounts.login_pages import log_out_and_redirect
from gateway.auth.page_user import require_login
from gateway.auth.principal import Principal
from gateway.web.form import SubmittedForm, read_form
from gateway.web.templating import LoginRequired, Notice, local_path, redirect, render_page

_ADDRESS = {
    "label": "Give the address a name",
    "recipient": "Type the recipient",
    "street": "Type the street and number",
    "postcode": "Type the postcode",
    "city": "Type the town or city",
    "country": "Type the two-letter code of the country",
}
_WRONG_PASSWORD = "This is not your current password"
_NOTICES = {
    "new": Notice("ok", "Your e-mail address is verified, and you are logged in. Welcome!"),
    "name": Notice("ok", "Your name has been saved."),
    "address": Notice("ok", "Your addresses have been saved."),
    "email": Notice(
        "ok", "We have sent an e-mail to the new address. The change takes effect when you follow its link."
    ),
    "email-kept": Notice("ok", "Your e-mail address stays as it is."),
    "session": Notice("ok", "That session has been logged out."),
}
_ACCOUNT = "/account"


def routes(deps: AccountDependencies) -> APIRouter:
    router = deps.page_router()
    User = Annotated[Principal, Depends(require_login(deps, _ACCOUNT))]

    @router.get(_ACCOUNT)
    async def account(request: Request, user: User, said: str = "") -> Response:
        return await _render(deps, request, user, notice=_NOTICES.get(said))

    return flatten_routers(
        router,
        _profile_routes(deps),
        _email_routes(deps),
        _address_routes(deps),
        _security_routes(deps),
    )


def _profile_routes(deps: AccountDependencies) -> APIRouter:
    router = deps.page_router(prefix=_ACCOUNT)
    User = Annotated[Principal, Depends(require_login(deps, _ACCOUNT))]

    @router.post("/name")
    async def name(request: Request, user: User) -> Response:
        form = await read_form(request, "name")
        form.require(name="Type your name")
        if form.is_valid and await _submit(deps, form, "PUT", "/users/me", {"name": form["name"]}, user):
            return redirect("/account?said=name")
        return await _render(deps, request, user, form, "name")

    return router


def _email_routes(deps: AccountDependencies) -> APIRouter:
    router = deps.page_router(prefix=f"{_ACCOUNT}/email")
    User = Annotated[Principal, Depends(require_login(deps, _ACCOUNT))]

    @router.post("")
    async def change(request: Request, user: User) -> Response:
        form = await read_form(request, "email", "email_password")
        form.require(email="Type the new e-mail address", email_password="Type your password")
        sent = {"email": form["email"], "password": form["email_password"]}
        if form.is_valid and await _submit(
            deps, form, "POST", "/users/me/email-change", sent, user, secret="email_password"
        ):
            return redirect("/account?said=email")
        return await _render(deps, request, user, form, "email")

    @router.post("/removal")
    async def keep_old(request: Request, user: User) -> Response:
        form = SubmittedForm()
        if await _submit(deps, form, "DELETE", "/users/me/email-change", None, user):
            return redirect("/account?said=email-kept")
        return await _render(deps, request, user, form, "email")

    return router


def _address_routes(deps: AccountDependencies) -> APIRouter:
    router = deps.page_router(prefix=f"{_ACCOUNT}/addresses")
    User = Annotated[Principal, Depends(require_login(deps, _ACCOUNT))]

    @router.post("")
    async def keep(request: Request) -> Response:
        """The field `next`: the path to return to, because the checkout has this form, too."""
        form = await read_form(request, *_ADDRESS, "next")
        then = local_path(form["next"], "/account?said=address")
        if (user := await deps.current_user(request)) is None:
            raise LoginRequired(local_path(form["next"], _ACCOUNT))
        form.require(**_ADDRESS)
        address = {name: form[name] for name in _ADDRESS} | {"country": form["country"].upper()}
        if form.is_valid and await _submit(deps, form, "POST", "/users/me/addresses", address, user):
            return redirect(then)
        return await _render(deps, request, user, form, "address")

    @router.post("/removal")
    async def remove(request: Request, user: User) -> Response:
        form = await read_form(request, "label")
        form.require(label="Choose an address")
        path = f"/users/me/addresses/{quote(form['label'], safe='')}"
        if form.is_valid and await _submit(deps, form, "DELETE", path, None, user):
            return redirect("/account?said=address")
        return await _render(deps, request, user, form, "removal")

    return router


def _security_routes(deps: AccountDependencies) -> APIRouter:
    router = deps.page_router(prefix=_ACCOUNT)
    User = Annotated[Principal, Depends(require_login(deps, _ACCOUNT))]

    @router.post("/password")
    async def password(request: Request, user: User) -> Response:
        form = await read_form(request, "current", "new")
        form.require(current="Type your current password")
        require_password(form, "new")
        change = {name: form[name] for name in ("current", "new")}
        if form.is_valid and await _submit(
            deps, form, "PUT", "/users/me/password", change, user, secret="current"
        ):
            return await log_out_and_redirect(deps, request, "/login?said=password")
        return await _render(deps, request, user, form, "password")

    @router.post("/sessions/removal")
    async def log_out_session(request: Request, user: User) -> Response:
        form = await read_form(request, "session")
        path = f"/users/me/sessions/{quote(form['session'], safe='')}"
        if form["session"] and (await submit(deps, form, "DELETE", path, None, user=user)).is_success:
            return redirect("/account?said=session")
        form.error = form.error or "This session has already ended."
        return await _render(deps, request, user, form, "session")

    @router.post("/logout-everywhere")
    async def log_out_everywhere(request: Request, user: User) -> Response:
        form = SubmittedForm()
        if await _submit(deps, form, "DELETE", "/sessions", None, user):
            return await log_out_and_redirect(deps, request, "/login?said=everywhere")
        return await _render(deps, request, user, form, "everywhere")

    @router.post("/erasure")
    async def erase(request: Request, user: User) -> Response:
        form = await read_form(request, "password")
        form.require(password="Type your password")
        sent = {"password": form["password"]}
        if form.is_valid and await _submit(
            deps, form, "POST", "/users/me/erasure", sent, user, secret="password"
        ):
            return await log_out_and_redirect(deps, request, "/login?said=erased")
        return await _render(deps, request, user, form, "erasure")

    return router


async def _submit(
    deps: AccountDependencies,
    form: SubmittedForm,
    method: str,
    path: str,
    sent: Any,
    user: Principal,
    *,
    secret: str = "",
) -> bool:
    """Returns whether user_svc accepted the request; otherwise adds its errors to the form.

    `secret`: the name of the password field, for requests that require the password.
    """
    response = await submit(deps, form, method, path, sent, user=user)
    if response.status_code < 400:
        return True
    if secret and response.status_code in (401, 403):
        form.errors[secret] = _WRONG_PASSWORD
    elif not form.error:
        form.add_errors_from(response)
    return False


async def _render(
    deps: AccountDependencies,
    request: Request,
    user: Principal,
    form: SubmittedForm | None = None,
    failed: str = "",
    notice: Notice | None = None,
) -> Response:
    """`failed`: the name of the submitted form, to show again with its errors."""
    me = await load_account(deps.user_client, user)
    status = 422 if failed else 200
    given: dict[str, Any] = {
        "me": me,
        "sessions": await load_sessions(deps.user_client, user),
        "form": form or SubmittedForm(),
        "blank": SubmittedForm,
        "failed": failed,
        "notice": notice,
    }
    return await render_page(deps, request, "account.html", status, **given)
