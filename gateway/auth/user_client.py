"""The client of user_svc. It acts on behalf of a user and forwards the client's address."""

from typing import Any

import httpx

from chassis.web import request_context
from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from gateway.auth.access_versions import AccessVersions
from gateway.auth.principal import Principal


class UserClient:
    """Returns the response of user_svc, whatever its status. Raises UpstreamUnavailable."""

    def __init__(self, users: UpstreamClient, service_token: str, versions: AccessVersions) -> None:
        self._users = users
        self._service_token = service_token
        self._versions = versions

    async def request(
        self, method: str, path: str, json: Any = None, *, user: Principal | None = None
    ) -> httpx.Response:
        """`user`: on whose behalf; None for requests without a user, such as a log-in."""
        if user is not None and user.access_token is None:  # trusted while user_svc is unavailable
            raise UpstreamUnavailable(self._users.name)
        token = None if user is None else user.access_token
        # user_svc throttles log-ins by client address. The service token makes it trust X-Client-Address.
        headers = {
            "X-Client-Address": request_context.current().address,
            "X-Service-Token": self._service_token,
        }
        response = await self._users.request(method, path, json=json, headers=headers, token=token)
        await self._versions.learn(response)
        return response
