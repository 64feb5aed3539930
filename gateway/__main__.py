"""`python -m gateway`: runs the gateway as a process of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI

from chassis import telemetry
from chassis.runtime import Runtime
from chassis.service_process import run
from chassis.settings import load_settings
from chassis.web.app import Server
from gateway.app import create_app
from gateway.dependencies import GatewayDependencies
from gateway.http.rate_limit import RateLimiter, shared_counters
from gateway.orders import internal_api
from gateway.service import gateway_service
from gateway.settings import GatewaySettings


@asynccontextmanager
async def serve_public_api(
    settings: GatewaySettings, runtime: Runtime, *, share_rate_limits: bool = False
) -> AsyncIterator[None]:
    """Runs the public HTTP server while the broker and the database are connected.

    `share_rate_limits`: count the requests of all instances in MongoDB. A shop in memory has one instance.
    """
    async with AsyncExitStack() as stack:
        rate_limiter = RateLimiter()
        if share_rate_limits:
            database = settings.mongo_database or runtime.service.name
            counters = shared_counters(settings.database_url, database)
            rate_limiter = RateLimiter(await stack.enter_async_context(counters))
        deps = GatewayDependencies(runtime, settings, rate_limiter=rate_limiter)
        stack.push_async_callback(deps.close)
        await stack.enter_async_context(_serve(create_app(deps), settings, runtime))
        yield


@asynccontextmanager
async def _serve(app: FastAPI, settings: GatewaySettings, runtime: Runtime) -> AsyncIterator[None]:
    """Open streams end when the runtime begins to stop, so they do not keep the server running."""
    # Browsers reach it through a proxy with a public certificate; the services' certificate is not for them.
    public = settings.model_copy(
        update={
            "http_host": settings.public_host,
            "http_port": settings.public_port,
            "tls_certificate_file": None,
            "tls_key_file": None,
        }
    )
    server = Server(app, public)
    serving = asyncio.create_task(server.serve(), name="public server")
    try:
        while not server.started:  # uvicorn ends the process if the port is in use
            await asyncio.sleep(0.01)
        number = server.servers[0].sockets[0].getsockname()[1]
        telemetry.log.info("public server listening", host=settings.public_host, port=number)
        yield
    finally:
        runtime.stopping.set()  # if it could not start
        server.finish(runtime.left_s)
        await serving


def main() -> None:
    settings: GatewaySettings = load_settings(GatewaySettings)
    serve = partial(serve_public_api, settings, share_rate_limits=True)
    internal = partial(internal_api.routes, settings=settings)
    run(gateway_service(settings.ttl), settings, routes=internal, lifespan=serve)


if __name__ == "__main__":
    main()
