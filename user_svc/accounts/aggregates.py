"""The aggregates of accounts: accounts, reserved e-mail addresses, and logins."""

from typing import get_args

from chassis.core.definition import Aggregate
from user_svc.accounts import decider, email_reservation
from user_svc.accounts.email_reservation import EmailReservation
from user_svc.accounts.user import User
from user_svc.auth import refresh_tokens
from user_svc.auth.refresh_tokens import IDLE_MAX, RefreshTokenFamily

# HTTP requests are not redelivered, so handled ids matter only briefly. But the sweeper finds unpublished
# messages by them: this is how many changes of one account an outage of the broker may cover.
_HANDLED_MAX = 100

USERS = Aggregate(
    kind="users",
    start=User(),
    decide=decider.decide,
    handles=get_args(decider.Handles),
    handled_max=_HANDLED_MAX,
)
# Many registrations may request one address at once. With fewer ids they could not tell whether they were
# written.
EMAILS = Aggregate(
    kind="emails", start=EmailReservation(), decide=email_reservation.decide, handles=(), handled_max=50
)
# A family that was not refreshed for this long has ended and may be deleted.
REFRESH_TOKEN_FAMILIES = Aggregate(
    "families", RefreshTokenFamily(), refresh_tokens.decide, handles=(), handled_max=5, ttl=IDLE_MAX
)
