"""Every service responds as its OpenAPI document says, to any request: no 500, and no undocumented response.

Each runs in memory, with some documents in its collections.
"""

from typing import Any

import pytest
from fastapi import FastAPI

from chassis.bus.memory import MemoryBroker, MemoryBus
from chassis.bus.topology import build
from chassis.core.codec import Codec
from chassis.runtime import Runtime
from chassis.store.memory import MemoryStore
from chassis.store.protocol import Change
from chassis.web.app import create_app
from journey.admin.registry import SERVICES
from tests.support.applications import parts_of
from tests.support.decision_table_fixtures import DECISION_TABLES
from tests.support.messages import KETTLE, PRICE_BOOK, SHELVES
from tests.support.openapi_checks import complaints
from tests.support.source_files import ROOT

# Services whose API needs a session, and the tests that do the same for them.
ELSEWHERE = {"user_svc": "tests/unit/user_svc/http/test_openapi.py"}
# Documents besides those of the decision tables: service -> (kind, key) -> state.
BESIDE: dict[str, dict[tuple[str, str], Any]] = {
    "inventory_svc": {("shelves", KETTLE): SHELVES[KETTLE]},
    "order_svc": {("prices", KETTLE): PRICE_BOOK[KETTLE]},
}


def documents_of(name: str) -> dict[tuple[str, str], Any]:
    """(kind, key) -> state: of each decision table, one aggregate for each key, in its last state."""
    found: dict[tuple[str, str], Any] = {}
    for decision_table in DECISION_TABLES:
        if decision_table.service().name == name:
            for state, history in decision_table.histories.items():
                if history:
                    found[decision_table.kind, decision_table.aggregate.key(history[0])] = (
                        decision_table.states[state]
                    )
    return found | BESIDE.get(name, {})


async def app_of(name: str) -> FastAPI:
    parts, documents = parts_of(name), documents_of(name)
    assert parts.routes is not None
    assert documents, f"{name} has no decision table, and therefore no documents"
    runtime = Runtime(parts.service, MemoryBus(MemoryBroker(build([parts.service])), name), MemoryStore())
    for (kind, key), state in documents.items():
        loaded = (await runtime.store.load(kind, [key]))[key]
        assert await runtime.store.save([Change(loaded, Codec(type(state)).dump(state))])
    runtime.unready = lambda: ""  # type: ignore[method-assign]  # a 503 for a full queue would test nothing
    return create_app(runtime, parts.routes(runtime))


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in ELSEWHERE])
async def test_a_service_conforms_to_its_openapi_document(name: str) -> None:
    found = list(complaints(await app_of(name)))
    assert not found, "\n\n".join(found)


def test_services_that_are_tested_elsewhere_are() -> None:
    for name, file in ELSEWHERE.items():
        assert name in SERVICES and "complaints(" in (ROOT / file).read_text()


async def test_an_undocumented_response_is_noticed() -> None:
    """Otherwise the test above would pass because it checks nothing."""
    app = await app_of("product_svc")

    @app.get("/undocumented")
    async def undocumented(number: int) -> str:
        raise ZeroDivisionError if number == 0 else KeyError

    found = list(complaints(app))
    assert found and all("/undocumented" in complaint for complaint in found)
