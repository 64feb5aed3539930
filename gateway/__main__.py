"""`python -m gateway`: runs the gateway as a process of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any

from chassis import telemetry
from chassis.core.definition import EffectHandler
from chassis.runtime import Runtime, run
from chassis.settings import load_settings
from chassis.web.app import Server
from gateway.app import create_app
from gateway.dependencies import GatewayDependencies
from gateway.service import gateway_service
from gateway.settings import GatewaySettings


@asynccontextmanager
async def serve_public_api(settings: GatewaySettings, runtime: Runtime) -> AsyncIterator[EffectHandler]:
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
        yield _no_effects
    finally:
        deps.stopping.set()
        server.should_exit = True
        await serving
        await deps.close()


async def _no_effects(question: Any, first_asked: datetime) -> Any:
    raise AssertionError(f"the gateway's deciders request no effects, but one requested {question!r}")


def main() -> None:
    settings: GatewaySettings = load_settings(GatewaySettings)
    run(gateway_service(settings.ttl), settings, effects=partial(serve_public_api, settings))


if __name__ == "__main__":
    main()
