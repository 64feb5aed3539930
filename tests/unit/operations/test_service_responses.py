"""A service that violates its documented response is shown as unavailable, and never causes a 500."""

import httpx
import pytest

from operations.dead_letters.jobs import _handled_ids
from tests.support.shops.operations import OperationsApp

ODD = [
    b"",
    b"<html>Bad gateway</html>",
    b"[]",
    b"null",
    b"17",
    b"{}",
    b'{"items": [{}], "next": null}',
    b"\xff",
    b"[" * 9_000,
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: str(odd[:20]))
@pytest.mark.parametrize(
    ("service", "path", "status"),
    [
        ("order_svc", "/ops/orders", 200),
        ("inventory_svc", "/ops/stock", 200),
        ("product_svc", "/ops/catalogue", 200),
        ("product_svc", "/ops/catalogue/articles/KETTLE-BLUE", 503),
    ],
)
async def test_an_invalid_response_counts_as_unavailable(
    operations_app: OperationsApp, service: str, path: str, status: int, odd: bytes
) -> None:
    operations_app.services.odd[service] = odd
    page = await operations_app.page(path, status)
    assert f"{service} does not respond" in page


@pytest.mark.parametrize("odd", [each for each in ODD if each != b"[]"], ids=lambda odd: str(odd[:20]))
def test_a_history_of_another_shape_shows_nothing_as_handled(odd: bytes) -> None:
    assert _handled_ids(httpx.Response(200, content=odd)) == set()
    assert _handled_ids(httpx.Response(200, json=[{"message_id": "m-1", "type": "x"}])) == {"m-1"}
