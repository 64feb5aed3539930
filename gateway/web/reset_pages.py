"""A forgotten password: a link by mail, and a new one."""

from fastapi import APIRouter, Request, Response

from chassis.http import joined
from gateway.house import House
from gateway.web.asking import ask_plainly, require_password
from gateway.web.form import Form, read
from gateway.web.showing import go, show

_WRONG = "This link does not count any more. Ask for a new one."


def routes(house: House) -> APIRouter:
    return joined(_asking(house), _choosing(house))


def _asking(house: House) -> APIRouter:
    router = house.pages()

    @router.get("/password-resets")
    async def forgotten(request: Request) -> Response:
        return await show(house, request, "reset.html", secret=True, form=Form())

    @router.post("/password-resets")
    async def send(request: Request) -> Response:
        form = await read(request, "email")
        form.require(email="Type your e-mail address")
        status = 422
        if form.good:
            status = await ask_plainly(house, form, "/password-resets", {"email": form["email"]})
            if status == 202:
                return go("/password-resets/sent")
        return await show(house, request, "reset.html", status, secret=True, form=form)

    @router.get("/password-resets/sent")
    async def sent(request: Request) -> Response:
        sentences = ("If there is an account with this address, a mail with a link is on its way to it.",)
        links = (("/login", "Log in"),)
        heading = "Look into your mail"
        return await show(house, request, "message.html", heading=heading, sentences=sentences, links=links)

    return router


def _choosing(house: House) -> APIRouter:
    router = house.pages()

    async def page(request: Request, form: Form, status: int = 200) -> Response:
        return await show(house, request, "reset_confirm.html", status, secret=True, form=form, token=form["token"])

    @router.get("/password-resets/confirm")
    async def choose(request: Request, token: str = "") -> Response:
        return await page(request, Form({"token": token}))

    @router.post("/password-resets/confirm")
    async def confirm(request: Request) -> Response:
        form = await read(request, "token", "password")
        require_password(form, "password")
        status = 422
        if form.good:
            chosen = {name: form[name] for name in ("token", "password")}
            status = await ask_plainly(house, form, "/password-resets/confirmations", chosen)
            if status == 204:
                return go("/login?said=password")
            if status == 401:
                form.refused, status = _WRONG, 422
        return await page(request, form, status)

    return router
