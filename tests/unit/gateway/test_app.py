"""The gateway's application as a whole."""

from fastapi.routing import APIRoute

from tests.support.shops.gateway import GatewayFixture

# Problem pages, pictures and the API description: the same for all users, and not rate-limited.
FOR_EVERYBODY = {"/problems", "/problems/{name}", "/pictures/{name}.svg"}


async def test_who_asks_is_found_out_and_counted_before_every_route_but_few() -> None:
    gateway = GatewayFixture()
    routes = [route for route in gateway.app.routes if isinstance(route, APIRoute)]
    asking = {
        route.path
        for route in routes
        if route.dependencies and route.dependencies[0].dependency == gateway.deps.current_user
    }
    assert {route.path for route in routes} - asking == FOR_EVERYBODY
    assert len(asking) > 40
