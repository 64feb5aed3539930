"""Finds a customer by e-mail address, and shows the customer's orders.

operations has no right of its own to personal data: user_svc resolves the address for the staff member who
asks. The address is in the body of two requests and in the page that reports an error, nowhere else: no URL,
log or message contains it.
"""

from collections.abc import Iterable
from uuid import UUID

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.responses import RedirectResponse

from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from contracts.http.users import EMAIL_LENGTH_MAX, FoundCustomer
from operations.access import forwarded_token
from operations.web.forms import StaffForm, read_form
from operations.web.staff_pages import StaffPages, get, post

LOOKUP = "lookup"  # the action in the audit log


class NotAnAddress(Exception):
    """user_svc does not accept the text as an e-mail address."""


class TooManyLookups(Exception):
    """user_svc limits the look-ups of each staff member."""

    def __init__(self, wait_s: str) -> None:
        super().__init__("too many look-ups")
        self.wait_s = wait_s


class CustomerPages(StaffPages):
    def routes(self) -> Iterable[APIRoute]:
        return get("/ops/customers", self.show), post("/ops/customers", self.find)

    async def show(self, request: Request) -> Response:
        return self._render(request, "customers.html", form=StaffForm())

    async def find(self, request: Request) -> Response:
        """Shows a result only after the look-up is in the audit log."""
        form = await read_form(request)
        try:
            customer_id = await find_customer(self._tools.services["user_svc"], request, form["email"])
        except NotAnAddress:
            form.errors["email"] = "Enter an e-mail address, e.g. ada@example.org."
            return self._render(request, "customers.html", 422, form=form)
        except TooManyLookups as error:
            form.errors["email"] = f"Too many look-ups. Wait {error.wait_s} s, then try again."
            return self._render(request, "customers.html", 429, form=form)
        found = f"found {customer_id}" if customer_id else "no customer found"
        await self._record(
            request, LOOKUP, type="customer", service="user_svc", reason=found, undone="Not shown"
        )
        if customer_id is None:
            form.errors["email"] = (
                "No customer has this address. Compare the spelling; it must be the whole address."
            )
            return self._render(request, "customers.html", 422, form=form)
        return RedirectResponse(f"/ops/orders?customer={customer_id}", 303)


async def find_customer(user_svc: UpstreamClient, request: Request, email: str) -> UUID | None:
    """The customer with this address.

    Raises NotAnAddress, TooManyLookups, or UpstreamUnavailable, also for a user_svc of an earlier release.
    """
    if not email or len(email) > EMAIL_LENGTH_MAX:
        raise NotAnAddress
    response = await user_svc.request(
        "POST", "/customer-lookups", json={"email": email}, token=forwarded_token(request)
    )
    if response.status_code == 422:
        raise NotAnAddress
    if response.status_code == 429:
        raise TooManyLookups(response.headers.get("Retry-After", "60"))
    if response.status_code in (401, 403):  # since the check, the login has ended or the role was revoked
        raise HTTPException(404)
    try:
        return FoundCustomer.model_validate_json(response.content if response.is_success else b"").user_id
    except ValidationError:
        raise UpstreamUnavailable("user_svc") from None
