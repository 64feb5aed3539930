"""Submits a form to user_svc and adds its errors to the form."""

from collections.abc import Mapping
from typing import Any

import httpx
from pydantic import ValidationError

from chassis.web.http_client import UpstreamUnavailable
from contracts.http.users import PASSWORD_LENGTH_MIN, Me, SessionPage
from gateway.accounts.dependencies import AccountDependencies
from gateway.auth.principal import Principal
from gateway.auth.user_client import UserClient
from gateway.web.form import SubmittedForm

_AWAY = "Accounts are currently unavailable. Please try again in a moment."
_TOO_OFTEN = "Too many attempts. Please wait {}, then try again."


async def submit(
    deps: AccountDependencies,
    form: SubmittedForm,
    method: str,
    path: str,
    sent: Mapping[str, Any] | None,
    *,
    user: Principal | None = None,
) -> httpx.Response:
    """Returns the response.

    Adds an error to the form if user_svc is unavailable (a 503) or limits the rate (429).
    """
    try:
        response = await deps.user_client.request(method, path, sent, user=user)
    except UpstreamUnavailable as away:
        form.error = _AWAY
        return httpx.Response(503, headers={"Retry-After": str(away.retry_after_s)})
    if response.status_code == 429:
        wait_s = response.headers.get("Retry-After", "")
        form.error = _TOO_OFTEN.format(f"{wait_s} s" if wait_s.isdecimal() else "a moment")
    return response


async def submit_for_status(
    deps: AccountDependencies, form: SubmittedForm, path: str, sent: Mapping[str, Any]
) -> int:
    """For responses without a body: returns the status, and adds the response's errors to the form."""
    response = await submit(deps, form, "POST", path, sent)
    if response.status_code >= 400 and not form.error:
        form.add_errors_from(response)
    return response.status_code


async def load_account(user_client: UserClient, user: Principal) -> Me | None:
    """The user's account; None while user_svc is unavailable."""
    try:
        return await user_client.account(user)
    except UpstreamUnavailable:
        return None


async def load_sessions(user_client: UserClient, user: Principal) -> SessionPage | None:
    """The user's newest open sessions; None while user_svc is unavailable."""
    try:
        response = await user_client.request("GET", "/users/me/sessions", user=user)
        return SessionPage.model_validate_json(response.content) if response.status_code == 200 else None
    except (UpstreamUnavailable, ValidationError):
        return None


def require_password(form: SubmittedForm, name: str) -> None:
    if len(form[name]) < PASSWORD_LENGTH_MIN:
        form.errors[name] = f"Choose a password of at least {PASSWORD_LENGTH_MIN} characters"
