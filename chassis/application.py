"""What a service runs: its settings, and what it builds from them.

A service declares one `Application` in its module `application`. Its process runs it on RabbitMQ and MongoDB;
tests and the shop in memory build the same parts on in-memory adapters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar

from chassis.core.definition import ServiceDefinition
from chassis.fault_switches import SwitchableFault
from chassis.runtime import Effects, Lifespan, Routes
from chassis.service_process import run
from chassis.settings import Settings, load_settings
from chassis.store.mongodb import MongoStore
from chassis.store.protocol import Store

S = TypeVar("S", bound=Settings)
OpenStore = Callable[[str], Store]
"""Name of a database -> its store. For databases that a service uses besides its own."""


@dataclass(frozen=True)
class ApplicationParts:
    """A service definition, its HTTP routes, what carries out its effects, and what runs beside it.

    `faults`: those that can be switched on where faults are allowed, besides the runtime's own.
    """

    service: ServiceDefinition
    routes: Routes | None = None
    effects: Effects | None = None
    lifespan: Lifespan | None = None
    faults: tuple[SwitchableFault, ...] = ()


@dataclass(frozen=True)
class Application(Generic[S]):
    """`build` makes the parts of a service from its settings."""

    settings: type[S]
    build: Callable[[S, OpenStore], ApplicationParts]

    def run(self) -> None:
        """Run the service as a process, with settings from the environment (chassis/service_process.py)."""
        settings: S = load_settings(self.settings)

        def open_store(database: str) -> Store:
            return MongoStore(settings.database_url, database, settings.mongo_driver)

        parts = self.build(settings, open_store)
        run(
            parts.service,
            settings,
            routes=parts.routes,
            effects=parts.effects,
            lifespan=parts.lifespan,
            faults=parts.faults,
        )


def application_of(package: str) -> Application[Any]:
    """The application of the service in this package. Raises LookupError if the package declares none."""
    module = f"{package}.application"
    try:
        found = getattr(import_module(module), "APPLICATION", None)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        found = None
    if not isinstance(found, Application):
        raise LookupError(
            f"{package}/application.py: write APPLICATION = Application(<settings>, build) in it"
        )
    return found
