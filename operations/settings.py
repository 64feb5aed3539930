"""The settings of operations: the addresses of the broker, its management API and the services."""

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import Field, ValidationInfo, create_model, field_validator

from chassis.settings import Settings
from journey.admin.registry import CONSUMING_SERVICES

_SERVICE = "the URL of its internal HTTP port, e.g. http://{}:8080; or set SERVICE_URL for all services"
_URLS: dict[str, Any] = {
    "service_url": (
        str,
        Field(
            "",
            validate_default=False,
            description="the URL of each service whose own variable is not set, with {} for its name, e.g."
            " http://{}:8080",
        ),
    )
} | {
    f"{name}_url": (str, Field("", validate_default=True, description=_SERVICE.format(name)))
    for name in CONSUMING_SERVICES
}
if TYPE_CHECKING:
    _ServiceUrls = Settings
else:  # one setting per service in the registry
    _ServiceUrls = create_model("_ServiceUrls", __base__=Settings, **_URLS)


class OperationsSettings(_ServiceUrls):
    """See chassis.settings. The broker user is the operator's: it may read, redrive and command everything.

    For each service in the registry there is a setting with its address, for example `order_svc_url`.
    """

    mongo_url: str = Field("", validate_default=False, description="not used: operations stores nothing")
    rabbitmq_management_url: str = Field(
        description="RabbitMQ's management API, e.g. http://rabbitmq:15672; without a user, the broker's "
        "user is used"
    )
    rabbitmq_ui_url: str = Field(
        "",
        validate_default=False,
        description="the URL of RabbitMQ's pages for browsers; by default the management API's",
    )
    poll_s: float = Field(
        2.0, ge=0.2, le=60, description="how often the broker's figures are read, for all viewers"
    )

    @field_validator("service_url")
    @classmethod
    def _has_a_gap(cls, pattern: str) -> str:
        if pattern.count("{}") != 1 or pattern.count("{") != 1 or pattern.count("}") != 1:
            raise ValueError("must contain {} once, for the service's name")
        return pattern

    @field_validator(*(f"{name}_url" for name in CONSUMING_SERVICES), mode="before")
    @classmethod
    def _is_given(cls, url: object, info: ValidationInfo) -> object:
        if url:
            return url
        if not (pattern := info.data.get("service_url")):
            raise ValueError("it is missing")
        return pattern.format((info.field_name or "").removesuffix("_url"))

    @field_validator(
        "rabbitmq_management_url", "rabbitmq_ui_url", *(f"{name}_url" for name in CONSUMING_SERVICES)
    )
    @classmethod
    def _is_http(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")) or not urlsplit(url).hostname:
            raise ValueError("must begin with http:// or https:// and name a host")
        return url.rstrip("/")

    @property
    def addresses(self) -> dict[str, str]:
        """Service -> the URL of its HTTP port."""
        return {name: str(getattr(self, f"{name}_url")) for name in CONSUMING_SERVICES}

    @property
    def vhost(self) -> str:
        return unquote(urlsplit(self.amqp_url).path.removeprefix("/")) or "/"

    def management_url(self) -> str:
        """With user and password: the broker's, unless the URL names others."""
        parts = urlsplit(self.rabbitmq_management_url)
        if parts.username:
            return self.rabbitmq_management_url
        broker = urlsplit(self.broker_url())
        credentials = f"{broker.username or ''}:{broker.password or ''}"  # both still percent-encoded
        return parts._replace(netloc=f"{credentials}@{parts.netloc}").geturl()

    def queue_page(self, queue: str) -> str:
        """The URL of RabbitMQ's page for a queue."""
        return f"{self.rabbitmq_pages}/#/queues/{quote(self.vhost, safe='')}/{quote(queue, safe='')}"

    @property
    def rabbitmq_pages(self) -> str:
        parts = urlsplit(self.rabbitmq_ui_url or self.rabbitmq_management_url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
