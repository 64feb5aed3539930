"""Which service returns which list: derived from the registry, and a route of that service."""

import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.runtime import Runtime
from chassis.web.app import create_app
from journey.admin.diagnosis.order_lists import _LISTS
from journey.admin.registry import service_of
from tests.support.applications import parts_of


@pytest.mark.parametrize("path", _LISTS)
async def test_each_list_is_a_route_of_its_service(path: str) -> None:
    name = service_of(_LISTS[path])
    parts = parts_of(name)
    assert parts.routes is not None
    runtime = Runtime(parts.service, MemoryBus(MemoryBroker(build([parts.service])), name), MemoryStore())
    assert path in create_app(runtime, parts.routes(runtime)).openapi()["paths"]


def test_an_unknown_kind_has_no_service() -> None:
    with pytest.raises(LookupError, match=r"journey\.admin\.registry"):
        service_of("parcels")
