"""Submits a form to user_svc and adds its errors to the form."""

from collections.abc import Mapping
from typing import Any

import httpx
from pydantic import ValidationError

from gateway.accounts.forms import PASSWORD_MIN, Me
from gateway.auth.principal import Principal
from gateway.dependencies import GatewayDependencies
from gateway.http.http_client import UpstreamUnavailable
from gateway.web.form import SubmittedForm

_AWAY = "Accounts are away just now. Nothing was done; please try again in a moment."
_TOO_OFTEN = "That was tried too often in a short time. Please wait {}, then try again."


async def submit(
    deps: GatewayDependencies,
    form: SubmittedForm,
    method: str,
    path: str,
    sent: Mapping[str, Any] | None,
    *,
    user: Principal | None = None,
) -> httpx.Response:
    """The response. If user_svc is unavailable or limits the rate, the form has the error already."""
    try:
        response = await deps.user_client.request(method, path, sent, user=user)
    except UpstreamUnavailable as away:
        form.error = _AWAY
        return httpx.Response(503, headers={"Retry-After": str(away.retry_after_s)})
    if response.status_code == 429:
        wait_s = response.headers.get("Retry-After", "")
        form.error = _TOO_OFTEN.format(f"{wait_s} s" if wait_s.isdecimal() else "a moment")
    return response


async def submit_for_status(deps: GatewayDependencies, form: SubmittedForm, path: str, sent: Mapping[str, Any]) -> int:
    """For requests without a response body: returns the status and adds field errors to the form."""
    response = await submit(deps, form, "POST", path, sent)
    if response.status_code >= 400 and not form.error:
        form.add_errors_from(response)
    return response.status_code


async def load_account(deps: GatewayDependencies, user: Principal) -> Me | None:
    """None while user_svc is unavailable."""
    try:
        response = await deps.user_client.request("GET", "/users/me", user=user)
        return Me.model_validate_json(response.content) if response.status_code == 200 else None
    except (UpstreamUnavailable, ValidationError):
        return None


def require_password(form: SubmittedForm, name: str) -> None:
    if len(form[name]) < PASSWORD_MIN:
        form.errors[name] = f"Choose a password of at least {PASSWORD_MIN} characters"
