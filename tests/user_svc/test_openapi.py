"""user_svc answers as its OpenAPI document says, whatever it is asked, by strangers and by somebody logged in."""

import re

import httpx
from fastapi import FastAPI

from chassis.memory import MemoryStore
from tests.openapi_checks import complaints
from tests.user_svc.house import House
from user_svc.account_api import ME
from user_svc.settings import Terms


def app_of(house: House) -> FastAPI:
    house.runtime.unready = lambda: ""  # type: ignore[method-assign]  # a 503 at its door would be no news
    transport = house.http._transport
    assert isinstance(transport, httpx.ASGITransport)
    app = transport.app
    assert isinstance(app, FastAPI)
    return app


# What fits the schema and is refused all the same: passwords that everybody tries first, names of several lines.
NOT_IN_A_SCHEMA = re.compile(r"(POST /users|PUT /users/me|POST /users/me/addresses): positive_data_acceptance")


async def test_it_answers_strangers_as_its_document_says() -> None:
    house = House(MemoryStore())
    house.http = house.another_door(terms=Terms(tries_per_minute=1_000_000))
    found = [each for each in complaints(app_of(house)) if not NOT_IN_A_SCHEMA.match(each)]
    assert not found, "\n\n".join(found)


async def test_it_answers_somebody_who_is_logged_in_as_its_document_says() -> None:
    house = House(MemoryStore())
    house.http = house.another_door(terms=Terms(tries_per_minute=1_000_000))
    ada = await house.moved_in()
    told = complaints(app_of(house), headers={"Authorization": f"Bearer {ada.token}"}, paths=f"^{ME}")
    found = [each for each in told if not NOT_IN_A_SCHEMA.match(each)]
    assert not found, "\n\n".join(found)


async def test_it_names_all_methods_of_a_path(house: House) -> None:
    for path, methods in (
        ("/users/me", "GET, HEAD, PUT"),
        ("/sessions", "DELETE, POST"),
        ("/sessions/refresh", "POST"),
    ):
        answer = await house.http.patch(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)
        assert answer.headers["content-type"] == "application/problem+json"
