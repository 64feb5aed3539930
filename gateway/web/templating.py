"""Renders templates, with the context that the base template needs."""

import re
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from contracts.values import format_money

THEMES = ("light", "dark")
_OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")
_EMAIL = re.compile(r"\be-mail\w*", re.IGNORECASE)
_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"


def bidi_isolate(text: str) -> str:
    """Isolates the text's direction, like <bdi>, which titles and attributes cannot contain."""
    return f"{_FIRST_STRONG_ISOLATE}{text}{_POP_ISOLATE}"


def unbroken(text: str) -> Markup:
    """Keeps "e-mail" on one line: browsers break it after its hyphen."""
    return Markup(_EMAIL.sub(r'<span class="unbroken">\g<0></span>', str(escape(text))))


def category_title(name: str) -> str:
    """`home-office`: Home office."""
    return name.replace("-", " ").capitalize()


TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= {
    "money": format_money,
    "isolated": bidi_isolate,
    "category_title": category_title,
    "unbroken": unbroken,
}


class PageUser(Protocol):
    """What the pages show of a user."""

    @property
    def is_staff(self) -> bool: ...


class PageDependencies(Protocol):
    """What base.html needs. `basket_count`: the number of pieces in the basket of the user or guest."""

    async def current_user(self, request: Request) -> PageUser | None: ...

    async def basket_count(self, request: Request) -> int: ...


class Notice(NamedTuple):
    """A message at the top of a page. `kind`: ok, wait or fail."""

    kind: str
    text: str


def base_context(request: Request, user: PageUser | None, basket_count: int | None) -> dict[str, Any]:
    """The context of base.html. `here`: the path and query of the page, to return to it."""
    theme = request.cookies.get("theme", "")
    query = f"?{request.url.query}" if request.url.query else ""
    return {
        "user": user,
        "basket_count": basket_count,
        "theme": theme if theme in THEMES else "system",
        "here": request.url.path + query,
    }


async def render_page(
    deps: PageDependencies,
    request: Request,
    template: str,
    status: int = 200,
    *,
    secret: bool = False,
    **context: Any,
) -> Response:
    """`secret`: forbids caching and referrers, also for guests."""
    user = await deps.current_user(request)
    basket_count = await deps.basket_count(request)
    page = TEMPLATES.get_template(template).render(**base_context(request, user, basket_count), **context)
    headers = {"Cache-Control": "no-store" if secret or user else "private, no-cache"}
    if secret:
        headers["Referrer-Policy"] = "no-referrer"
    return HTMLResponse(page, status, headers=headers)


def error_page(request: Request, status: int, title: str, detail: str, request_id: str) -> Response:
    """Needs no database and no service, since it is shown when these are unavailable."""
    user: PageUser | None = getattr(request.state, "current_user", None)
    problem = {"status": status, "title": title, "detail": detail, "request_id": request_id}
    page = TEMPLATES.get_template("error.html").render(**base_context(request, user, None), **problem)
    return HTMLResponse(page, status, headers={"Cache-Control": "no-store"})


def local_path(context: str, otherwise: str = "/") -> str:
    """Returns `otherwise` unless it is a path of this shop.

    `//`, `/\\` and spaces could lead to another site.
    """
    return context if _OWN_PATH.fullmatch(context) else otherwise


def redirect(path: str) -> Response:
    """A 303 (Post/Redirect/Get): a reload does not submit the form again."""
    return RedirectResponse(path, 303, headers={"Cache-Control": "no-store"})


class LoginRequired(Exception):
    """A guest has opened a page for logged-in users. `then`: the path to return to after the login."""

    def __init__(self, then: str) -> None:
        super().__init__(f"{then} requires a login")
        self.then = then


def redirect_to_login(then: str) -> Response:
    """`then`: the path to return to after the login."""
    return redirect(f"/login?next={quote(then, safe='/')}")
