"""The client of user_svc. It acts on behalf of a user and forwards the client's address."""

from collections.abc import Callable
from typing import Any

import httpx
from pydantic import ValidationError

from chassis.web import request_context
from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from contracts.http.users import Me
from gateway.auth.access_versions import AccessVersions
from gateway.auth.principal import Principal


class UserClient:
    """Returns the response of user_svc, whatever its status. Raises UpstreamUnavailable."""

    def __init__(
        self, users: UpstreamClient, service_token: Callable[[], str], versions: AccessVersions
    ) -> None:
        """`service_token`: called for each request, so that a new token counts from then on."""
        self._users = users
        self._service_token = service_token
        self._versions = versions

    async def request(
        self, method: str, path: str, json: Any = None, *, user: Principal | None = None
    ) -> httpx.Response:
        """`user`: on whose behalf; None for requests without a user, such as a login."""
        if user is not None and user.access_token is None:  # trusted while user_svc is unavailable
            raise UpstreamUnavailable(self._users.name)
        token = None if user is None else user.access_token
        # user_svc throttles logins by client address. The service token makes it trust the X-Client headers.
        headers = {
            "X-Client-Address": request_context.current().address,
            "X-Client-Name": request_context.current().client,
            "X-Service-Token": self._service_token(),
        }
        response = await self._users.request(method, path, json=json, headers=headers, token=token)
        await self._versions.learn(response)
        return response

    async def account(self, user: Principal) -> Me:
        """The user's account. Raises UpstreamUnavailable for every response that contains none."""
        response = await self.request("GET", "/users/me", user=user)
        try:
            if response.status_code != 200:
                raise UpstreamUnavailable(self._users.name)
            return Me.model_validate_json(response.content)
        except ValidationError:
            raise UpstreamUnavailable(self._users.name) from None
