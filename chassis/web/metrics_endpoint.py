"""`GET /metrics`: the metrics of this process."""

from fastapi import Request, Response

from chassis.telemetry.exposition import Exposition


def metrics_response(request: Request) -> Response:
    """In the format that the scraper asks for.

    The server sets the prefix of the names as `app.state.metric_prefix` (see chassis.web.app.Server).
    """
    exposition = Exposition(request.app.state.metric_prefix)
    content, media_type = exposition.expose(request.headers.get("accept", ""))
    return Response(content, headers={"Content-Type": media_type})
