"""The settings of operations: the addresses of the broker, its management API and the services."""

from urllib.parse import quote, unquote, urlsplit

from pydantic import Field, field_validator

from chassis.settings import Settings
from journey.admin.registry import CONSUMING_SERVICES

_SERVICE = "the URL of its internal HTTP port, e.g. http://{}:8080"


class OperationsSettings(Settings):
    """See chassis.settings.

    The broker user is the operator's: it may read, redrive and command everything.
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
    order_svc_url: str = Field(description=_SERVICE.format("order_svc"))
    inventory_svc_url: str = Field(description=_SERVICE.format("inventory_svc"))
    payment_svc_url: str = Field(description=_SERVICE.format("payment_svc"))
    notification_svc_url: str = Field(description=_SERVICE.format("notification_svc"))
    user_svc_url: str = Field(description=_SERVICE.format("user_svc"))
    product_svc_url: str = Field(description=_SERVICE.format("product_svc"))
    gateway_url: str = Field(description=_SERVICE.format("gateway"))
    poll_s: float = Field(
        2.0, ge=0.2, le=60, description="how often the broker's figures are read, for all viewers"
    )

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
        account = f"{broker.username or ''}:{broker.password or ''}"  # both still percent-encoded
        return parts._replace(netloc=f"{account}@{parts.netloc}").geturl()

    def queue_page(self, queue: str) -> str:
        """The URL of RabbitMQ's page for a queue."""
        return f"{self.rabbitmq_pages}/#/queues/{quote(self.vhost, safe='')}/{quote(queue, safe='')}"

    @property
    def rabbitmq_pages(self) -> str:
        parts = urlsplit(self.rabbitmq_ui_url or self.rabbitmq_management_url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
