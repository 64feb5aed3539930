"""What user_svc is told by its environment, besides what every service is told."""

from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from chassis.settings import Settings

_TOKEN_LENGTH_MIN = 16


class UserSettings(Settings):
    """See chassis.settings."""

    service_token_file: Path | None = Field(None, description="a file that holds the service token")
    service_token: str = Field(
        "",
        validate_default=True,
        repr=False,
        description="what notification_svc shows to be told an address; or name a file in SERVICE_TOKEN_FILE",
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
