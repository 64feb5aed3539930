"""Settings of a service, read from the environment.

An error names each wrong or missing variable and the remedy.
"""

import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis import tls
from chassis.bus.topology_policies import JOURNAL_KEPT
from chassis.connection_urls import is_public, password_of, user_of, uses_tls, with_option, with_password
from chassis.core.definition import DEFAULT_TTL
from chassis.messaging.partitions import parse_partitions
from chassis.telemetry.instruments import DEFAULT_PREFIX

DEFAULT_RECOVERY_WINDOW = timedelta(days=7)
# How long the consequences of a command may be under way, through dead letters and through staff: as long as
# the journal shows them. It includes the differences of clocks.
UNDER_WAY_MAX = JOURNAL_KEPT


class Settings(BaseSettings):
    """Read from environment variables of the same names in upper case."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)
    # Addresses for browsers, which a proxy may serve with TLS in front of this process, and the mail
    # server's: with TLS_REQUIRED the mail client insists on STARTTLS.
    plain_urls: ClassVar[frozenset[str]] = frozenset(
        {"public_url", "shop_url", "rabbitmq_ui_url", "smtp_url"}
    )

    # First, because the checks of other settings depend on them.
    tls_required: bool = Field(
        False, description="1: refuse to start unless every connection between programs uses TLS"
    )
    tls_ca_file: Path | None = Field(
        None,
        description="the certificate authorities of broker, database and services, in PEM; by default the "
        "system's",
    )
    amqp_url: str = Field(
        description="this service's own broker user, e.g. amqp://order_svc@rabbitmq:5672/%2F"
    )
    amqp_password_file: Path | None = Field(None, description="a file that holds the broker password")
    mongo_url: str = Field(
        description="this service's own user of a replica set, e.g. "
        "mongodb://order_svc@mongo:27017/?replicaSet=rs0"
    )
    mongo_password_file: Path | None = Field(None, description="a file that holds the database password")
    mongo_database: str = Field("", description="the service's database; by default the service's name")
    mongo_driver: Literal["motor", "pymongo"] = Field("motor", description="motor, or its successor pymongo")
    http_host: str = Field("127.0.0.1", description="address to listen on")
    http_port: int = Field(0, ge=0, le=65535, description="port of the HTTP API; 0 picks a free one")
    tls_certificate_file: Path | None = Field(
        None,
        validate_default=True,
        description="the certificate of the HTTP API with its chain, in PEM; by default the API uses no TLS",
    )
    tls_key_file: Path | None = Field(
        None, validate_default=True, description="the private key of TLS_CERTIFICATE_FILE, in PEM"
    )
    partitions: str = Field(
        "",
        description="queues per service in place of one, e.g. order_svc=3,payment_svc=2; the same text for "
        "all programs of the shop",
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")
    log_pretty: bool = False
    metric_prefix: str = Field(
        DEFAULT_PREFIX,
        pattern="^[a-z][a-z0-9_]*$",
        description="prefix of the metrics that no semantic convention names",
    )
    instances_file: Path | None = Field(
        None,
        description="JSON file with the addresses of services' instances, if no DNS name resolves to all "
        "of them",
    )
    trace_delayed: Literal["link", "continue"] = Field(
        "link",
        description="whether delayed messages (later retries, deadlines, redrives, backfills) begin a linked "
        "trace, or continue that of their journey",
    )
    journey_allow_faults: bool = Field(
        False,
        description="1 in test and demonstration environments only: opens the fault switches, /faults",
    )
    drain_s: float = Field(20.0, gt=0, le=28, description="seconds that a stop waits for what is in flight")
    # The journal keeps events for thirty days, and people redrive after weeks: the handled messages must
    # still be there.
    retention_days: int = Field(
        DEFAULT_TTL.days,
        ge=60,
        le=36_500,
        description="days that an ended aggregate is kept after its last change",
    )

    recovery_window_days: float = Field(
        DEFAULT_RECOVERY_WINDOW.days,
        ge=1,
        le=365,
        description="age in days of the oldest backup from which the service must be restorable",
    )

    @field_validator("*")
    @classmethod
    def _uses_tls_if_required(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.field_name or ""
        address = isinstance(value, str) and name.endswith("_url") and name not in cls.plain_urls
        if address and value and info.data.get("tls_required") and not uses_tls(value):
            raise ValueError(
                "TLS_REQUIRED is set, and this address is without TLS; use amqps://, https:// or tls=true"
            )
        return value

    @field_validator("partitions")
    @classmethod
    def _names_partitions(cls, text: str) -> str:
        parse_partitions(text)
        return text

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
        return _with_own_password(url)

    @field_validator("mongo_url")
    @classmethod
    def _is_mongo(cls, url: str) -> str:
        if not url.startswith(("mongodb://", "mongodb+srv://")):
            raise ValueError("must begin with mongodb:// or mongodb+srv://")
        if "tlsinsecure=true" in url.lower() or "tlsallowinvalid" in url.lower():
            raise ValueError(
                "tlsInsecure and tlsAllowInvalid… disable the verification of certificates; remove them"
            )
        return _with_own_password(url)

    @field_validator("amqp_password_file", "mongo_password_file")
    @classmethod
    def _holds_a_password(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is None:
            return None
        setting = (info.field_name or "").removesuffix("_password_file") + "_url"
        user = user_of(info.data.get(setting, ""))
        if setting in info.data and not user:
            raise ValueError(f"{setting.upper()} names no user; it must, before the host: user@host")
        if is_public(user, password_in(file)):
            raise ValueError("the password in it is a well-known one; write a random one into the file")
        return file

    @field_validator("tls_certificate_file")
    @classmethod
    def _is_given_if_required(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is None and info.data.get("tls_required"):
            raise ValueError("it is missing, and TLS_REQUIRED is set")
        return file

    @field_validator("tls_key_file")
    @classmethod
    def _belongs_to_a_certificate(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if (file is None) != (info.data.get("tls_certificate_file") is None):
            raise ValueError("set TLS_CERTIFICATE_FILE and TLS_KEY_FILE, or neither")
        return file

    @field_validator("tls_ca_file", "tls_certificate_file", "tls_key_file")
    @classmethod
    def _is_there(cls, file: Path | None) -> Path | None:
        if file is not None and not file.is_file():
            raise ValueError(f"there is no file {file}")
        return file

    @property
    def ttl(self) -> timedelta:
        return timedelta(days=self.retention_days)

    @property
    def recovery_window(self) -> timedelta:
        return timedelta(days=self.recovery_window_days)

    def partitions_of(self, service: str) -> int:
        return parse_partitions(self.partitions).get(service, 1)

    def broker_url(self) -> str:
        """The broker's URL, with the password from its file and the certificate authorities.

        Each call reads the file, so that its content can be replaced. Raises OSError.
        """
        url = _with_password_from(self.amqp_password_file, self.amqp_url)
        if self.tls_ca_file is None or not uses_tls(url):
            return url
        return with_option(url, "cafile", str(self.tls_ca_file))

    def database_url(self) -> str:
        """Like `broker_url`, for MongoDB."""
        url = _with_password_from(self.mongo_password_file, self.mongo_url)
        if self.tls_ca_file is None or not uses_tls(url):
            return url
        return with_option(url, "tlsCAFile", str(self.tls_ca_file))

    def client_tls(self) -> ssl.SSLContext:
        """For HTTP clients of other services."""
        return tls.client_context(self.tls_ca_file)


def within_retention(days: int, info: ValidationInfo) -> int:
    """Validates a setting that says for how many days commands about an ended aggregate are accepted.

    Raises ValueError if the aggregate could expire before their consequences arrive.
    """
    kept = info.data.get("retention_days")  # missing if it is wrong itself
    if kept is not None and days + UNDER_WAY_MAX.days > kept:
        raise ValueError(
            f"it is {days} and RETENTION_DAYS is {kept}, but messages may be under way for "
            f"{UNDER_WAY_MAX.days} days more; set RETENTION_DAYS to {days + UNDER_WAY_MAX.days} at least, or "
            f"this to {kept - UNDER_WAY_MAX.days} at most"
        )
    return days


def password_in(file: Path) -> str:
    """The password that the file holds, without the line's end. Raises ValueError if there is none."""
    try:
        password = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read: {type(error).__name__}") from None
    if not password:
        raise ValueError(f"{file} is empty")
    return password


def _with_own_password(url: str) -> str:
    """The URL. Raises ValueError if the password in it is known to everyone."""
    if is_public(user_of(url), password_of(url)):
        raise ValueError("its password is a well-known one; set a random one, in the file of *_PASSWORD_FILE")
    return url


def _with_password_from(file: Path | None, url: str) -> str:
    return url if file is None else with_password(url, file.read_text().strip())


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
