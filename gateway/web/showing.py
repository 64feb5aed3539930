"""Turns a template and what it needs into a page, with the frame that every page has."""

import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gateway.amounts import money
from gateway.catalogue import category_title
from gateway.house import House
from gateway.visitor import Visitor

THEMES = ("light", "dark")
_OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")
_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"


def isolated(text: str) -> str:
    """For titles and attributes, where no <bdi> can be: what turns the writing round does so inside the text only."""
    return f"{_FIRST_STRONG_ISOLATE}{text}{_POP_ISOLATE}"


TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= {"money": money, "isolated": isolated, "category_title": category_title}


class Notice(NamedTuple):
    """What a page says at its head. `kind`: ok, wait or fail."""

    kind: str
    text: str


def frame(request: Request, visitor: Visitor | None, basket_count: int | None) -> dict[str, Any]:
    """What base.html needs. `here`: the page itself, for the way back to it."""
    theme = request.cookies.get("theme", "")
    query = f"?{request.url.query}" if request.url.query else ""
    return {
        "visitor": visitor,
        "basket_count": basket_count,
        "theme": theme if theme in THEMES else "system",
        "here": request.url.path + query,
    }


async def show(
    house: House, request: Request, template: str, status: int = 200, *, secret: bool = False, **given: Any
) -> Response:
    """`secret`: no trace of the page is to stay in the browser, although nobody has logged in."""
    visitor = await house.visitor(request)
    basket = await house.baskets.of(house.baskets.key_of(visitor, request))
    page = TEMPLATES.get_template(template).render(**frame(request, visitor, basket.pieces), **given)
    headers = {"Cache-Control": "no-store" if secret or visitor else "private, no-cache"}
    if secret:
        headers["Referrer-Policy"] = "no-referrer"
    return HTMLResponse(page, status, headers=headers)


def error_page(request: Request, status: int, title: str, detail: str, request_id: str) -> Response:
    """Needs no database and no service: it is what is shown when they are away."""
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    said = {"status": status, "title": title, "detail": detail, "request_id": request_id}
    page = TEMPLATES.get_template("error.html").render(**frame(request, visitor, None), **said)
    return HTMLResponse(page, status, headers={"Cache-Control": "no-store"})


def own_path(given: str, otherwise: str = "/") -> str:
    """A path of this shop and nothing else: `//`, `/\\` and blanks would lead a browser elsewhere."""
    return given if _OWN_PATH.fullmatch(given) else otherwise


def go(path: str) -> Response:
    """After every form, so that loading the page again sends nothing again."""
    return RedirectResponse(path, 303, headers={"Cache-Control": "no-store"})


def log_in_first(then: str) -> Response:
    """`then`: where to go on after that."""
    return go(f"/login?next={quote(then, safe='/')}")
