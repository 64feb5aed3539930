"""The service definition of user_svc.

Users call it over HTTP; its only messages are the staff's role commands.
"""

from chassis.core.definition import ServiceDefinition
from contracts import users
from contracts.catalog import CATALOG
from user_svc.accounts.aggregates import EMAILS, REFRESH_TOKEN_FAMILIES, USERS
from user_svc.auth.login_throttle import LOGIN_ATTEMPTS
from user_svc.signing.signer import KEYS


def user_service() -> ServiceDefinition:
    aggregates = (USERS, EMAILS, REFRESH_TOKEN_FAMILIES, KEYS, LOGIN_ATTEMPTS)
    # Release 0.1.0 does not know ForgetEmails.
    return ServiceDefinition("user_svc", aggregates, catalog=CATALOG, added=(users.ForgetEmails,))
