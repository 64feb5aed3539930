"""The public API conforms to its OpenAPI document, for guests and for logged-in users.

Runs in memory, with the real product_svc, inventory_svc and user_svc.
"""

import re
from typing import Any

import pytest
from fastapi import FastAPI

from gateway.live.sse import StreamTimings
from tests.support.openapi_checks import complaints
from tests.support.shops.gateway_with_services import GatewayWithServices

# An event stream has no end that a test could wait for.
SOON_OVER = StreamTimings(tick_s=0.01, ping_s=0.01, check_s=60, life_s=0.05)


# Requests that match the schema but are rejected: a key that was used for another order, an outdated
# If-Match, a quantity of 2.0, common passwords, names of several lines.
NOT_IN_A_SCHEMA = re.compile(
    r"(POST /api/v1/orders|(PUT|DELETE) /api/v1/basket/items/\{sku\}|POST /api/v1/users|PUT /api/v1/users/me"
    r"|PUT /api/v1/users/me/password|POST /api/v1/password-resets/confirmations|POST "
    r"/api/v1/users/me/addresses)"
    r": positive_data_acceptance"
)


async def gateway() -> GatewayWithServices:
    made = GatewayWithServices(public_url="")
    made.deps.live.timings = SOON_OVER
    return made


async def test_guest_responses_match_the_document() -> None:
    nothing((await gateway()).app, 4)


@pytest.mark.parametrize(
    "paths", ["/orders", "/basket", "/products|/categories", "/users|/proof|/sessions|/password"]
)
async def test_user_responses_match_the_document(paths: str) -> None:
    made = await gateway()
    ada = await made.user_app.logged_in_user()
    nothing(made.app, 6, headers={"Authorization": f"Bearer {ada.token}"}, paths=paths)


def nothing(app: FastAPI, examples: int, **asked: Any) -> None:
    found = [each for each in complaints(app, examples, **asked) if not NOT_IN_A_SCHEMA.match(each)]
    assert not found, "\n\n".join(found)
