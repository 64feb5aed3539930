"""What the manifests need to know about each program: from the registry, its settings and compose.yaml."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from chassis.application import application_of
from chassis.core.definition import ServiceDefinition
from chassis.messaging.partitions import input_queue_of, partition_queues
from chassis.settings import Settings
from gateway.settings import GatewaySettings
from journey.admin.registry import CONSUMING_SERVICES, WEB_PROGRAMS
from operations.settings import OperationsSettings
from tests.support.source_files import ROOT

_URL = "_url"
_UNITS = {"k": "Ki", "m": "Mi", "g": "Gi"}
_WEB_SETTINGS: dict[str, type[Settings]] = {"gateway": GatewaySettings, "operations": OperationsSettings}


@dataclass(frozen=True)
class Program:
    """A process of the shop.

    `definition`: None for a program without queues. `calls`: the programs to which it sends HTTP requests.
    `image`: the name of its image in compose.yaml. `memory`: its limit there, as Kubernetes spells it.
    """

    name: str
    settings: type[Settings]
    definition: ServiceDefinition | None
    calls: tuple[str, ...]
    image: str
    memory: str

    @property
    def dns(self) -> str:
        return dns_name(self.name)

    @property
    def fields(self) -> frozenset[str]:
        """The names of its settings."""
        return frozenset(self.settings.model_fields)

    @property
    def variable_of_url(self) -> Mapping[str, str]:
        """Called program -> the environment variable that holds its URL."""
        return {name: f"{name}{_URL}".upper() for name in self.calls}

    @property
    def sends_token(self) -> bool:
        """Whether it needs the token by which services authenticate to each other."""
        return "service_token_file" in self.fields

    @property
    def queues(self) -> dict[str, int]:
        """The queues that it consumes, and how many deliveries one instance takes at once from each."""
        if self.definition is None:
            return {}
        return {
            self.definition.events_queue: self.definition.prefetch_events,
            self.definition.commands_queue: self.definition.prefetch_commands,
        }

    def partitions(self, number: int) -> dict[str, int]:
        """Like `queues`, with so many partitions of each, then the queues of added messages.

        An instance divides its prefetch among the partitions; a queue of added messages gets as much as one.
        """
        share = {queue: math.ceil(prefetch / number) for queue, prefetch in self.queues.items()}
        added = self.definition.added_queues if self.definition else ()
        return {
            partition: share[queue] for queue in self.queues for partition in partition_queues(queue, number)
        } | {queue: share[input_queue_of(queue)] for queue in added}

    @property
    def has_deadlines(self) -> bool:
        """Whether it sends commands to itself at certain times, for which an instance must run."""
        return self.definition is not None and any(each.deadline for each in self.definition.aggregates)


def dns_name(name: str) -> str:
    """`order-svc` for `order_svc`: names of Kubernetes' objects contain no underscore (RFC 1123)."""
    return name.replace("_", "-")


@cache
def compose() -> Mapping[str, Any]:
    """The services of compose.yaml, with anchors and merge keys resolved."""
    services: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return services


@cache
def programs() -> tuple[Program, ...]:
    """All services of the registry, then the web programs without queues."""
    names = (*CONSUMING_SERVICES, *(name for name in WEB_PROGRAMS if name not in CONSUMING_SERVICES))
    return tuple(_program(name, names) for name in names)


def callers(name: str) -> tuple[str, ...]:
    """The programs that send HTTP requests to this one."""
    return tuple(each.name for each in programs() if name in each.calls)


def may_sleep(program: Program) -> bool:
    """Whether it may have no instance while its queues are empty.

    Nothing may wait for its clock, and no program of the shop except operations may need its API. operations
    shows such a service as unavailable.
    """
    return (
        program.name not in WEB_PROGRAMS
        and not program.has_deadlines
        and callers(program.name) == ("operations",)
    )


def _program(name: str, names: tuple[str, ...]) -> Program:
    settings = _WEB_SETTINGS[name] if name in _WEB_SETTINGS else application_of(name).settings
    factory = CONSUMING_SERVICES.get(name)
    in_compose = compose()[name]
    return Program(
        name=name,
        settings=settings,
        definition=factory() if factory else None,
        calls=tuple(each for each in names if f"{each}{_URL}" in settings.model_fields),
        image=in_compose["image"].partition(":")[0],
        memory=_memory(in_compose["mem_limit"]),
    )


def _memory(limit: str) -> str:
    """`256Mi` for compose's `256m`."""
    found = re.fullmatch(r"(\d+)([kmg])b?", limit)
    if found is None:
        raise ValueError(f"compose.yaml: mem_limit {limit!r} is not a number with the unit k, m or g")
    return found[1] + _UNITS[found[2]]
