"""Renders templates, with the context that the base template needs."""

import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gateway.auth.principal import Principal
from gateway.catalogue.client import category_title
from gateway.dependencies import GatewayDependencies
from gateway.web.money_format import format_money

THEMES = ("light", "dark")
_OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")
_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"


def bidi_isolate(text: str) -> str:
    """For titles and attributes, where no <bdi> can be: what turns the writing round does so inside the text only."""
    return f"{_FIRST_STRONG_ISOLATE}{text}{_POP_ISOLATE}"


TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= {"money": format_money, "isolated": bidi_isolate, "category_title": category_title}


class Notice(NamedTuple):
    """What a page says at its head. `kind`: ok, wait or fail."""

    kind: str
    text: str


def base_context(request: Request, user: Principal | None, basket_count: int | None) -> dict[str, Any]:
    """What base.html needs. `here`: the page itself, for the way back to it."""
    theme = request.cookies.get("theme", "")
    query = f"?{request.url.query}" if request.url.query else ""
    return {
        "user": user,
        "basket_count": basket_count,
        "theme": theme if theme in THEMES else "system",
        "here": request.url.path + query,
    }


async def render_page(
    deps: GatewayDependencies,
    request: Request,
    template: str,
    status: int = 200,
    *,
    secret: bool = False,
    **context: Any,
) -> Response:
    """`secret`: forbid caching and referrers, also for guests."""
    user = await deps.current_user(request)
    basket = await deps.baskets.get(deps.baskets.key_for(user, request))
    page = TEMPLATES.get_template(template).render(**base_context(request, user, basket.pieces), **context)
    headers = {"Cache-Control": "no-store" if secret or user else "private, no-cache"}
    if secret:
        headers["Referrer-Policy"] = "no-referrer"
    return HTMLResponse(page, status, headers=headers)


def error_page(request: Request, status: int, title: str, detail: str, request_id: str) -> Response:
    """Needs no database and no service, since it is shown when these are unavailable."""
    user: Principal | None = getattr(request.state, "current_user", None)
    problem = {"status": status, "title": title, "detail": detail, "request_id": request_id}
    page = TEMPLATES.get_template("error.html").render(**base_context(request, user, None), **problem)
    return HTMLResponse(page, status, headers={"Cache-Control": "no-store"})


def local_path(context: str, otherwise: str = "/") -> str:
    """A path of this shop and nothing else: `//`, `/\\` and blanks would lead a browser elsewhere."""
    return context if _OWN_PATH.fullmatch(context) else otherwise


def redirect(path: str) -> Response:
    """Post/Redirect/Get: a reload does not submit the form again."""
    return RedirectResponse(path, 303, headers={"Cache-Control": "no-store"})


def redirect_to_login(then: str) -> Response:
    """`then`: the path to return to after the log-in."""
    return redirect(f"/login?next={quote(then, safe='/')}")
