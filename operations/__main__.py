"""`python -m operations`: run the staff pages as their own process."""

import asyncio
import signal

import uvloop

from chassis import telemetry
from chassis.settings import load_settings
from chassis.web import app as http
from operations.app import create_app
from operations.dependencies import OperationsDependencies
from operations.settings import OperationsSettings


def main() -> None:
    settings: OperationsSettings = load_settings(OperationsSettings)
    telemetry.configure(settings.log_level, settings.log_pretty, service="operations")
    uvloop.run(serve(settings))


async def serve(settings: OperationsSettings) -> None:
    """Serves until SIGTERM or SIGINT. Open streams end first, so that they do not delay the shutdown.

    Requests in flight get DRAIN_S to finish, as in the services.
    """
    deps = OperationsDependencies(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, deps.stopping.set)
    async with deps.open():
        server = http.Server(create_app(deps), settings)
        serving = asyncio.create_task(server.serve())
        telemetry.log.info("watching", service="operations")
        stopping = asyncio.create_task(deps.stopping.wait())
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        server.finish(settings.drain_s)
        await serving


if __name__ == "__main__":
    main()
