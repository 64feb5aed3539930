"""The settings of the token by which the services of one system authenticate to each other.

The file may hold several tokens, one a line: the first one is sent, and each one is accepted. So all services
accept a new token before the first one sends it.
"""

from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from chassis.settings import Settings

TOKEN_LENGTH_MIN = 16


class ServiceTokenSettings(Settings):
    """Settings of a service that sends or checks the service token."""

    service_token_file: Path | None = Field(
        None,
        description="a file that holds the service token; on further lines other tokens that are accepted",
    )
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
                tokens = file.read_text().strip().splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"SERVICE_TOKEN_FILE cannot be read: {type(error).__name__}") from None
        else:
            tokens = [token]
        if not tokens or min(map(len, tokens)) < TOKEN_LENGTH_MIN:
            raise ValueError(f"a token of at least {TOKEN_LENGTH_MIN} characters is needed")
        return str(tokens[0])

    def current_service_token(self) -> str:
        """The token to send. See `accepted_service_tokens`."""
        return self.accepted_service_tokens()[0]

    def accepted_service_tokens(self) -> list[str]:
        """The tokens, from the file on each call, so that it can be replaced. The first one is to be sent.

        Shorter lines are ignored: an empty one, accepted, would let a request without a token in. While the
        file cannot be read or holds no token, the one of the start.
        """
        if self.service_token_file is None:
            return [self.service_token]
        try:
            lines = self.service_token_file.read_text().strip().splitlines()
        except (OSError, UnicodeDecodeError):
            return [self.service_token]
        tokens = [line for line in lines if len(line) >= TOKEN_LENGTH_MIN]
        return tokens or [self.service_token]
