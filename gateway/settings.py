"""The settings of the gateway, in addition to the common settings of all services."""

from datetime import timedelta
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from chassis.web.service_token import ServiceTokenSettings

TIMELINE_RETENTION = timedelta(days=400)
_REQUIRED_URLS = ("user_svc_url", "product_svc_url", "inventory_svc_url")
_OPTIONAL_URLS = ("operations_url", "order_svc_url", "payment_svc_url", "notification_svc_url")
CommaSeparated = Annotated[tuple[str, ...], NoDecode]


class GatewaySettings(ServiceTokenSettings):
    """See chassis.settings. HTTP_HOST and HTTP_PORT are the internal port: health, readiness, metrics."""

    retention_days: int = Field(
        TIMELINE_RETENTION.days,
        ge=60,
        le=36_500,
        description="how many days ended orders stay in the customers' lists",
    )
    public_host: str = Field("127.0.0.1", description="address at which the public server listens")
    public_port: int = Field(0, ge=0, le=65535, description="port of the public server; 0 picks a free one")
    public_url: str = Field(
        "", description="URL of the shop in browsers, e.g. https://shop.example; empty: the request's Host"
    )
    user_svc_url: str = Field(description="where user_svc listens, e.g. http://user_svc:8080")
    product_svc_url: str = Field(description="where product_svc listens, e.g. http://product_svc:8080")
    inventory_svc_url: str = Field(description="where inventory_svc listens, e.g. http://inventory_svc:8080")
    order_svc_url: str = Field("", description="where order_svc listens, for the export of a user's data")
    payment_svc_url: str = Field("", description="where payment_svc listens, for the same")
    notification_svc_url: str = Field("", description="where notification_svc listens, for the same")
    operations_url: str = Field("", description="where operations listens; empty: no operations pages")
    cookies_insecure: bool = Field(False, description="1 only for plain http on a name that is not localhost")
    trusted_proxies: CommaSeparated = Field(
        (), description="networks whose X-Forwarded-For is trusted, comma-separated"
    )
    cors_origins: CommaSeparated = Field(
        (), description="origins whose pages may use the API with a token, comma-separated"
    )
    publish_s_max: float = Field(
        5.0, gt=0, le=10, description="how long the broker may take to confirm an order"
    )
    publish_pause_s: float = Field(
        2.0, gt=0, le=60, description="how long to fail fast after a missing confirm"
    )
    publishing_max: int = Field(
        100, gt=0, description="how many orders may wait for the broker's confirm at once"
    )
    upstream_s_max: float = Field(2.0, gt=0, le=10, description="timeout of a request to another service")
    request_s_max: float = Field(20.0, gt=0, description="how long a response may take to begin")
    order_deadline_s: float = Field(
        900.0, gt=0, description="the deadline of order_svc; pages show when an order is cancelled"
    )
    rate_user: int = Field(120, gt=0, description="requests per minute of one user")
    rate_anonymous: int = Field(60, gt=0, description="unauthenticated requests per minute of one address")
    rate_orders: int = Field(10, gt=0, description="orders per minute of one user")

    @field_validator("trusted_proxies", "cors_origins", mode="before")
    @classmethod
    def _by_commas(cls, given: object) -> object:
        return (
            tuple(part.strip() for part in given.split(",") if part.strip())
            if isinstance(given, str)
            else given
        )

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ip_network(network)  # raises a ValueError with a clear message
        return networks

    @field_validator("public_url", *_REQUIRED_URLS, *_OPTIONAL_URLS)
    @classmethod
    def _is_http(cls, url: str, info: ValidationInfo) -> str:
        if not url and info.field_name in ("public_url", *_OPTIONAL_URLS):
            return url
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.query:
            raise ValueError("must be http:// or https://, a host, a port if need be, and no path")
        return url.rstrip("/")
