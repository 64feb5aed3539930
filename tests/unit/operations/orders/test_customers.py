"""Staff find the orders of a customer by e-mail address, which operations keeps nowhere."""

import json

import httpx
import pytest
import structlog

from chassis import telemetry
from contracts.roles import Role
from tests.support.shops.operations import ADA, OperationsApp, jwks, token
from tests.unit.operations.orders.test_order_list import listed, with_orders

PATH = "/ops/customers"
EMAIL = "customer.of.the.shop@example.org"


class UserSvc:
    """Responds to look-ups like user_svc. `requests`: the look-ups."""

    def __init__(self, operations: OperationsApp) -> None:
        self.requests: list[httpx.Request] = []
        self.response = httpx.Response(200, json={"user_id": str(ADA)})
        operations.services.apps["user_svc"] = httpx.MockTransport(self._respond)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/.well-known/jwks.json":
            return httpx.Response(200, json=jwks())
        if request.url.path == "/users/me":
            return httpx.Response(200, json={"user_id": str(ADA), "roles": ["customer", "staff"]})
        if request.method == "GET":  # the poller
            return httpx.Response(200, json=[])
        self.requests.append(request)
        return self.response


@pytest.fixture
def user_svc(operations_app: OperationsApp) -> UserSvc:
    return UserSvc(operations_app)


async def test_a_customers_orders_are_found_by_address(
    operations_app: OperationsApp, user_svc: UserSvc
) -> None:
    ids = [str(order_id) for order_id in await with_orders(operations_app)]
    assert f'href="{PATH}"' in await operations_app.page("/ops/orders")
    assert 'type="email"' in await operations_app.page(PATH)
    compact = token(Role.STAFF)
    operations_app.http.headers["Authorization"] = f"Bearer {compact}"
    response = await operations_app.send(PATH, email=EMAIL)
    assert response.headers["location"] == f"/ops/orders?customer={ADA}"
    assert listed(await operations_app.page(response.headers["location"])) == ids[::-1]
    [request] = user_svc.requests
    assert (request.method, str(request.url)) == ("POST", "http://user_svc/customer-lookups")
    assert json.loads(request.content) == {"email": EMAIL}
    assert request.headers["Authorization"] == f"Bearer {compact}", "the staff member's own token"
    assert "X-Service-Token" not in request.headers


async def test_the_audit_list_has_each_look_up_without_the_address(
    operations_app: OperationsApp, user_svc: UserSvc
) -> None:
    await operations_app.send(PATH, email=EMAIL)
    user_svc.response = httpx.Response(200, json={"user_id": None})
    await operations_app.send(PATH, 422, email=EMAIL)
    found, nothing = operations_app.broker.entries
    assert (found.action, found.by, found.type, found.service) == ("lookup", str(ADA), "customer", "user_svc")
    assert (found.reason, nothing.reason) == (f"found {ADA}", "no customer found")
    assert EMAIL not in repr(operations_app.broker.entries)
    page = await operations_app.page("/ops/audit")
    assert "lookup" in page and "no customer found" in page and EMAIL not in page


async def test_too_many_look_ups_name_the_waiting_time(
    operations_app: OperationsApp, user_svc: UserSvc
) -> None:
    user_svc.response = httpx.Response(429, headers={"Retry-After": "7"})
    response = await operations_app.send(PATH, 429, email=EMAIL)
    assert "Too many look-ups. Wait 7 s" in response.text
    assert operations_app.broker.entries == [], "nothing was shown"


async def test_without_the_audit_log_no_result_is_shown(
    operations_app: OperationsApp, user_svc: UserSvc
) -> None:
    operations_app.broker.away = True
    response = await operations_app.send(PATH, 503, email=EMAIL)
    assert "the audit log cannot be written" in response.text and str(ADA) not in response.text


async def test_an_unknown_address_names_the_field_and_keeps_the_input(
    operations_app: OperationsApp, user_svc: UserSvc
) -> None:
    user_svc.response = httpx.Response(200, json={"user_id": None})
    page = (await operations_app.send(PATH, 422, email=EMAIL)).text
    assert "No customer has this address" in page and f'value="{EMAIL}"' in page
    assert '<a href="#email">' in page


@pytest.mark.parametrize("email", ["", "ada", "a" * 300])
async def test_what_is_no_address_names_the_field(
    operations_app: OperationsApp, user_svc: UserSvc, email: str
) -> None:
    user_svc.response = httpx.Response(422, json={"detail": "email: this is not an e-mail address"})
    page = (await operations_app.send(PATH, 422, email=email)).text
    assert "Enter an e-mail address" in page and '<a href="#email">' in page
    assert operations_app.broker.entries == []


@pytest.mark.parametrize("response", [httpx.Response(404), httpx.Response(200, content=b"<html>")])
async def test_a_user_svc_without_the_look_up_is_unavailable(
    operations_app: OperationsApp, user_svc: UserSvc, response: httpx.Response
) -> None:
    """One of an earlier release: it is not the same as an address without a customer."""
    user_svc.response = response
    page = (await operations_app.send(PATH, 503, email=EMAIL)).text
    assert "user_svc does not respond" in page and operations_app.broker.entries == []


@pytest.mark.parametrize("status", [401, 403])
async def test_a_role_that_user_svc_refuses_shows_nothing(
    operations_app: OperationsApp, user_svc: UserSvc, status: int
) -> None:
    user_svc.response = httpx.Response(status)
    await operations_app.send(PATH, 404, email=EMAIL)
    assert operations_app.broker.entries == []


async def test_the_log_of_operations_has_no_address(
    operations_app: OperationsApp, user_svc: UserSvc, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = structlog.testing.CapturingLogger()
    monkeypatch.setattr(telemetry, "log", log)
    await operations_app.send(PATH, email=EMAIL)
    assert EMAIL not in repr(log.calls)
    metrics = (await operations_app.http.get("/metrics")).text
    assert 'http_route="/ops/customers"' in metrics and "example.org" not in metrics


async def test_customers_have_no_such_page(operations_app: OperationsApp, user_svc: UserSvc) -> None:
    stranger = operations_app.client(Authorization=f"Bearer {token(Role.CUSTOMER)}")
    assert (await stranger.post(PATH, data={"email": EMAIL})).status_code == 404
    assert user_svc.requests == []
