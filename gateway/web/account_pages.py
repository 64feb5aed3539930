"""An account as its owner keeps it: name, addresses, password, log-ins, and its end."""

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from chassis.http import joined
from gateway.house import House
from gateway.visitor import Visitor
from gateway.web.asking import account_of, ask, require_password
from gateway.web.form import Form, read
from gateway.web.login_pages import logged_out
from gateway.web.showing import Notice, go, log_in_first, own_path, show

_ADDRESS = {
    "label": "Give the address a name",
    "recipient": "Type who receives it",
    "street": "Type street and number",
    "postcode": "Type the postcode",
    "city": "Type the town or city",
    "country": "Type the two letters of the country",
}
_WRONG_PASSWORD = "This is not your present password"
_NOTICES = {
    "new": Notice("ok", "Your address is proved, and you are logged in. Welcome!"),
    "name": Notice("ok", "Your name is kept."),
    "address": Notice("ok", "Your addresses are kept."),
}
_ACCOUNT = "/account"


def routes(house: House) -> APIRouter:
    router = house.pages()

    @router.get(_ACCOUNT)
    async def account(request: Request, said: str = "") -> Response:
        if (visitor := await house.visitor(request)) is None:
            return log_in_first(_ACCOUNT)
        return await _shown(house, request, visitor, notice=_NOTICES.get(said))

    return joined(router, _profile(house), _addresses(house), _locks(house))


def _profile(house: House) -> APIRouter:
    router = house.pages(prefix=_ACCOUNT)

    @router.post("/name")
    async def name(request: Request) -> Response:
        if (visitor := await house.visitor(request)) is None:
            return log_in_first(_ACCOUNT)
        form = await read(request, "name")
        form.require(name="Type your name")
        if form.good and await _done(house, form, "PUT", "/users/me", {"name": form["name"]}, visitor):
            return go("/account?said=name")
        return await _shown(house, request, visitor, form, "name")

    return router


def _addresses(house: House) -> APIRouter:
    router = house.pages(prefix=f"{_ACCOUNT}/addresses")

    @router.post("")
    async def keep(request: Request) -> Response:
        """`next`: the checkout asks for an address too."""
        form = await read(request, *_ADDRESS, "next")
        then = own_path(form["next"], "/account?said=address")
        if (visitor := await house.visitor(request)) is None:
            return log_in_first(own_path(form["next"], _ACCOUNT))
        form.require(**_ADDRESS)
        address = {name: form[name] for name in _ADDRESS} | {"country": form["country"].upper()}
        if form.good and await _done(house, form, "POST", "/users/me/addresses", address, visitor):
            return go(then)
        return await _shown(house, request, visitor, form, "address")

    @router.post("/removal")
    async def remove(request: Request) -> Response:
        if (visitor := await house.visitor(request)) is None:
            return log_in_first(_ACCOUNT)
        form = await read(request, "label")
        form.require(label="Say which address")
        path = f"/users/me/addresses/{quote(form['label'], safe='')}"
        if form.good and await _done(house, form, "DELETE", path, None, visitor):
            return go("/account?said=address")
        return await _shown(house, request, visitor, form, "removal")

    return router


def _locks(house: House) -> APIRouter:
    router = house.pages(prefix=_ACCOUNT)

    @router.post("/password")
    async def password(request: Request) -> Response:
        if (visitor := await house.visitor(request)) is None:
            return log_in_first(_ACCOUNT)
        form = await read(request, "current", "new")
        form.require(current="Type your present password")
        require_password(form, "new")
        change = {name: form[name] for name in ("current", "new")}
        if form.good and await _done(house, form, "PUT", "/users/me/password", change, visitor, secret="current"):
            return await logged_out(house, request, "/login?said=password")
        return await _shown(house, request, visitor, form, "password")

    @router.post("/logout-everywhere")
    async def log_out_everywhere(request: Request) -> Response:
        if (visitor := await house.visitor(request)) is None:
            return log_in_first(_ACCOUNT)
        form = Form()
        if await _done(house, form, "DELETE", "/sessions", None, visitor):
            return await logged_out(house, request, "/login?said=everywhere")
        return await _shown(house, request, visitor, form, "everywhere")

    @router.post("/erasure")
    async def erase(request: Request) -> Response:
        if (visitor := await house.visitor(request)) is None:
            return log_in_first(_ACCOUNT)
        form = await read(request, "password")
        form.require(password="Type your password")
        sent = {"password": form["password"]}
        if form.good and await _done(house, form, "POST", "/users/me/erasure", sent, visitor, secret="password"):
            return await logged_out(house, request, "/login?said=erased")
        return await _shown(house, request, visitor, form, "erasure")

    return router


async def _done(
    house: House, form: Form, method: str, path: str, sent: Any, visitor: Visitor, *, secret: str = ""
) -> bool:
    """`secret`: the field that holds the password, if user_svc asks for it; what is wrong is in the form then."""
    answer = await ask(house, form, method, path, sent, visitor=visitor)
    if answer.status_code < 400:
        return True
    if secret and answer.status_code in (401, 403):
        form.wrong[secret] = _WRONG_PASSWORD
    elif not form.refused:
        form.hear(answer)
    return False


async def _shown(
    house: House,
    request: Request,
    visitor: Visitor,
    form: Form | None = None,
    failed: str = "",
    notice: Notice | None = None,
) -> Response:
    """`failed`: which of the forms of the page is shown again, with what is wrong in it."""
    me = await account_of(house, visitor)
    status = 422 if failed else 200
    given: dict[str, Any] = {"me": me, "form": form or Form(), "blank": Form, "failed": failed, "notice": notice}
    return await show(house, request, "account.html", status, **given)
