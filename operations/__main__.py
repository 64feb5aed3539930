"""`python -m operations`: run the operations pages as a process of its own."""

import asyncio
import signal

import uvloop

from chassis import http, telemetry
from chassis.settings import load_settings
from operations.app import application
from operations.desk import Desk
from operations.settings import OperationsSettings


def main() -> None:
    settings: OperationsSettings = load_settings(OperationsSettings)
    telemetry.configure(settings.log_level, settings.log_pretty)
    uvloop.run(serve(settings))


async def serve(settings: OperationsSettings) -> None:
    """Until SIGTERM or SIGINT. Open streams end first, so that the stop waits for nobody."""
    desk = Desk(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, desk.stopping.set)
    async with desk.open():
        server = http.Server(application(desk), settings)
        serving = asyncio.create_task(server.serve())
        telemetry.log.info("watching", service="operations")
        stopping = asyncio.create_task(desk.stopping.wait())
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        server.should_exit = True
        await serving


if __name__ == "__main__":
    main()
