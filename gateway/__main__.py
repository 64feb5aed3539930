"""`python -m gateway`: run the gateway as a process of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any

from chassis import telemetry
from chassis.http import Server
from chassis.runtime import Runtime, run
from chassis.service import Perform
from chassis.settings import load_settings
from gateway.door import door
from gateway.house import House
from gateway.service import gateway_service
from gateway.settings import GatewaySettings


@asynccontextmanager
async def open_to_the_public(settings: GatewaySettings, runtime: Runtime) -> AsyncIterator[Perform]:
    """The door is open while broker and database are there, and closes before they go."""
    house = House(runtime, settings)
    public = settings.model_copy(update={"http_host": settings.public_host, "http_port": settings.public_port})
    server = Server(door(house), public)
    serving = asyncio.create_task(server.serve(), name="door")
    try:
        while not server.started:  # a port that is taken ends the process, by uvicorn's own exit
            await asyncio.sleep(0.01)
        number = server.servers[0].sockets[0].getsockname()[1]
        telemetry.log.info("the door is open", host=settings.public_host, port=number)
        yield _no_questions
    finally:
        house.stopping.set()
        server.should_exit = True
        await serving
        await house.close()


async def _no_questions(question: Any, first_asked: datetime) -> Any:
    raise AssertionError(f"the gateway decides nothing that would need {question!r}")


def main() -> None:
    settings: GatewaySettings = load_settings(GatewaySettings)
    run(gateway_service(settings.kept_for), settings, effects=partial(open_to_the_public, settings))


if __name__ == "__main__":
    main()
