"""The page about the shop, and the form that chooses light or dark colours."""

from datetime import timedelta
from typing import Protocol

from fastapi import APIRouter, Request, Response

from chassis.runtime import Runtime
from gateway.auth.dependencies import AuthDependencies
from gateway.http.cookies import Cookies
from gateway.orders.step_state import StepState
from gateway.orders.test_cards import TEST_CARDS
from gateway.web.form import read_form
from gateway.web.templating import THEMES, local_path, redirect, render_page

_THEME_FOR = timedelta(days=365)


class AboutDependencies(AuthDependencies, Protocol):
    runtime: Runtime
    cookies: Cookies


def routes(deps: AboutDependencies) -> APIRouter:
    router = deps.page_router()

    @router.get("/about")
    async def about(request: Request) -> Response:
        return await render_page(deps, request, "about.html", cards=TEST_CARDS, states=StepState)

    @router.post("/theme")
    async def theme(request: Request) -> Response:
        form = await read_form(request, "theme", "back")
        response = redirect(local_path(form["back"]))
        if form["theme"] in THEMES:
            until = deps.runtime.clock() + _THEME_FOR
            deps.cookies.set(response, "theme", form["theme"], until)
        else:
            deps.cookies.clear(response, "theme")
        return response

    return router
