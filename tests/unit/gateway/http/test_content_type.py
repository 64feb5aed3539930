"""The API accepts every spelling of the JSON content type, as the consumers of messages do."""

import json

import pytest

from chassis.messaging.identity import new_id
from tests.support.shops.gateway import ORDER, GatewayFixture


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"', ""]
)
async def test_json_in_any_equivalent_encoding_is_accepted(content_type: str) -> None:
    headers = {"Idempotency-Key": str(new_id())} | ({"Content-Type": content_type} if content_type else {})
    placed = (
        await GatewayFixture().program().post("/api/v1/orders", content=json.dumps(ORDER), headers=headers)
    )
    assert placed.status_code == 202, placed.text


async def test_a_cross_site_body_without_content_type_changes_nothing() -> None:
    """Browsers send such bodies for any page, so the gateway checks the origin."""
    gateway = GatewayFixture()
    browser = await gateway.logged_in()
    headers = {"Idempotency-Key": "x", "Sec-Fetch-Site": "cross-site"}
    assert (
        await browser.post("/api/v1/orders", content=json.dumps(ORDER), headers=headers)
    ).status_code == 403
