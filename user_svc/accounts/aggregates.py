"""The aggregates of accounts: accounts, reserved e-mail addresses, and logins."""

from typing import get_args
from uuid import UUID

from chassis.core.deadline import Deadline
from chassis.core.definition import Aggregate
from chassis.core.recall import Recall
from contracts import users
from user_svc.accounts import decider, email_reservation
from user_svc.accounts.email_reservation import EmailReservation
from user_svc.accounts.user import AccountStatus, User
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
    recall=Recall(get_args(decider.Recalled), decider.recall, decider.recalled_key),
    erased_statuses=frozenset({AccountStatus.ERASED}),
    deadline=Deadline(
        at=lambda user: user.emails_kept_until,
        waiting=lambda user: user.emails_kept_until is not None,
        make_command=lambda key: users.ForgetEmails(user_id=UUID(key)),
    ),
)
# Many registrations may request one address at once. With fewer ids they could not tell whether they were
# written.
EMAILS = Aggregate(
    kind="emails", start=EmailReservation(), decide=email_reservation.decide, handles=(), handled_max=50
)
# A family that was not refreshed for this long has ended and may be deleted.
REFRESH_TOKEN_FAMILIES = Aggregate(
    "families",
    RefreshTokenFamily(),
    refresh_tokens.decide,
    handles=(),
    handled_max=5,
    indexes=("user_id",),
    ttl=IDLE_MAX,
    restorable=False,
)
