"""A new account: it is open once its e-mail address is proved to be its owner's, with the password that they chose."""

from fastapi import APIRouter, Request, Response

from chassis.http import joined
from gateway.account_forms import Tokens
from gateway.house import House
from gateway.web.asking import ask, ask_plainly, require_password
from gateway.web.form import Form, read
from gateway.web.login_pages import logged_in
from gateway.web.showing import go, show

_WRONG = "The link does not count any more, or the password is not the one that you chose."
_TO_LOG_IN = (("/login", "Log in"),)


def routes(house: House) -> APIRouter:
    return joined(_opening(house), _proof(house))


def _opening(house: House) -> APIRouter:
    router = house.pages()

    @router.get("/register")
    async def invite(request: Request) -> Response:
        return await show(house, request, "register.html", secret=True, form=Form())

    @router.post("/register")
    async def register(request: Request) -> Response:
        form = await read(request, "email", "name", "password")
        form.require(email="Type your e-mail address", name="Type your name")
        require_password(form, "password")
        status = 422
        if form.good:
            account = {name: form[name] for name in ("email", "name", "password")}
            status = await ask_plainly(house, form, "/users", account)
            if status == 202:
                return go("/register/done")
        return await show(house, request, "register.html", status, secret=True, form=form)

    @router.get("/register/done")
    async def done(request: Request) -> Response:
        sentences = (
            "We have sent you a mail. Follow the link in it, and your account is open.",
            "Nothing there after some minutes? Look among the unwanted mails, or log in to have it sent again.",
        )
        links = (("/", "Look around meanwhile"), ("/login", "Log in"))
        heading = "Look into your mail"
        return await show(house, request, "message.html", heading=heading, sentences=sentences, links=links)

    @router.post("/proof-requests")
    async def again(request: Request) -> Response:
        form = await read(request, "email")
        status = await ask_plainly(house, form, "/proof-requests", {"email": form["email"]})
        if status in (202, 422):  # nobody learns here what is an account
            return go("/login?said=sent")
        heading = "The mail could not be asked for"
        return await show(
            house, request, "message.html", status, heading=heading, sentences=(form.refused,), links=_TO_LOG_IN
        )

    return router


def _proof(house: House) -> APIRouter:
    router = house.pages()

    async def page(request: Request, form: Form, status: int = 200) -> Response:
        return await show(house, request, "prove.html", status, secret=True, form=form, token=form["token"])

    @router.get("/proofs")
    async def by_mail(request: Request, token: str = "") -> Response:
        return await page(request, Form({"token": token}))

    @router.post("/proofs")
    async def prove(request: Request) -> Response:
        form = await read(request, "token", "password")
        form.require(password="Type the password that you chose")
        if not form.good:
            return await page(request, form, 422)
        proof = {name: form[name] for name in ("token", "password")}
        answer = await ask(house, form, "POST", "/proofs", proof)
        match answer.status_code:
            case 201:
                return await logged_in(house, request, Tokens.model_validate_json(answer.content), "/account?said=new")
            case 429 | 503 as status:
                return await page(request, form, status)
            case _:
                form.refused = _WRONG
                return await page(request, form, 422)

    return router
