"""user_svc, as the door asks it: in the name of a visitor, and saying from which address they came."""

from typing import Any

import httpx

from gateway import arrival
from gateway.access_versions import AccessVersions
from gateway.upstream import Away, Upstream
from gateway.visitor import Visitor


class Accounts:
    """The answer is user_svc's own, whatever its status; raises Away."""

    def __init__(self, users: Upstream, service_token: str, versions: AccessVersions) -> None:
        self._users, self._service_token, self._versions = users, service_token, versions

    async def ask(self, method: str, path: str, json: Any = None, *, visitor: Visitor | None = None) -> httpx.Response:
        """`visitor`: who wants it; without one nobody does, as at a log-in."""
        if visitor is not None and visitor.access_token is None:  # on trust: user_svc was away a moment ago
            raise Away(self._users.name)
        token = None if visitor is None else visitor.access_token
        # user_svc slows down guessing by address, and believes ours because of the token.
        headers = {"X-Client-Address": arrival.current().address, "X-Service-Token": self._service_token}
        answer = await self._users.ask(method, path, json=json, headers=headers, token=token)
        await self._versions.learn(answer)
        return answer
