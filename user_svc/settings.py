"""The settings of user_svc, in addition to those of every service."""

from dataclasses import dataclass

from pydantic import Field

from chassis.web.service_token import ServiceTokenSettings
from user_svc.accounts.email_reservation import MAILS_PER_DAY


@dataclass(frozen=True)
class AuthPolicy:
    """`keys_days`: how long a key signs. `refresh_grace_s`: see refresh_tokens.py.

    `tries_per_minute`: see login_throttle.py. `mails_per_day`: see account_service.py.
    """

    keys_days: float = 30
    refresh_grace_s: float = 10
    tries_per_minute: int = 30
    mails_per_day: int = MAILS_PER_DAY


class UserSettings(ServiceTokenSettings):
    """See chassis.settings."""

    keys_days: float = Field(
        30, ge=1, description="how long a key signs access tokens before the next one does"
    )
    refresh_grace_s: float = Field(
        10,
        ge=0,
        le=60,
        description="how long a used refresh token is accepted again, in case a response was lost",
    )
    tries_per_minute: int = Field(
        30, ge=1, description="how many logins from one network may fail in a minute"
    )
    mails_per_day: int = Field(
        MAILS_PER_DAY,
        ge=1,
        le=1_000,
        description="how many requested mails of one kind an address receives in 24 hours",
    )

    def auth_policy(self) -> AuthPolicy:
        return AuthPolicy(self.keys_days, self.refresh_grace_s, self.tries_per_minute, self.mails_per_day)
