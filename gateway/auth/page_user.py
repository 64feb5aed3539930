"""The user of a page that is for logged-in users only."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request

from gateway.auth.dependencies import AuthDependencies
from gateway.auth.principal import Principal
from gateway.web.templating import LoginRequired


def require_login(deps: AuthDependencies, then: str = "") -> Callable[[Request], Awaitable[Principal]]:
    """A FastAPI dependency that returns the user and redirects guests to the login page.

    `then`: the path to return to after the login, with path parameters such as `/orders/{order}`. Routes
    that change something need it; by default it is the path of the request.
    """

    async def page_user(request: Request) -> Principal:
        user = await deps.current_user(request)
        if user is None:
            raise LoginRequired(then.format(**request.path_params) or request.url.path)
        return user

    return page_user
