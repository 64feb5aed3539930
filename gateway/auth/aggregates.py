"""The aggregates of authentication: browsers' sessions, and the access versions that tokens must have."""

from datetime import timedelta

from chassis.core.definition import Aggregate
from contracts.users import AccessChanged
from gateway.auth import required_access_version, session
from gateway.auth.required_access_version import RequiredAccessVersion
from gateway.auth.session import Session

# HTTP requests are not redelivered. Their handled ids matter only while a write with an unknown outcome is
# retried, so a few are enough. The state itself detects later duplicates.
_HANDLED_MAX = 5
# user_svc ends a login without a refresh after 14 days; one day is a margin.
_SESSIONS_KEPT_FOR = timedelta(days=15)

SESSIONS = Aggregate(
    "sessions",
    Session(),
    session.decide,
    handles=(),
    handled_max=_HANDLED_MAX,
    ttl=_SESSIONS_KEPT_FOR,
    restorable=False,
)
# A record has no effect once all older access tokens have expired, and the hour for which sessions are
# trusted while user_svc is unavailable has passed.
REQUIRED_ACCESS_VERSIONS = Aggregate(
    "access",
    RequiredAccessVersion(),
    required_access_version.decide,
    handles=(AccessChanged,),
    handled_max=_HANDLED_MAX,
    ttl=timedelta(days=60),
)
