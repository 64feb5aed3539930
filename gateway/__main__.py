"""`python -m gateway`: runs the gateway as a process of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from chassis import telemetry
from chassis.runtime import Runtime, run
from chassis.settings import load_settings
from chassis.web.app import Server
from gateway.app import create_app
from gateway.dependencies import GatewayDependencies
from gateway.service import gateway_service
from gateway.settings import GatewaySettings


@asynccontextmanager
async def serve_public_api(settings: GatewaySettings, runtime: Runtime) -> AsyncIterator[None]:
    """Runs the public HTTP server while the broker and the database are connected."""
    deps = GatewayDependencies(runtime, settings)
    public = settings.model_copy(
        update={"http_host": settings.public_host, "http_port": settings.public_port}
    )
    server = Server(create_app(deps), public)
    serving = asyncio.create_task(server.serve(), name="door")
    try:
        while not server.started:  # uvicorn ends the process if the port is in use
            await asyncio.sleep(0.01)
        number = server.servers[0].sockets[0].getsockname()[1]
        telemetry.log.info("public server listening", host=settings.public_host, port=number)
        yield
    finally:
        deps.stopping.set()
        server.should_exit = True
        await serving
        await deps.close()


def main() -> None:
    settings: GatewaySettings = load_settings(GatewaySettings)
    run(gateway_service(settings.ttl), settings, lifespan=partial(serve_public_api, settings))


if __name__ == "__main__":
    main()
