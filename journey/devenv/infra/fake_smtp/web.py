"""The mailbox's web page, and a subset of Mailpit's JSON API v1, so that one client works with both."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from journey.devenv.infra.fake_smtp.store import Faults, Mailbox

LIMIT_DEFAULT, LIMIT_MAX = 50, 10_000
ON_A_PAGE = 50

# A mail is untrusted HTML: it may use inline styles and images, but load nothing.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class FaultsWanted(BaseModel):
    """Omitted fields mean: no fault."""

    model_config = ConfigDict(extra="forbid")

    refuse: NonNegativeInt | Literal["always"] = 0
    delay_ms: int = Field(default=0, ge=0, le=600_000)


class MailsUnwanted(BaseModel):
    IDs: list[str] = []


class Web:
    def __init__(self, mailbox: Mailbox, faults: Faults) -> None:
        self.mailbox = mailbox
        self.faults = faults
        templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        templates.filters |= {"when": _when, "in_full": _in_full}
        self.template = templates.get_template("mailbox.html")

    async def list_page(self, request: Request) -> Response:
        start = _number(request, "start", default=0)
        return self._page(
            mails=[mail.summary for mail in self.mailbox.newest(start, ON_A_PAGE)],
            total=len(self.mailbox),
            start=start,
            step=ON_A_PAGE,
            mail=None,
        )

    async def mail_page(self, request: Request) -> Response:
        mail = self.mailbox.find(request.path_params["mail_id"])
        if mail is None:
            return RedirectResponse("/", status_code=303)
        shown = mail.summary | {"Text": mail.body("plain"), "HTML": mail.body("html")}
        return self._page(mails=[], total=len(self.mailbox), start=0, step=ON_A_PAGE, mail=shown)

    def _page(self, **values: object) -> Response:
        return HTMLResponse(self.template.render(faults=self.faults, **values), headers=PAGE_HEADERS)

    async def messages(self, request: Request) -> Response:
        start = _number(request, "start", default=0)
        limit = min(_number(request, "limit", default=LIMIT_DEFAULT), LIMIT_MAX)
        mails = [mail.summary for mail in self.mailbox.newest(start, limit)]
        total = len(self.mailbox)
        counts = {"total": total, "messages_count": total, "count": len(mails), "start": start}
        return JSONResponse(counts | {"messages": mails})

    async def message(self, request: Request) -> Response:
        mail = self.mailbox.find(request.path_params["mail_id"])
        if mail is None:
            return PlainTextResponse("message not found", status_code=404)
        return JSONResponse(mail.summary | {"Text": mail.body("plain"), "HTML": mail.body("html")})

    async def delete(self, request: Request) -> Response:
        """Without ids, delete all, as Mailpit does."""
        try:
            unwanted = MailsUnwanted.model_validate_json(await request.body() or b"{}")
        except ValidationError as error:
            return PlainTextResponse(str(error), status_code=400)
        self.mailbox.drop(set(unwanted.IDs) or None)
        return PlainTextResponse("ok")

    async def set_faults(self, request: Request) -> Response:
        try:
            wanted = FaultsWanted.model_validate_json(await request.body() or b"{}")
        except ValidationError as error:
            return JSONResponse(json.loads(error.json(include_url=False)), status_code=422)
        self.faults.refuse = wanted.refuse
        self.faults.delay_ms = wanted.delay_ms
        return JSONResponse(wanted.model_dump())

    async def show_faults(self, _request: Request) -> Response:
        return JSONResponse({"refuse": self.faults.refuse, "delay_ms": self.faults.delay_ms})

    async def live(self, _request: Request) -> Response:
        return PlainTextResponse("ok")


def web_app(mailbox: Mailbox, faults: Faults) -> Starlette:
    web = Web(mailbox, faults)
    routes = [
        Route("/", web.list_page),
        Route("/mail/{mail_id}", web.mail_page),
        Route("/livez", web.live),
        Route("/faults", web.set_faults, methods=["PUT"]),
        Route("/faults", web.show_faults),
        Route("/api/v1/messages", web.messages),
        Route("/api/v1/messages", web.delete, methods=["DELETE"]),
        Route("/api/v1/message/{mail_id}", web.message),
    ]
    # Protects against DNS rebinding: a website whose name resolves to this machine must not read the mails.
    only_local = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    return Starlette(routes=routes, middleware=[only_local])


def _number(request: Request, name: str, *, default: int) -> int:
    given = request.query_params.get(name, "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else default


def _when(created: str) -> str:
    """Short form for lists; all times are UTC."""
    then = datetime.fromisoformat(created)
    today = then.date() == datetime.now(UTC).date()
    return then.strftime("%H:%M:%S" if today else "%d %b %H:%M")


def _in_full(created: str) -> str:
    return datetime.fromisoformat(created).strftime("%d %b %Y, %H:%M:%S UTC")
