"""How requests to the management API log in."""

from collections.abc import Callable, Generator
from urllib.parse import unquote, urlsplit

import httpx


class ManagementLogin(httpx.Auth):
    """HTTP Basic authentication (RFC 7617) with the credentials that the URL has at each request."""

    def __init__(self, management_url: str | Callable[[], str]) -> None:
        self._url = management_url

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        url = self._url if isinstance(self._url, str) else self._url()
        yield from httpx.BasicAuth(*credentials_of(url)).auth_flow(request)


def credentials_of(url: str) -> tuple[str, str]:
    """User and password of a URL."""
    parts = urlsplit(url)
    return unquote(parts.username or ""), unquote(parts.password or "")
