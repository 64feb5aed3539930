"""The browser tests see every page: each route of a page has an entry in tests/browser/page_catalogue.py."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import pytest
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from tests.browser.page_catalogue import CataloguedPage, PageCatalogue
from tests.support.shops.browser import Person
from tests.support.shops.gateway import GatewayFixture
from tests.support.shops.operations import OperationsApp

ID = "0198c0de-0000-7000-8000-000000000001"
NO_PAGES = {
    "/openapi.json": "the description of the API",
    "/ops": "the proxy: operations renders the page",
    "/ops/{rest:path}": "the proxy: operations renders the pages",
    "/orders/{order}/live": "server-sent events, and the fragment of a page",
    "/pictures/{name}.svg": "an image",
    "/account/export": "a download of JSON",
}
NO_STAFF_PAGES = {
    "/healthz": "for the orchestrator",
    "/readyz": "for the orchestrator",
    "/metrics": "for Prometheus",
    "/ops/events": "server-sent events",
    "/ops/{path:path}": "every other path: 404",
}
NOT_FOUND = "/no/such/page"


def catalogue() -> PageCatalogue:
    """With any ids: the paths matter."""
    person = Person("Ada", "ada@example.org", "secret")
    orders = defaultdict(lambda: ID, confirmed=ID)
    group = "/ops/dead-letters/0123456789"
    corrections = {"applied": ID}
    return PageCatalogue(
        person, person, orders, corrections, group, f"{group}/letter?id=1", f"/ops/redrives/{ID}"
    )


def routes_in(routes: Iterable[BaseRoute]) -> Iterator[Route]:
    """The GET routes that are not part of the API, also of included routers."""
    for route in routes:
        if included := getattr(route, "original_router", None):
            yield from routes_in(included.routes)
        elif (
            isinstance(route, Route) and "GET" in (route.methods or ()) and not route.path.startswith("/api/")
        ):
            yield route


def route_of(path: str, routes: Iterable[Route]) -> str | None:
    """The path template of the route that responds; None without one."""
    scope: Scope = {"type": "http", "method": "GET", "path": path.partition("?")[0], "root_path": ""}
    return next((route.path for route in routes if route.matches(scope)[0] is Match.FULL), None)


def uncatalogued(
    routes: Iterable[Route], pages: Iterable[CataloguedPage], excepted: Iterable[str]
) -> set[str]:
    """The routes of pages without an entry."""
    listed = list(routes)
    return {route.path for route in listed} - {route_of(page.path, listed) for page in pages} - set(excepted)


@pytest.fixture
async def shop_routes() -> list[Route]:
    return list(routes_in(GatewayFixture().app.routes))


@pytest.fixture
async def staff_routes() -> list[Route]:
    return list(routes_in(OperationsApp().app.routes))


def test_each_page_of_the_shop_is_catalogued(shop_routes: list[Route]) -> None:
    assert len(shop_routes) > 20
    assert uncatalogued(shop_routes, catalogue().pages(), NO_PAGES) == set()
    assert NO_PAGES.keys() <= {route.path for route in shop_routes}, "an exception without a route"


def test_each_staff_page_is_catalogued(staff_routes: list[Route]) -> None:
    assert len(staff_routes) > 20
    assert uncatalogued(staff_routes, catalogue().pages(), NO_STAFF_PAGES) == set()
    assert NO_STAFF_PAGES.keys() <= {route.path for route in staff_routes}, "an exception without a route"


def test_each_entry_leads_to_a_page(shop_routes: list[Route], staff_routes: list[Route]) -> None:
    for page in catalogue().pages():
        is_staff_page = page.path.startswith("/ops")
        found = route_of(page.path, staff_routes if is_staff_page else shop_routes)
        excepted = NO_STAFF_PAGES if is_staff_page else NO_PAGES
        assert (found is None) == (page.path == NOT_FOUND) and found not in excepted, page


async def test_an_added_page_without_an_entry_is_found() -> None:
    async def page() -> Response:
        return Response()

    gateway, operations = GatewayFixture().app, OperationsApp().app
    gateway.add_api_route("/invented/{id}", page, include_in_schema=False)
    operations.add_api_route("/ops/invented", page)
    pages = catalogue().pages()
    assert uncatalogued(routes_in(gateway.routes), pages, NO_PAGES) == {"/invented/{id}"}
    assert uncatalogued(routes_in(operations.routes), pages, NO_STAFF_PAGES) == {"/ops/invented"}


@pytest.mark.parametrize("name", ["account", "ops-audit", "ops-job", "ops-payment", "problems"])
def test_a_removed_entry_is_found(name: str, shop_routes: list[Route], staff_routes: list[Route]) -> None:
    every = catalogue().pages()
    [removed] = [page for page in every if page.name == name]
    same = [page for page in every if page.path.rpartition("/")[2] == removed.path.rpartition("/")[2]]
    rest = [page for page in every if page not in same]
    routes = staff_routes if removed.who == "staff" else shop_routes
    excepted = NO_STAFF_PAGES if removed.who == "staff" else NO_PAGES
    assert route_of(removed.path, routes) in uncatalogued(routes, rest, excepted)
