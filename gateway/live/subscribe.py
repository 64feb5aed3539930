"""Opens an event stream: authorization, content negotiation and resumption, before the first byte is sent."""

from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response

from chassis.web.http_client import UpstreamUnavailable
from contracts.http.access import NotValid
from gateway.http.problems import ProblemError
from gateway.live.dependencies import LiveDependencies
from gateway.live.sse import (
    MEDIA_TYPE,
    EventRenderer,
    EventStream,
    TooManyStreams,
    encode_event,
    parse_last_event_id,
    stream_events,
)
from gateway.orders.authorized_order import AuthorizedOrder

_RETRY_AFTER_S = "30"


def accepts(request: Request, media_type: str) -> bool:
    """Whether the Accept header allows `media_type` (RFC 9110, section 12.5.1)."""
    main = media_type.partition("/")[0]
    given = request.headers.get("accept") or "*/*"
    ranges = [part.partition(";") for part in given.lower().replace(" ", "").split(",")]
    return any(
        name in (media_type, f"{main}/*", "*/*")
        and "q=0" not in (parameters := rest.split(";"))
        and "q=0.0" not in parameters
        for name, _, rest in ranges
    )


async def open_stream(
    deps: LiveDependencies,
    request: Request,
    order: AuthorizedOrder,
    *,
    last_event_id: str | None,
    renderer: EventRenderer,
    streams_max: int,
) -> Response:
    """`last_event_id`: as the reader sent it. Responds with a 204 if no more events are expected.

    Raises ProblemError if the reader does not accept event streams or has too many open.
    """
    if not accepts(request, MEDIA_TYPE):
        raise ProblemError("not-acceptable", f"this resource is {MEDIA_TYPE}")
    after = parse_last_event_id(last_event_id)
    if after == order.timeline.seq and renderer.settled(order.timeline):
        return Response(status_code=204)
    try:
        release = deps.live.quota.acquire(order.user.user_id, streams_max)
    except TooManyStreams:
        detail = f"{streams_max} streams are already open; close one, or poll the order"
        raise ProblemError("too-many", detail, headers={"Retry-After": _RETRY_AFTER_S}) from None

    async def may_continue() -> bool:
        return await _may_read(deps, request, order)

    async def follow() -> AsyncGenerator[bytes, None]:
        async with deps.live.hub.subscribe(order.order_id) as subscription:
            async for event in stream_events(
                subscription, order.timeline, after, renderer, may_continue, deps.live.timings
            ):
                yield encode_event(event)

    return EventStream(follow(), release)


async def _may_read(deps: LiveDependencies, request: Request, order: AuthorizedOrder) -> bool:
    """Whether the reader is still authorized: sessions end, tokens expire, roles are revoked."""
    try:
        user = await deps.identify(request)
    except NotValid:
        return False
    except UpstreamUnavailable:
        return True  # an unavailable user_svc does not revoke the authorization
    if user is None or user.user_id != order.user.user_id:
        return False
    return user.is_staff or order.timeline.customer_id == user.user_id
