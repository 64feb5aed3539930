"""The gateway's route for operations, on the internal port: where orders go.

The caller sends the access token of the staff member who reads. So operations has no right of its own to
personal data, and a revoked role takes effect at once.
"""

from typing import Annotated
from uuid import UUID

import httpx
from fastapi import APIRouter, Depends, Header, HTTPException, Query, Response

from chassis import instances, telemetry
from chassis.runtime import Runtime
from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from chassis.web.jwks import JwksClient
from chassis.web.problems import ALWAYS, problem_responses
from contracts.http.access import NotValid
from contracts.http.delivery import ORDERS_MAX, OrderDeliveries, OrderDelivery
from contracts.values import Id
from gateway.auth.access_tokens import AccessTokens
from gateway.auth.access_versions import AccessVersions
from gateway.auth.principal import Principal
from gateway.delivery.sealing import AddressSealing, Sealing
from gateway.orders.aggregates import TIMELINES
from gateway.orders.timeline import OrderTimeline
from gateway.settings import GatewaySettings


def routes(
    runtime: Runtime, *, settings: GatewaySettings, transport: httpx.AsyncBaseTransport | None = None
) -> APIRouter:
    """`transport`: to user_svc, for tests that run it without a port."""
    tokens = _access_tokens(runtime, settings, transport)
    sealing = AddressSealing(runtime)
    router = APIRouter(tags=["internal"], responses=ALWAYS)

    async def require_staff(authorization: Annotated[str, Header()] = "") -> Principal:
        try:
            user = await tokens.identify(authorization)
        except NotValid:
            user = None
        except UpstreamUnavailable as away:
            headers = {"Retry-After": str(away.retry_after_s)}
            raise HTTPException(503, "user_svc does not respond; try again", headers) from None
        if user is None:
            raise HTTPException(401, "not a valid access token", {"WWW-Authenticate": "Bearer"})
        if not user.is_staff:
            raise HTTPException(403, "only staff may read delivery addresses")
        return user

    @router.get("/delivery-addresses", responses=problem_responses(401, 403))
    async def delivery_addresses(
        response: Response,
        reader: Annotated[Principal, Depends(require_staff)],
        order_id: Annotated[list[Id], Query(min_length=1, max_length=ORDERS_MAX)],
    ) -> OrderDeliveries:
        """Where these orders go, for staff. The token is the access token of a staff member."""
        response.headers["Cache-Control"] = "no-store"
        keys = list(dict.fromkeys(map(str, order_id)))
        telemetry.log.info("staff read delivery addresses", staff_id=str(reader.user_id), orders=keys)
        loaded = await runtime.store.load(TIMELINES.kind, keys)
        timelines = {key: TIMELINES.read(each) for key, each in loaded.items()}
        with_address = {each.customer_id for each in timelines.values() if each.sealed_address}
        of_customer = await sealing.for_reading_many(with_address)
        return OrderDeliveries(items=[_delivery(UUID(key), timelines[key], of_customer) for key in timelines])

    return router


def _delivery(order_id: UUID, timeline: OrderTimeline, of_customer: dict[UUID, Sealing]) -> OrderDelivery:
    sealing = of_customer.get(timeline.customer_id) if timeline.sealed_address else None
    if sealing is None:
        return OrderDelivery(order_id=order_id, address=None)
    return OrderDelivery(
        order_id=order_id, address=sealing.open(timeline.sealed_address), erased=sealing.is_erased
    )


def _access_tokens(
    runtime: Runtime, settings: GatewaySettings, transport: httpx.AsyncBaseTransport | None
) -> AccessTokens:
    tls = settings.client_tls()
    users = UpstreamClient(
        "user_svc",
        settings.user_svc_url,
        caller="gateway",
        transport=transport or instances.transport(settings.instances_file, tls),
        timeout_s=settings.upstream_s_max,
        verify=tls,
    )
    return AccessTokens(JwksClient(users), AccessVersions(runtime))
