"""Asks user_svc what a form wants, and puts into the form whatever it says against that."""

from collections.abc import Mapping
from typing import Any

import httpx
from pydantic import ValidationError

from gateway.account_forms import PASSWORD_MIN, Me
from gateway.house import House
from gateway.upstream import Away
from gateway.visitor import Visitor
from gateway.web.form import Form

_AWAY = "Accounts are away just now. Nothing was done; please try again in a moment."
_TOO_OFTEN = "That was tried too often in a short time. Please wait {}, then try again."


async def ask(
    house: House, form: Form, method: str, path: str, sent: Mapping[str, Any] | None, *, visitor: Visitor | None = None
) -> httpx.Response:
    """The answer. If user_svc is away, or too often asked, the form says so already."""
    try:
        answer = await house.accounts.ask(method, path, sent, visitor=visitor)
    except Away as away:
        form.refused = _AWAY
        return httpx.Response(503, headers={"Retry-After": str(away.retry_after_s)})
    if answer.status_code == 429:
        wait_s = answer.headers.get("Retry-After", "")
        form.refused = _TOO_OFTEN.format(f"{wait_s} s" if wait_s.isdecimal() else "a moment")
    return answer


async def ask_plainly(house: House, form: Form, path: str, sent: Mapping[str, Any]) -> int:
    """For what is answered with yes or with wrong fields: the status, with the wrong fields in the form."""
    answer = await ask(house, form, "POST", path, sent)
    if answer.status_code >= 400 and not form.refused:
        form.hear(answer)
    return answer.status_code


async def account_of(house: House, visitor: Visitor) -> Me | None:
    """None: not known just now."""
    try:
        answer = await house.accounts.ask("GET", "/users/me", visitor=visitor)
        return Me.model_validate_json(answer.content) if answer.status_code == 200 else None
    except (Away, ValidationError):
        return None


def require_password(form: Form, name: str) -> None:
    if len(form[name]) < PASSWORD_MIN:
        form.wrong[name] = f"Choose a password of at least {PASSWORD_MIN} characters"
