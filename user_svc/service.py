"""The switchboard of user_svc. People speak to it over HTTP; of messages it hears only what the staff say of roles."""

from typing import get_args

from chassis.service import Aggregate, Service
from user_svc import claim, decider, family, ring
from user_svc.claim import Claim
from user_svc.family import IDLE_MAX, Family
from user_svc.ring import Ring
from user_svc.user import User

# Nobody redelivers what comes over HTTP, so handled ids matter only for a moment. But the sweeper finds what is
# still to be said among them: so many changes of an account fit between a broker's going and its return.
_HANDLED_MAX = 100

USERS = Aggregate(
    kind="users",
    start=User(),
    decide=decider.decide,
    hears=get_args(decider.Heard),
    handled_max=_HANDLED_MAX,
)
# Many registrations may ask for one address at once. With fewer ids they could not tell whether they were written.
EMAILS = Aggregate(kind="emails", start=Claim(), decide=claim.decide, hears=(), handled_max=50)
# One that nobody refreshed for so long is over, and may go.
FAMILIES = Aggregate("families", Family(), family.decide, hears=(), handled_max=5, kept_for=IDLE_MAX)
KEYS = Aggregate("keys", Ring(), ring.decide, hears=(), handled_max=5)


def user_service() -> Service:
    return Service("user_svc", (USERS, EMAILS, FAMILIES, KEYS))
