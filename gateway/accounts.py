"""user_svc, as the door asks it: in the name of a visitor, and saying from which address they came."""

from typing import Any

import httpx

from gateway import arrival
from gateway.upstream import Away, Upstream
from gateway.visitor import Visitor

_TRUST_AGAIN_S = 5


class Accounts:
    """The answer is user_svc's own, whatever its status; raises Away."""

    def __init__(self, users: Upstream, service_token: str) -> None:
        self._users, self._service_token = users, service_token

    async def ask(
        self, method: str, path: str, json: Any = None, *, visitor: Visitor | None = None, token: str = ""
    ) -> httpx.Response:
        """`visitor`: who wants it; or `token`, their access token. Without either nobody does, as at a log-in."""
        if visitor is not None:
            if visitor.access_token is None:  # on trust: user_svc was away a moment ago
                raise Away(self._users.name, _TRUST_AGAIN_S)
            token = visitor.access_token
        # user_svc slows down guessing by address, and believes ours because of the token.
        headers = {"X-Client-Address": arrival.current().address, "X-Service-Token": self._service_token}
        return await self._users.ask(method, path, json=json, headers=headers, token=token or None)
