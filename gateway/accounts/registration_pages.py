"""The registration pages. An account opens when its e-mail address is verified, with the chosen password."""

from fastapi import APIRouter, Request, Response

from chassis.web.app import flatten_routers
from contracts.http.users import Tokens
from gateway.accounts.dependencies import AccountDependencies
from gateway.accounts.form_submit import require_password, submit, submit_for_status
from gateway.accounts.login_pages import log_in_and_redirect
from gateway.web.form import SubmittedForm, read_form
from gateway.web.templating import redirect, render_page

_WRONG = "The link is no longer valid, or the password is not the one that you chose."
_TO_LOG_IN = (("/login", "Log in"),)


def routes(deps: AccountDependencies) -> APIRouter:
    return flatten_routers(_opening(deps), _proof(deps))


def _opening(deps: AccountDependencies) -> APIRouter:
    router = deps.page_router()

    @router.get("/register")
    async def invite(request: Request) -> Response:
        return await render_page(deps, request, "register.html", secret=True, form=SubmittedForm())

    @router.post("/register")
    async def register(request: Request) -> Response:
        form = await read_form(request, "email", "name", "password")
        form.require(email="Type your e-mail address", name="Type your name")
        require_password(form, "password")
        status = 422
        if form.is_valid:
            account = {name: form[name] for name in ("email", "name", "password")}
            status = await submit_for_status(deps, form, "/users", account)
            if status == 202:
                return redirect("/register/done")
        return await render_page(deps, request, "register.html", status, secret=True, form=form)

    @router.get("/register/done")
    async def done(request: Request) -> Response:
        sentences = (
            "We have sent you an e-mail. Follow the link in it to open your account.",
            "No e-mail after a few minutes? Check your spam folder, or log in to have it sent again.",
        )
        links = (("/", "Browse the shop"), ("/login", "Log in"))
        heading = "Check your e-mail"
        return await render_page(
            deps, request, "message.html", heading=heading, sentences=sentences, links=links
        )

    @router.post("/proof-requests")
    async def again(request: Request) -> Response:
        form = await read_form(request, "email")
        status = await submit_for_status(deps, form, "/proof-requests", {"email": form["email"]})
        if status in (202, 422):  # the same response whether or not the account exists
            return redirect("/login?said=sent")
        heading = "The e-mail could not be requested"
        return await render_page(
            deps, request, "message.html", status, heading=heading, sentences=(form.error,), links=_TO_LOG_IN
        )

    return router


def _proof(deps: AccountDependencies) -> APIRouter:
    router = deps.page_router()

    async def page(request: Request, form: SubmittedForm, status: int = 200) -> Response:
        return await render_page(
            deps, request, "prove.html", status, secret=True, form=form, token=form["token"]
        )

    @router.get("/proofs")
    async def by_mail(request: Request, token: str = "") -> Response:
        return await page(request, SubmittedForm({"token": token}))

    @router.post("/proofs")
    async def prove(request: Request) -> Response:
        form = await read_form(request, "token", "password")
        form.require(password="Type the password that you chose")
        if not form.is_valid:
            return await page(request, form, 422)
        proof = {name: form[name] for name in ("token", "password")}
        response = await submit(deps, form, "POST", "/proofs", proof)
        match response.status_code:
            case 201:
                return await log_in_and_redirect(
                    deps, request, Tokens.model_validate_json(response.content), "/account?said=new"
                )
            case 429 | 503 as status:
                return await page(request, form, status)
            case _:
                form.error = _WRONG
                return await page(request, form, 422)

    return router
