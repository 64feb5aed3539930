"""The switchboard of user_svc. It hears no messages: people speak to it over HTTP, and it says what others need."""

from chassis.service import Aggregate, Service
from user_svc import claim, decider, session
from user_svc.claim import Claim
from user_svc.session import Session
from user_svc.user import User

# Nobody redelivers what comes over HTTP, so handled ids matter only for a moment. But the sweeper finds what is
# still to be said among them: so many changes of an account fit between a broker's going and its return.
_HANDLED_MAX = 100

USERS = Aggregate(kind="users", start=User(), decide=decider.decide, hears=(), handled_max=_HANDLED_MAX)
EMAILS = Aggregate(kind="emails", start=Claim(), decide=claim.decide, hears=(), handled_max=5)
SESSIONS = Aggregate(kind="sessions", start=Session(), decide=session.decide, hears=(), handled_max=5)


def user_service() -> Service:
    return Service("user_svc", (USERS, EMAILS, SESSIONS))
