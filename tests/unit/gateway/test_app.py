"""The gateway's application as a whole."""

from fastapi.routing import APIRoute

from tests.support.shops.gateway import GatewayFixture

# Problem pages, images and the API description: the same for all users, and not rate-limited.
FOR_EVERYBODY = {"/problems", "/problems/{name}", "/pictures/{name}.svg"}


async def test_nearly_every_route_authenticates_and_counts_first() -> None:
    gateway = GatewayFixture()
    routes = [route for route in gateway.app.routes if isinstance(route, APIRoute)]
    asking = {
        route.path
        for route in routes
        if route.dependencies and route.dependencies[0].dependency == gateway.deps.current_user
    }
    assert {route.path for route in routes} - asking == FOR_EVERYBODY
    assert len(asking) > 40
