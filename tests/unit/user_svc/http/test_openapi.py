"""user_svc conforms to its OpenAPI document for arbitrary requests, anonymous and logged in."""

import re

import httpx
from fastapi import FastAPI

from chassis.bus.memory import MemoryStore
from tests.support.openapi_checks import complaints
from tests.support.shops.user import UserApp
from user_svc.http.account_api import ME
from user_svc.settings import AuthPolicy


def app_of(user_app: UserApp) -> FastAPI:
    user_app.runtime.unready = lambda: ""  # type: ignore[method-assign]  # a 503 would hide the documented response
    transport = user_app.http._transport
    assert isinstance(transport, httpx.ASGITransport)
    app = transport.app
    assert isinstance(app, FastAPI)
    return app


# Input that fits the schema but is rejected: common passwords, and names of several lines.
NOT_IN_A_SCHEMA = re.compile(
    r"(POST /users|PUT /users/me|POST /users/me/addresses): positive_data_acceptance"
)


async def test_anonymous_responses_match_the_openapi_document() -> None:
    user_app = UserApp(MemoryStore())
    user_app.http = user_app.new_client(policy=AuthPolicy(tries_per_minute=1_000_000))
    found = [each for each in complaints(app_of(user_app)) if not NOT_IN_A_SCHEMA.match(each)]
    assert not found, "\n\n".join(found)


async def test_responses_for_logged_in_users_match_the_openapi_document() -> None:
    user_app = UserApp(MemoryStore())
    user_app.http = user_app.new_client(policy=AuthPolicy(tries_per_minute=1_000_000))
    ada = await user_app.logged_in_user()
    reported = complaints(app_of(user_app), headers={"Authorization": f"Bearer {ada.token}"}, paths=f"^{ME}")
    found = [each for each in reported if not NOT_IN_A_SCHEMA.match(each)]
    assert not found, "\n\n".join(found)


async def test_allow_names_all_methods_of_a_path(user_app: UserApp) -> None:
    for path, methods in (
        ("/users/me", "GET, HEAD, PUT"),
        ("/sessions", "DELETE, POST"),
        ("/sessions/refresh", "POST"),
    ):
        response = await user_app.http.patch(path)
        assert (response.status_code, response.headers["allow"]) == (405, methods)
        assert response.headers["content-type"] == "application/problem+json"
