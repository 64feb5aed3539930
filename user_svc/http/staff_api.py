"""The route for staff: which customer has an e-mail address.

operations forwards the access token of the staff member who asks. So it has no right of its own to personal
data, and a revoked role takes effect at once.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Response

from chassis import telemetry
from chassis.web.problems import ALWAYS, problem_responses
from contracts.http.users import FoundCustomer
from contracts.roles import Role
from user_svc.accounts.email_reservation import reservation_key
from user_svc.accounts.user import AccountStatus
from user_svc.dependencies import UserDependencies
from user_svc.http.dependencies import AuthenticatedUser, user_dependency
from user_svc.http.errors import BODY_RESPONSES, LOGIN_RESPONSES
from user_svc.http.forms import CustomerLookupBody
from user_svc.http.strict_body import BoundedRoute


def routes(deps: UserDependencies) -> APIRouter:
    router = APIRouter(tags=["staff"], route_class=BoundedRoute, responses=ALWAYS | LOGIN_RESPONSES)
    authenticated = Depends(user_dependency(deps))

    @router.post("/customer-lookups", responses=BODY_RESPONSES | problem_responses(403, 429))
    async def look_up_customer(
        current_user: Annotated[AuthenticatedUser, authenticated],
        form: CustomerLookupBody,
        response: Response,
    ) -> FoundCustomer:
        """The id of the customer with this e-mail address, for staff.

        The address is in the body, because logs contain URLs. A customer has proved the address: one that was
        only entered at a registration may be another person's. The number of look-ups of a staff member is
        limited, so that a stolen login cannot try out a list of addresses.
        """
        response.headers["Cache-Control"] = "no-store"
        staff = current_user.user
        if Role.STAFF not in staff.roles:
            raise HTTPException(403, "only staff may look up customers")
        await deps.throttle.hit(reservation_key(form.email), f"staff {staff.user_id}")
        found = await deps.accounts.user_by_email(form.email)
        customer_id = found.user_id if found.status is AccountStatus.ACTIVE else None
        telemetry.log.info(
            "staff looked up a customer by e-mail address",
            staff_id=str(staff.user_id),
            customer_id=str(customer_id or ""),
        )
        return FoundCustomer(user_id=customer_id)

    return router
