"""Settings of a service, read from the environment.

An error names each wrong or missing variable and the remedy.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.core.definition import DEFAULT_TTL


class Settings(BaseSettings):
    """Read from environment variables of the same names in upper case."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    amqp_url: str = Field(
        description="this service's own broker user, e.g. amqp://order_svc@rabbitmq:5672/%2F"
    )
    amqp_password_file: Path | None = Field(None, description="a file that holds the broker password")
    mongo_url: str = Field(description="a replica set, e.g. mongodb://mongo:27017/?replicaSet=rs0")
    mongo_database: str = Field("", description="the service's database; by default the service's name")
    mongo_driver: Literal["motor", "pymongo"] = Field("motor", description="motor, or its successor pymongo")
    http_host: str = Field("127.0.0.1", description="address to listen on")
    http_port: int = Field(0, ge=0, le=65535, description="port of the HTTP API; 0 picks a free one")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")
    log_pretty: bool = False
    instances_file: Path | None = Field(
        None,
        description="JSON file with the addresses of services' instances, if no DNS name resolves to all "
        "of them",
    )
    drain_s: float = Field(20.0, gt=0, le=28, description="seconds that a stop waits for messages in flight")
    # The journal keeps events for thirty days, and people redrive after weeks: the handled messages must
    # still be there.
    retention_days: int = Field(
        DEFAULT_TTL.days,
        ge=60,
        le=36_500,
        description="days that an ended aggregate is kept after its last change",
    )

    @field_validator("amqp_url")
    @classmethod
    def _is_amqp(cls, url: str) -> str:
        if not url.startswith(("amqp://", "amqps://")):
            raise ValueError("must begin with amqp:// or amqps://")
        if "no_verify_ssl" in url:
            raise ValueError("no_verify_ssl disables the verification of the broker's certificate; remove it")
        if "://guest" in url:
            raise ValueError(
                "guest is RabbitMQ's default user, with a public password; give this service its own"
            )
        return url

    @field_validator("mongo_url")
    @classmethod
    def _is_mongo(cls, url: str) -> str:
        if not url.startswith(("mongodb://", "mongodb+srv://")):
            raise ValueError("must begin with mongodb:// or mongodb+srv://")
        if "tlsinsecure=true" in url.lower() or "tlsallowinvalid" in url.lower():
            raise ValueError(
                "tlsInsecure and tlsAllowInvalid… disable the verification of certificates; remove them"
            )
        return url

    @property
    def ttl(self) -> timedelta:
        return timedelta(days=self.retention_days)

    def broker_url(self) -> str:
        """The broker's URL, with the password from `amqp_password_file` if that is set."""
        if self.amqp_password_file is None:
            return self.amqp_url
        password = self.amqp_password_file.read_text().strip()
        scheme, _, rest = self.amqp_url.partition("://")
        user, _, place = rest.rpartition("@")
        return f"{scheme}://{user.partition(':')[0]}:{password}@{place}"


class BadSettings(SystemExit):
    """Wrong settings: which variables, why, and what they should look like.

    Uncaught, it ends the process with this text.
    """


def load_settings(kind: type[Settings] = Settings, **given: Any) -> Any:
    """Settings from the environment. Raises BadSettings with a sentence for each wrong variable."""
    try:
        return kind(**given)
    except ValidationError as error:
        sentences = []
        for problem in error.errors(include_url=False, include_input=False):
            name = str(problem["loc"][0]) if problem["loc"] else "?"
            field = kind.model_fields.get(name)
            hint = f" ({field.description})" if field and field.description else ""
            sentences.append(f"{name.upper()}: {problem['msg']}{hint}")
        raise BadSettings(
            "wrong settings; set these environment variables: " + "; ".join(sentences)
        ) from None
