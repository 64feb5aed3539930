"""The settings of the token by which the services of one system authenticate to each other."""

from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from chassis.settings import Settings

TOKEN_LENGTH_MIN = 16


class ServiceTokenSettings(Settings):
    """Settings of a service that sends or checks the service token."""

    service_token_file: Path | None = Field(None, description="a file that holds the service token")
    service_token: str = Field(
        "",
        validate_default=True,
        repr=False,
        description="authenticates services to each other; or set SERVICE_TOKEN_FILE",
    )

    @field_validator("service_token")
    @classmethod
    def _is_given(cls, token: str, info: ValidationInfo) -> str:
        if (file := info.data.get("service_token_file")) is not None:
            try:
                token = file.read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"SERVICE_TOKEN_FILE cannot be read: {type(error).__name__}") from None
        if len(token) < TOKEN_LENGTH_MIN:
            raise ValueError(f"a token of at least {TOKEN_LENGTH_MIN} characters is needed")
        return token

    def current_service_token(self) -> str:
        """The token, from its file on each call, so that the file can be replaced. Raises OSError."""
        if self.service_token_file is None:
            return self.service_token
        return self.service_token_file.read_text().strip()
