"""The settings of user_svc, in addition to those of every service."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from chassis.settings import Settings
from user_svc.accounts.email_reservation import MAILS_PER_DAY

_TOKEN_LENGTH_MIN = 16


@dataclass(frozen=True)
class AuthPolicy:
    """`keys_days`: how long a key signs. `refresh_grace_s`: see refresh_tokens.py.

    `tries_per_minute`: see login_throttle.py. `mails_per_day`: see account_service.py.
    """

    keys_days: float = 30
    refresh_grace_s: float = 10
    tries_per_minute: int = 30
    mails_per_day: int = MAILS_PER_DAY


class UserSettings(Settings):
    """See chassis.settings."""

    service_token_file: Path | None = Field(None, description="a file that holds the service token")
    service_token: str = Field(
        "",
        validate_default=True,
        repr=False,
        description="authenticates the shop's services and encrypts the signing keys; or set "
        "SERVICE_TOKEN_FILE",
    )

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

    @field_validator("service_token")
    @classmethod
    def _is_given(cls, token: str, info: ValidationInfo) -> str:
        if (file := info.data.get("service_token_file")) is not None:
            try:
                token = file.read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"SERVICE_TOKEN_FILE cannot be read: {type(error).__name__}") from None
        if len(token) < _TOKEN_LENGTH_MIN:
            raise ValueError(f"a token of at least {_TOKEN_LENGTH_MIN} characters is needed")
        return token

    def auth_policy(self) -> AuthPolicy:
        return AuthPolicy(self.keys_days, self.refresh_grace_s, self.tries_per_minute, self.mails_per_day)
