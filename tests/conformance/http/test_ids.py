"""An id has one spelling, in every message and every HTTP API, because keys,
logs and links compare ids as text.
"""

import json
import re
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest
from fastapi.routing import APIRoute
from hypothesis import Phase, find, settings

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.messaging.envelope import Malformed, read
from chassis.messaging.message import Message
from chassis.runtime import Runtime
from chassis.web.app import create_app
from contracts.catalog import CATALOG
from journey.admin.registry import SERVICES, shop_topology
from tests.support.message_strategies import messages
from tests.support.shops.gateway import GatewayFixture
from user_svc.http import sessions_api as user_api

ID = "0198c0de-58a1-7a0b-9d0b-0d0e5a0f7a11"
OTHER_SPELLINGS = {
    "nil": str(UUID(int=0)),
    "braces": f"{{{ID}}}",
    "urn": f"urn:uuid:{ID}",
    "upper case": ID.upper(),
    "no hyphens": ID.replace("-", ""),
    "a line break": f"{ID}\n",
    "other digits": ID.replace("1", "\u0661"),
}


def id_fields(contract: type[Message]) -> list[str]:
    properties = contract.model_json_schema()["properties"]
    return [name for name, schema in properties.items() if schema.get("format") == "uuid"]


FIELDS = [(contract, field) for contract in CATALOG.values() for field in id_fields(contract)]


def test_id_fields_are_found() -> None:
    assert len(FIELDS) > 30


@pytest.mark.parametrize("spelling", OTHER_SPELLINGS.values(), ids=OTHER_SPELLINGS)
@pytest.mark.parametrize(("contract", "field"), FIELDS, ids=[f"{c.TYPE} {f}" for c, f in FIELDS])
def test_an_id_in_non_canonical_form_is_rejected_by_name(
    contract: type[Message], field: str, spelling: str
) -> None:
    body = json.loads(EXAMPLES[contract.TYPE])
    assert read(contract, json.dumps(body | {field: ID}).encode())
    with pytest.raises(Malformed, match=rf"{re.escape(contract.TYPE)}: {field}: "):
        read(contract, json.dumps(body | {field: spelling}).encode())


_ANY = settings(max_examples=1, phases=[Phase.generate], database=None)
EXAMPLES = {
    type_: find(messages(contract), lambda _: True, settings=_ANY).model_dump_json()
    for type_, contract in CATALOG.items()
}


@pytest.mark.parametrize("spelling", OTHER_SPELLINGS.values(), ids=OTHER_SPELLINGS)
@pytest.mark.parametrize("path", ["/orders/{}", "/orders?after={}", "/orders?customer_id={}"])
async def test_a_service_rejects_an_id_in_non_canonical_form(path: str, spelling: str) -> None:
    from order_svc.api import routes

    bus = MemoryBus(MemoryBroker(shop_topology()), "order_svc")
    runtime: Any = Runtime(SERVICES["order_svc"](), bus, MemoryStore())
    transport = httpx.ASGITransport(create_app(runtime, routes(runtime)))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        assert (await http.get(path.format(ID))).status_code in (200, 404)
        assert (await http.get(path.format(quote(spelling)))).status_code in (404, 422)


async def test_every_path_or_query_id_has_the_canonical_type() -> None:
    """The type rejects other spellings; a route that declares a bare UUID would accept all of them."""
    found = 0
    for route in _all_routes():
        for parameter in (*route.dependant.path_params, *route.dependant.query_params):
            schema = str(parameter._type_adapter.json_schema())
            if "uuid" in schema:
                found += 1
                urn = f"urn:uuid:{ID}"
                with pytest.raises(ValueError, match="lower-case"):
                    parameter._type_adapter.validate_python([urn] if "array" in schema else urn)
    assert found >= 10


def _all_routes() -> list[APIRoute]:
    from inventory_svc import api as inventory_api
    from notification_svc import api as notification_api
    from order_svc import api as order_api
    from payment_svc import api as payment_api

    gateway = GatewayFixture()
    routers: list[Any] = [gateway.app]
    for api in (inventory_api, order_api, payment_api, notification_api):
        routers.append(api.routes(gateway.runtime))
    routers.append(user_api.routes(gateway.runtime, service_tokens=lambda: ["a token of a test"]))
    return [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
