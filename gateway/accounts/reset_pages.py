"""The pages of a password reset: request a link by e-mail, and choose a new password."""

from fastapi import APIRouter, Request, Response

from chassis.web.app import flatten_routers
from gateway.accounts.dependencies import AccountDependencies
from gateway.accounts.form_submit import require_password, submit_for_status
from gateway.web.form import SubmittedForm, read_form
from gateway.web.templating import redirect, render_page

_WRONG = "This link is no longer valid. Request a new one."


def routes(deps: AccountDependencies) -> APIRouter:
    return flatten_routers(_asking(deps), _choosing(deps))


def _asking(deps: AccountDependencies) -> APIRouter:
    router = deps.page_router()

    @router.get("/password-resets")
    async def forgotten(request: Request) -> Response:
        return await render_page(deps, request, "reset.html", secret=True, form=SubmittedForm())

    @router.post("/password-resets")
    async def send(request: Request) -> Response:
        form = await read_form(request, "email")
        form.require(email="Type your e-mail address")
        status = 422
        if form.is_valid:
            status = await submit_for_status(deps, form, "/password-resets", {"email": form["email"]})
            if status == 202:
                return redirect("/password-resets/sent")
        return await render_page(deps, request, "reset.html", status, secret=True, form=form)

    @router.get("/password-resets/sent")
    async def sent(request: Request) -> Response:
        sentences = ("If there is an account with this address, an e-mail with a link is on its way.",)
        links = (("/login", "Log in"),)
        heading = "Link requested"
        return await render_page(
            deps, request, "message.html", heading=heading, sentences=sentences, links=links
        )

    return router


def _choosing(deps: AccountDependencies) -> APIRouter:
    router = deps.page_router()

    async def page(request: Request, form: SubmittedForm, status: int = 200) -> Response:
        return await render_page(
            deps, request, "reset_confirm.html", status, secret=True, form=form, token=form["token"]
        )

    @router.get("/password-resets/confirm")
    async def choose(request: Request, token: str = "") -> Response:
        return await page(request, SubmittedForm({"token": token}))

    @router.post("/password-resets/confirm")
    async def confirm(request: Request) -> Response:
        form = await read_form(request, "token", "password")
        require_password(form, "password")
        status = 422
        if form.is_valid:
            chosen = {name: form[name] for name in ("token", "password")}
            status = await submit_for_status(deps, form, "/password-resets/confirmations", chosen)
            if status == 204:
                return redirect("/login?said=password")
            if status == 401:
                form.error = _WRONG
                status = 422
        return await page(request, form, status)

    return router
