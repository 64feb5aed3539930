"""The cookies of the shop.

With the `__Host-` prefix browsers accept them over https only, for one host and path `/`.

Names without the prefix are needed only if the shop runs over plain http on a host other than localhost.
"""

from dataclasses import dataclass
from datetime import datetime

from starlette.requests import HTTPConnection
from starlette.responses import Response


@dataclass(frozen=True)
class Cookies:
    """`session`: for a logged-in user. `basket`: for a guest's basket. Both values are random."""

    insecure: bool = False

    @property
    def session(self) -> str:
        return "sid" if self.insecure else "__Host-sid"

    @property
    def basket(self) -> str:
        return "basket" if self.insecure else "__Host-basket"

    def has_shop_cookie(self, request: HTTPConnection) -> bool:
        """Whether a browser sent a cookie of ours, valid or not: then the cross-site check applies."""
        return self.session in request.cookies or self.basket in request.cookies

    def set(self, response: Response, name: str, value: str, until: datetime) -> None:
        response.set_cookie(
            name, value, expires=until, path="/", secure=not self.insecure, httponly=True, samesite="lax"
        )

    def header(self, name: str, value: str, until: datetime | None) -> str:
        """The value of a Set-Cookie header, for a response that another function creates."""
        response = Response()
        assert until is not None
        self.set(response, name, value, until)
        return response.headers["set-cookie"]

    def clear(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path="/", secure=not self.insecure, httponly=True, samesite="lax")
