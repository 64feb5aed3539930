"""The 503 of the gateway says whether its database is unavailable or other requests write the same data."""

from tests.support.contended_store import ContendedStore
from tests.support.shops.gateway import GatewayFixture, place_order


async def test_write_conflicts_are_not_reported_as_an_outage() -> None:
    store = ContendedStore()
    gateway = GatewayFixture(store=store)
    ada = gateway.program()
    contended = await place_order(ada, "k1")
    store.away = True
    away = await place_order(ada, "k1")
    for response in (contended, away):
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "2"
        assert response.json()["type"] == "/problems/away"
    assert contended.json()["detail"] == "other requests change the same data at the same time"
    assert away.json()["detail"] == "the gateway's database is unavailable"
