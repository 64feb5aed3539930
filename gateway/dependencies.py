"""What the routes need, built once per process and passed to every router."""

from collections.abc import Mapping
from typing import Any

import httpx
from fastapi import APIRouter, Depends, Request

from chassis import instances
from chassis.runtime import Runtime
from chassis.web.http_client import UpstreamClient
from chassis.web.jwks import JwksClient
from chassis.web.problems import problem_responses
from gateway.auth.access_tokens import AccessTokens
from gateway.auth.access_versions import AccessVersions
from gateway.auth.authentication import Authenticator
from gateway.auth.session_service import SessionService
from gateway.auth.user_client import UserClient
from gateway.basket.repository import BasketRepository
from gateway.catalogue.client import CatalogueClient
from gateway.export.data_export import DataExport, ExportSources
from gateway.http.cookies import Cookies
from gateway.http.rate_limit import RateLimiter
from gateway.live.sse import LiveUpdates
from gateway.orders.customer_orders import CustomerOrders
from gateway.settings import GatewaySettings


class GatewayDependencies:
    """`current_user`, `require_user` and `require_staff` are FastAPI dependencies:
    `Depends(deps.require_user)`.

    `identify` authenticates the reader of an open stream again. `stopping` is set when the instance shuts
    down, and ends the streams. `transports`: by service name, for tests that run a service without a port.
    `rate_limiter`: by default one that counts in memory.
    """

    def __init__(
        self,
        runtime: Runtime,
        settings: GatewaySettings,
        transports: Mapping[str, httpx.AsyncBaseTransport] = {},
        rate_limiter: RateLimiter | None = None,
    ) -> None:
        def upstream(name: str, url: str) -> UpstreamClient:
            tls = settings.client_tls()
            several = transports.get(name) or instances.transport(settings.instances_file, tls)
            return UpstreamClient(
                name, url, caller="gateway", transport=several, timeout_s=settings.upstream_s_max, verify=tls
            )

        self.runtime = runtime
        self.settings = settings
        self.stopping = runtime.stopping
        self.users = upstream("user_svc", settings.user_svc_url)
        self.products = upstream("product_svc", settings.product_svc_url)
        self.stock = upstream("inventory_svc", settings.inventory_svc_url)
        self.operations = upstream("operations", settings.operations_url)
        self.cookies = Cookies(settings.cookies_insecure)
        self.rate_limiter = rate_limiter or RateLimiter()
        self.versions = AccessVersions(runtime)
        self.user_client = UserClient(self.users, settings.current_service_token, self.versions)
        self.keys = JwksClient(self.users)
        self.sessions = SessionService(runtime, self.user_client, self.cookies, self.versions)
        self.orders = CustomerOrders(runtime, settings)
        self.baskets = BasketRepository(runtime, self.cookies)
        self.catalogue = CatalogueClient(self.products, self.stock)
        self.order_data, self.payments, self.mails = (
            upstream(name, url) if url else None
            for name, url in (
                ("order_svc", settings.order_svc_url),
                ("payment_svc", settings.payment_svc_url),
                ("notification_svc", settings.notification_svc_url),
            )
        )
        sources = ExportSources(self.order_data, self.stock, self.payments, self.mails)
        own = (self.orders, self.baskets)
        self.exports = DataExport(sources, self.user_client, own, clock=runtime.clock)
        self.live = LiveUpdates(runtime, self.stopping)
        tokens = AccessTokens(self.keys, self.versions)
        authenticator = Authenticator(settings, tokens, self.sessions, self.rate_limiter)
        self.current_user = authenticator.current_user
        self.require_user = authenticator.require_user
        self.require_staff = authenticator.require_staff
        self.identify = authenticator.identify

    def api_router(
        self, tag: str, *, responses: Mapping[int | str, dict[str, Any]] = {}, **how: Any
    ) -> APIRouter:
        """A router of the API. It authenticates and rate-limits each request before the route runs."""
        usual = problem_responses(400, 401, 403, 405, 413, 422, 429)
        # Accepts a body without Content-Type as JSON: the middleware has already rejected cross-site
        # requests.
        how = {"strict_content_type": False, **how}
        return APIRouter(
            tags=[tag], dependencies=[Depends(self.current_user)], responses={**usual, **responses}, **how
        )

    def page_router(self, prefix: str = "") -> APIRouter:
        """A router of pages.

        It authenticates and rate-limits like api_router, and is not in the API description.
        """
        return APIRouter(prefix=prefix, dependencies=[Depends(self.current_user)], include_in_schema=False)

    async def basket_count(self, request: Request) -> int:
        """The number of pieces in the basket of the user or guest, for the pages' header."""
        user = await self.current_user(request)
        return (await self.baskets.get(self.baskets.key_for(user, request))).pieces

    async def close(self) -> None:
        self.stopping.set()
        optional = (self.order_data, self.payments, self.mails)
        for upstream in (self.users, self.products, self.stock, self.operations, *optional):
            if upstream is not None:
                await upstream.close()
